import { type RawBuilder, sql } from 'kysely'
import { refusal } from './failure.ts'
import type { Cursor } from './page-token.ts'

export interface OrderTerm {
  readonly entity: string
  readonly key: string
  readonly descending: boolean
}

const TERM = /^\s*(?:([A-Za-z]+)\s*\.\s*)?(?:`([^`]*)`|"([^"]*)"|([^\s`"]+))(?:\s+(\S+))?\s*$/
const TERMS_MAX = 20

/** Parses `[entity.]key [ASC|DESC]`. @throws invalid tracking.invalid_parameter */
export function parseOrderBy(orderBy: readonly string[] | undefined): OrderTerm[] {
  const terms = (orderBy ?? []).map((clause) => {
    const match = TERM.exec(clause)
    const direction = match?.[5]?.toUpperCase() ?? 'ASC'
    if (!match || (direction !== 'ASC' && direction !== 'DESC'))
      throw refusal(`Invalid order_by clause '${clause.slice(0, 200)}'`)
    const key = match[2] ?? match[3] ?? match[4]!
    return { entity: (match[1] ?? '').toLowerCase(), key, descending: direction === 'DESC' }
  })
  if (terms.length > TERMS_MAX) throw refusal(`Invalid order_by: more than ${TERMS_MAX} fields`)
  const names = terms.map((term) => `${term.entity}.${term.key}`)
  if (new Set(names).size !== names.length) throw refusal('`order_by` contains duplicate fields')
  return terms
}

/**
 * One sort key. `kind` says how a cursor's value is bound. A nullable key sorts missing values last in both directions; one
 * with `rank` sorts by it first, ascending (NaN after numbers, missing after NaN).
 */
export interface SortKey {
  readonly expression: RawBuilder<unknown>
  readonly kind: 'text' | 'int' | 'float'
  readonly descending: boolean
  readonly rank?: RawBuilder<number>
}

interface Part {
  expression: RawBuilder<unknown>
  kind: SortKey['kind']
  descending: boolean
}

/** Null-free columns: each key becomes its rank and its value, with a stand-in where the value is missing. */
export function sortParts(keys: readonly SortKey[]): Part[] {
  return keys.flatMap((key) => {
    const value = { expression: key.expression, kind: key.kind, descending: key.descending }
    return key.rank ? [{ expression: key.rank, kind: 'int' as const, descending: false }, value] : [value]
  })
}

export function bound(part: Pick<Part, 'kind'>, value: Cursor[number]): RawBuilder<unknown> {
  if (part.kind === 'int') return sql`${String(value)}::bigint`
  if (part.kind === 'float') return sql`${String(value)}::float8`
  return sql`${String(value)}::text collate "C"`
}

/** Rows after the cursor in the lexicographic order of `parts`. */
export function afterCursor(parts: readonly Part[], cursor: Cursor): RawBuilder<boolean> {
  if (cursor.length !== parts.length) throw refusal('Invalid page token, could not be decoded')
  for (const [index, part] of parts.entries()) {
    const value = cursor[index]
    const fits =
      part.kind === 'text'
        ? typeof value === 'string'
        : part.kind === 'int'
          ? /^-?\d{1,19}$/.test(String(value))
          : typeof value === 'string' && !Number.isNaN(Number(value))
    if (!fits) throw refusal('Invalid page token, could not be decoded')
  }
  const alternatives = parts.map((part, index) => {
    const equal = parts.slice(0, index).map((earlier, i) => sql`${earlier.expression} = ${bound(earlier, cursor[i]!)}`)
    const beyond = sql`${part.expression} ${part.descending ? sql`<` : sql`>`} ${bound(part, cursor[index]!)}`
    return sql`(${sql.join([...equal, beyond], sql` and `)})`
  })
  return sql<boolean>`(${sql.join(alternatives, sql` or `)})`
}

export function orderSql(parts: readonly Part[]): RawBuilder<unknown> {
  return sql.join(parts.map((part) => sql`${part.expression} ${part.descending ? sql`desc` : sql`asc`}`))
}

/** Reads the values of the parts back from a row that selected them as `cursorSql`. */
export function cursorSql(parts: readonly Part[]): RawBuilder<(string | null)[]> {
  return sql<(string | null)[]>`json_build_array(${sql.join(parts.map((part) => sql`(${part.expression})::text`))})`
}
