import { expect, test } from 'vitest'
import { createCostModel } from './cost-model.ts'
import { createCounters, createSlot, noteRun, prefixLength } from './model-slot.ts'
import { createRequestQueue } from './request-queue.ts'

/** A slot whose runs of one and of ten rows took so long. */
function slotOf(oneMs: number, tenMs: number) {
  const slot = createSlot({ digest: 'sha256:0', path: '', session: 1, counters: createCounters() })
  slot.model = { inputs: [], outputs: [], maxBatchSize: 100 }
  slot.ceiling = 100
  slot.cost = createCostModel([
    { rows: 1, ms: oneMs },
    { rows: 10, ms: tenMs },
  ])
  return slot
}

function queueOf(count: number, deadlineMs: number) {
  const queue = createRequestQueue()
  const nothing = { inputs: [], outputs: [], arrivedMs: 0, startedMs: 0, isSolo: false, attempts: 0, isSettled: false }
  for (let n = 0; n < count; n++) queue.insert({ ...nothing, rows: 1, deadlineMs, resolve: () => {}, reject: () => {} })
  return queue
}

test('prefixLength() fits the earliest deadline, and where that is missed takes along what costs hardly more', () => {
  const proportional = slotOf(10, 100)
  expect(prefixLength(proportional, queueOf(20, 51), 0)).toBe(5)
  expect(prefixLength(proportional, queueOf(20, 8), 0)).toBe(1)
  const flat = slotOf(10, 10)
  expect(prefixLength(flat, queueOf(20, 51), 0)).toBe(20)
  expect(prefixLength(flat, queueOf(20, 8), 0)).toBe(20)
})

test('prefixLength() takes along nothing that makes late what would be in time', () => {
  const slot = slotOf(100, 109)
  for (let n = 0; n < 100; n++) slot.cost.observe(1, n % 2 === 0 ? 80 : 120)
  const [two, three] = [slot.cost.estimateMs(2), slot.cost.estimateMs(3)]
  expect(prefixLength(slot, queueOf(20, 1 + (two + three) / 2), 0)).toBe(2)
})

test('noteRun() makes batches smaller only when a smaller one would have been in time', () => {
  const slot = slotOf(10, 100)
  const run = { rows: 10, largestRows: 1, inferUs: 0, endedAtMs: 0 }
  noteRun(slot, { ...run, lateMs: 91 })
  expect(slot.ceiling).toBe(100)
  noteRun(slot, { ...run, largestRows: 10, lateMs: 1 })
  expect(slot.ceiling).toBe(100)
  noteRun(slot, { ...run, lateMs: 89 })
  expect(slot.ceiling).toBe(90)
})
