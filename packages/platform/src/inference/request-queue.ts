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
  /** Runs alone: it was in a batch that failed, or never batches. */
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
  return {
    get size() {
      return entries.length - start
    },
    get rows() {
      return rows
    },
    head: () => entries[start],
    peek: (index) => entries[start + index],
    insert(entry) {
      rows += entry.rows
      let low = start
      let high = entries.length
      if (high === low || (entries[high - 1]?.deadlineMs ?? 0) <= entry.deadlineMs) {
        entries.push(entry)
        return
      }
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((entries[middle]?.deadlineMs ?? 0) <= entry.deadlineMs) low = middle + 1
        else high = middle
      }
      entries.splice(low, 0, entry)
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
