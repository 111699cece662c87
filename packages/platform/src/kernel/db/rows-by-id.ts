const PAGE = 1_000

/** All rows of a table, in the order of their ids, a page at a time. `page` reads those after an id. */
export async function* rowsById<Row extends { readonly id: string }>(
  page: (after: string, limit: number) => Promise<readonly Row[]>,
): AsyncGenerator<Row> {
  let rows: readonly Row[]
  let after = ''
  do {
    rows = await page(after, PAGE)
    yield* rows
    after = rows.at(-1)?.id ?? after
  } while (rows.length === PAGE)
}
