import { type RawBuilder, sql } from 'kysely'

const TYPES = { text: sql`text`, int4: sql`int4`, int8: sql`int8`, jsonb: sql`jsonb` } as const
type Type = keyof typeof TYPES

export type GivenColumns = Readonly<Record<string, Type>>
export type GivenRow<Columns extends GivenColumns> = { readonly [Name in keyof Columns]: unknown }

function cast(value: unknown, type: Type): RawBuilder<unknown> {
  const given = type === 'jsonb' && value !== null ? JSON.stringify(value) : value
  return sql`${given}::${TYPES[type]}`
}

/** `int8` is given as a bigint. */
function toJson(rows: readonly unknown[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

/**
 * Rows as a table of a statement, `… as name (columns)`, for writes of several rows in one statement. A single one is
 * planned as if its values stood in the statement, a third of the cost of JSON; of more the statement is one text however
 * many there are, and two thirds of the cost of a list of values. At least one row.
 */
export function givenRows<Columns extends GivenColumns>(
  name: string,
  columns: Columns,
  rows: readonly GivenRow<Columns>[],
): RawBuilder<unknown> {
  const types = Object.entries(columns)
  const [first, ...others] = rows
  if (others.length > 0) {
    const typed = sql.join(types.map(([column, type]) => sql`${sql.id(column)} ${TYPES[type]}`))
    return sql`json_to_recordset(${toJson(rows)}::json) as ${sql.id(name)}(${typed})`
  }
  const values = sql.join(types.map(([column, type]) => cast(first?.[column] ?? null, type)))
  return sql`(values (${values})) as ${sql.id(name)}(${sql.join(types.map(([column]) => sql.id(column)))})`
}
