import type { Cell } from '@plimsoll/sdk/seams'
import type { ColumnType } from '@plimsoll/sdk/wire'

const TEXT_MAX = 256

/** Microseconds since the epoch as ISO text in UTC, with six decimals when it is not a whole millisecond. */
export function isoMicros(micros: bigint): string {
  const part = ((micros % 1_000n) + 1_000n) % 1_000n
  const ms = Number((micros - part) / 1_000n)
  if (!(Math.abs(ms) <= 8.64e15)) return `${micros} µs`
  const text = new Date(ms).toISOString()
  return part === 0n ? text : `${text.slice(0, -1)}${String(part).padStart(3, '0')}Z`
}

/** A cell as JSON for people: instants as ISO text, bytes as hex, numbers that JSON lacks as text, long text cut. */
export function printCell(cell: Cell, type: ColumnType): string | number | boolean | null {
  if (cell === null || typeof cell === 'boolean') return cell
  if (typeof cell === 'bigint') {
    if (type.type === 'timestamp') return isoMicros(cell)
    return Number.isSafeInteger(Number(cell)) ? Number(cell) : String(cell)
  }
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : String(cell)
  if (cell instanceof Uint8Array) return cut(Buffer.from(cell.subarray(0, TEXT_MAX)).toString('hex'))
  // The database stores no NUL: it is shown as terminals are shown control characters.
  return cut(String(cell).toWellFormed().replaceAll('\0', '\\u0000'))
}

function cut(text: string): string {
  const points = [...text.slice(0, TEXT_MAX * 2)]
  return points.length <= TEXT_MAX ? text.slice(0, TEXT_MAX * 2) : `${points.slice(0, TEXT_MAX - 1).join('')}…`
}

/** A count of the engine as a number. */
export function toCount(cell: Cell | undefined): number {
  return Number(cell ?? 0)
}

/** A finite number to 12 significant digits: sums of floats depend on the order in which threads finish. */
export function toStableNumber(cell: Cell | undefined): number | undefined {
  if (typeof cell !== 'number' && typeof cell !== 'bigint') return undefined
  const value = Number(cell)
  return Number.isFinite(value) ? Number(value.toPrecision(12)) : undefined
}
