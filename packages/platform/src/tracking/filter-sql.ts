import { type RawBuilder, sql } from 'kysely'
import { type Comparison, requireNumber, requireText } from './filter.ts'

/** `expression <comparator> value` for text; LIKE has no escape character, as upstream. */
export function textSql(
  expression: RawBuilder<unknown>,
  clause: Comparison,
  options: { lists?: boolean } = {},
): RawBuilder<boolean> {
  requireText(clause, options)
  const { value } = clause
  switch (clause.comparator) {
    case '=':
      return sql<boolean>`${expression} = ${value}`
    case '!=':
      return sql<boolean>`${expression} <> ${value}`
    case 'LIKE':
      return sql<boolean>`${expression} like ${value} escape ''`
    case 'ILIKE':
      return sql<boolean>`${expression} ilike ${value} escape ''`
    case 'IN':
      return sql<boolean>`${expression} in (${sql.join(value as readonly string[])})` // the parser gives lists to IN only
    default:
      return sql<boolean>`${expression} not in (${sql.join(value as readonly string[])})`
  }
}

/** The same for the value in `rows`, the rows of one key of params or tags: there is one or none. */
export function pairSql(
  rows: RawBuilder<unknown>,
  value: RawBuilder<unknown>,
  clause: Comparison,
): RawBuilder<boolean> {
  if (clause.comparator === 'IS NULL') return sql<boolean>`not exists (${rows})`
  if (clause.comparator === 'IS NOT NULL') return sql<boolean>`exists (${rows})`
  return sql<boolean>`exists (${rows} and ${textSql(value, clause)})`
}

const NUMERIC = { '=': sql`=`, '!=': sql`<>`, '<': sql`<`, '<=': sql`<=`, '>': sql`>`, '>=': sql`>=` }

/** `expression <comparator> value` for numbers. */
export function numberSql(expression: RawBuilder<unknown>, clause: Comparison): RawBuilder<boolean> {
  requireNumber(clause)
  const operator = NUMERIC[clause.comparator as keyof typeof NUMERIC] // requireNumber admits these six only
  return sql<boolean>`${expression} ${operator} ${String(clause.value)}::float8`
}
