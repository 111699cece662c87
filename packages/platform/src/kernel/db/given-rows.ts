import { type RawBuilder, sql } from 'kysely'

const CASTS = {
  text: (value: unknown) => sql`${value}::text`,
  int4: (value: unknown) => sql`${value}::int4`,
  int8: (value: unknown) => sql`${value}::int8`,
  jsonb: (value: unknown) => sql`${value === null ? null : JSON.stringify(value)}::jsonb`,
} as const

export type GivenColumns = Readonly<Record<string, keyof typeof CASTS>>
export type GivenRow<Columns extends GivenColumns> = { readonly [Name in keyof Columns]: unknown }

/**
 * Rows as a table of a statement, `(values …) as name (columns)`, for writes of several rows in one statement. One row
 * is planned as if its values stood in the statement: a third of the cost of `jsonb_to_recordset`. At least one row.
 */
export function givenRows<Columns extends GivenColumns>(
  name: string,
  columns: Columns,
  rows: readonly GivenRow<Columns>[],
): RawBuilder<unknown> {
  const types = Object.entries(columns)
  const lines = rows.map((row) => sql`(${sql.join(types.map(([column, type]) => CASTS[type](row[column] ?? null)))})`)
  return sql`(values ${sql.join(lines)}) as ${sql.id(name)}(${sql.join(types.map(([column]) => sql.id(column)))})`
}
