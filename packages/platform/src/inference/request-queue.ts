import type { PoolResult } from './pool-stats.ts'
import type { Tensor } from './tensor.ts'

/** A request in the pool, from arrival until it is settled. */
export interface Entry {
  /** In the model's order. */
  readonly inputs: readonly Tensor[]
  /** Positions of the wanted outputs. */
  readonly outputs: readonly number[]
  readonly rows: number
  readonly arrivedMs: number
  readonly deadlineMs: number
  startedMs: number
  /** Shares no frame: it was in a batch that failed, or there are too many shapes. */
  isSolo: boolean
  attempts: number
  isSettled: boolean
  resolve(result: PoolResult): void
  reject(error: unknown): void
}

/** Waiting requests of one model and one shape signature, earliest deadline first, ties by arrival. */
export interface RequestQueue {
  readonly size: number
  readonly rows: number
  head(): Entry | undefined
  /** The entry at `index` from the head. */
  peek(index: number): Entry | undefined
  /** Rows of the entries whose deadline is not later: those run before an entry of this deadline that comes now. */
  rowsUntil(deadlineMs: number): number
  insert(entry: Entry): void
  take(count: number): Entry[]
  remove(entry: Entry): boolean
}

const COMPACT_AT = 1024

export function createRequestQueue(): RequestQueue {
  let entries: Entry[] = []
  let start = 0
  let rows = 0
  const compact = () => {
    if (start === entries.length) {
      entries = []
      start = 0
    } else if (start > COMPACT_AT) {
      entries = entries.slice(start)
      start = 0
    }
  }
  /** Where an entry of this deadline belongs: behind all whose deadline is not later. */
  const placeOf = (deadlineMs: number): number => {
    let low = start
    let high = entries.length
    if ((entries[high - 1]?.deadlineMs ?? 0) <= deadlineMs) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((entries[middle]?.deadlineMs ?? 0) <= deadlineMs) low = middle + 1
      else high = middle
    }
    return low
  }
  const rowsBetween = (from: number, to: number): number => {
    let sum = 0
    for (let index = from; index < to; index++) sum += entries[index]?.rows ?? 0
    return sum
  }
  return {
    get size() {
      return entries.length - start
    },
    get rows() {
      return rows
    },
    head: () => entries[start],
    peek: (index) => entries[start + index],
    rowsUntil(deadlineMs) {
      const place = placeOf(deadlineMs)
      // Whichever side is shorter is counted: most requests come last.
      return place - start < entries.length - place
        ? rowsBetween(start, place)
        : rows - rowsBetween(place, entries.length)
    },
    insert(entry) {
      rows += entry.rows
      const place = placeOf(entry.deadlineMs)
      if (place === entries.length) entries.push(entry)
      else entries.splice(place, 0, entry)
    },
    take(count) {
      const taken = entries.slice(start, start + count)
      start += taken.length
      for (const entry of taken) rows -= entry.rows
      compact()
      return taken
    },
    remove(entry) {
      const index = entries.indexOf(entry, start)
      if (index < 0) return false
      entries.splice(index, 1)
      rows -= entry.rows
      compact()
      return true
    },
  }
}
