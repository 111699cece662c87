import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRequestQueue, type Entry } from './request-queue.ts'

const entryOf = (deadlineMs: number, rows: number): Entry => ({
  inputs: [],
  outputs: [],
  rows,
  arrivedMs: 0,
  deadlineMs,
  startedMs: 0,
  isSolo: false,
  attempts: 0,
  isSettled: false,
  resolve: () => {},
  reject: () => {},
})

test('rowsUntil() counts the rows that an entry of this deadline would find before it, whatever has left', () => {
  const step = fc.record({ deadlineMs: fc.nat(20), rows: fc.integer({ min: 1, max: 9 }), taken: fc.nat(2) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: -1, max: 21 }), (steps, deadlineMs) => {
      const queue = createRequestQueue()
      let waiting: Entry[] = []
      for (const { deadlineMs: at, rows, taken } of steps) {
        const entry = entryOf(at, rows)
        queue.insert(entry)
        waiting = [...waiting, entry].sort((a, b) => a.deadlineMs - b.deadlineMs)
        expect(queue.take(taken)).toEqual(waiting.splice(0, taken))
      }
      const before = waiting.filter((entry) => entry.deadlineMs <= deadlineMs)
      expect(queue.rowsUntil(deadlineMs)).toBe(before.reduce((sum, entry) => sum + entry.rows, 0))
      expect(queue.rowsUntil(Number.POSITIVE_INFINITY)).toBe(queue.rows)
    }),
  )
})
