import type { DuckDBType, DuckDBValue, DuckDBValueConverter } from '@duckdb/node-api'
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
} from '@duckdb/node-api'
import type { Cell } from '@plimsoll/sdk/seams'

/** Nanoseconds are rounded down to microseconds, as a cast in SQL does. */
function floorMicros(nanos: bigint): bigint {
  return nanos >= 0n ? nanos / 1_000n : -((-nanos + 999n) / 1_000n)
}

function microsOf(value: object): bigint | undefined {
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue) return value.micros
  if (value instanceof DuckDBTimestampSecondsValue) return value.seconds * 1_000_000n
  if (value instanceof DuckDBTimestampMillisecondsValue) return value.millis * 1_000n
  if (value instanceof DuckDBTimestampNanosecondsValue) return floorMicros(value.nanos)
  return undefined
}

/** A DuckDB value as the seam's cell. */
export function toCell(value: DuckDBValue): Cell {
  if (value === null || typeof value !== 'object') return value ?? null
  const micros = microsOf(value)
  if (micros !== undefined) return micros
  if (value instanceof DuckDBBlobValue) return value.bytes
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toCell)
  if (value instanceof DuckDBStructValue) return Object.values(value.entries).map(toCell)
  if (value instanceof DuckDBMapValue) return value.entries.map(({ key, value: item }) => [toCell(key), toCell(item)])
  return String(value)
}

export const cellConverter: DuckDBValueConverter<Cell> = (value: DuckDBValue, _type: DuckDBType) => toCell(value)
