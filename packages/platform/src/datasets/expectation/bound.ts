import type { ColumnType } from '@plimsoll/sdk/wire'
import { parseDay, parseInstant } from '../../kernel/instant.ts'

/** A literal of an expectation as SQL: the expression around its bound value. */
export interface BoundLiteral {
  readonly value: string | number | bigint | boolean
  /** `$` stands for the place of the bound value. */
  readonly sql: string
}

/** What the engine reads, too. */
const INSTANT = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})$/

/** Reads a literal for a column, or says why it cannot be compared with it. A date given for a timestamp is its midnight in UTC. */
export function parseBound(value: string | number | boolean, column: ColumnType): BoundLiteral | { fault: string } {
  const fault = { fault: `${JSON.stringify(value)} cannot be compared with a column of type ${column.type}` }
  switch (column.type) {
    case 'int32':
    case 'int64':
    case 'float32':
    case 'float64':
      if (typeof value !== 'number') return fault
      if (Number.isSafeInteger(value)) return { value: BigInt(value), sql: 'CAST($ AS BIGINT)' }
      return { value, sql: 'CAST($ AS DOUBLE)' }
    case 'text':
      return typeof value === 'string' ? { value, sql: 'CAST($ AS VARCHAR)' } : fault
    case 'boolean':
      return typeof value === 'boolean' ? { value, sql: 'CAST($ AS BOOLEAN)' } : fault
    case 'date':
      return typeof value === 'string' && parseDay(value) !== undefined
        ? { value, sql: 'CAST($ AS DATE)' }
        : { fault: `${fault.fault}: expected YYYY-MM-DD` }
    case 'timestamp':
      if (typeof value === 'string') {
        if (parseDay(value) !== undefined) return { value: `${value} 00:00:00+00`, sql: 'CAST($ AS TIMESTAMPTZ)' }
        if (INSTANT.test(value) && parseInstant(value) !== undefined) return { value, sql: 'CAST($ AS TIMESTAMPTZ)' }
      }
      return { fault: `${fault.fault}: expected a date, or a time with its offset such as 2001-01-01T00:00:00Z` }
    default:
      return fault
  }
}
