import type { RowValue } from './row-value.ts'
import { createWindowReader, encodeWindow } from './window-value.ts'

/** Columns of a history before those of its slots. */
const EVENT = 0
const DELETED = 1
const SLOTS = 2

/** Rows of an entity of which each was the newest known for a while: all that were so after `fromUs` and up to `untilUs`. */
export interface RowHistory {
  readonly fromUs: number
  readonly untilUs: number
  /** In the order of the time they were known. */
  readonly rows: readonly RowValue[]
}

/** In the bytes of a window: one event per row, with its time, whether it is a deletion, and its slots as columns. */
export function encodeHistory({ fromUs, untilUs, rows }: RowHistory, full?: Buffer): Buffer {
  const slots = rows[0]?.slots ?? []
  const columns = [
    rows.map(({ eventUs }) => eventUs),
    rows.map(({ isDeleted }) => (isDeleted ? 1 : 0)),
    ...slots.map((_, slot) => rows.map((row) => row.slots[slot] ?? null)),
  ]
  return encodeWindow({ fromUs, untilUs, times: rows.map(({ knownUs }) => knownUs), columns }, full)
}

/** Reads, in place, the row of a history that was the newest known at an instant. */
export interface HistoryReader {
  /** False: it is of another key, or does not reach to the instant. */
  open(bytes: Uint8Array, full: Buffer | undefined, nowUs: number): boolean
  /** False: no row was known then. The rest may be read only when it is true. */
  readonly isFound: boolean
  readonly eventUs: number
  readonly isDeleted: boolean
  isNull(slot: number): boolean
  value(slot: number): number
}

export function createHistoryReader(): HistoryReader {
  const window = createWindowReader()
  let place = -1
  return {
    open(bytes, full, nowUs) {
      if (!window.open(bytes, full) || nowUs < window.fromUs || nowUs > window.untilUs) return false
      place = window.after(nowUs) - 1
      return true
    },
    get isFound() {
      return place >= 0
    },
    get eventUs() {
      return window.value(EVENT, place)
    },
    get isDeleted() {
      return window.value(DELETED, place) === 1
    },
    isNull: (slot) => window.isNull(SLOTS + slot, place),
    value: (slot) => window.value(SLOTS + slot, place),
  }
}
