/** How many are asked for at once. */
export const PAGE = 200
/** Against a server that never ends. */
const PAGES_MAX = 5_000

/** Every entry of a list that is read page by page; `read` is given what the page before named as the next. */
export async function allPages<Entry>(
  read: (next: string | undefined) => Promise<{ readonly entries: readonly Entry[]; readonly next: string | null }>,
): Promise<Entry[]> {
  const found: Entry[] = []
  let next: string | undefined
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await read(next)
    found.push(...answer.entries)
    if (answer.next === null) break
    next = answer.next
  }
  return found
}
