import { expect, test } from 'vitest'
import { createCostModel } from './cost-model.ts'
import {
  createCounters,
  createSlot,
  noteRun,
  prefixLength,
  queueOf as queueOfSlot,
  setInterface,
} from './model-slot.ts'
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

/** A slot of a model that takes one request a run: a frame of one takes so long, of which its run in the host. */
function oneRequestSlot(oneMs: number, runMs: number) {
  const slot = slotOf(oneMs, oneMs)
  setInterface(slot, { inputs: [], outputs: [], maxBatchSize: 0 })
  slot.runMs = runMs
  return slot
}

test.each([
  ['quick runs, as many as a frame takes', 0.3, 0.001, 64],
  ['runs of a tenth of a millisecond, for two milliseconds beside the way there', 0.5, 0.1, 21],
  ['as many where the way there takes long', 30, 0.1, 21],
  ['one slow run', 3, 2.9, 1],
  ['one run before any has been seen', 2.1, Number.POSITIVE_INFINITY, 1],
])('prefixLength() lets a frame of a model that takes one request a run hold %s', (_name, oneMs, runMs, count) => {
  expect(prefixLength(oneRequestSlot(oneMs, runMs), queueOf(100, 1_000), 0)).toBe(count)
})

test('prefixLength() lets a frame of several runs make nothing late', () => {
  expect(prefixLength(oneRequestSlot(0.4, 0.4), queueOf(100, 2.5), 0)).toBe(3)
})

test('noteRun() believes at once that a run takes less, and slowly that it takes more', () => {
  const slot = oneRequestSlot(1, Number.POSITIVE_INFINITY)
  const run = { rows: 2, largestRows: 1, endedAtMs: 0, lateMs: 0 }
  noteRun(slot, { ...run, inferUs: 2_000 })
  expect(slot.runMs).toBe(1)
  noteRun(slot, { ...run, inferUs: 22_000 })
  expect(slot.runMs).toBe(2)
  noteRun(slot, { ...run, inferUs: 1_000 })
  expect(slot.runMs).toBe(0.5)
})

test('queueOf() parts requests of other shapes, of a model that takes one a run by their rows too', () => {
  const slot = slotOf(1, 1)
  const spec = { name: 'x', datatype: 'FP32', shape: [-1, 2] } as const
  const ofRows = (rows: number) => {
    const inputs = [{ ...spec, shape: [rows, 2], data: new Float32Array(rows * 2) }]
    return queueOfSlot(slot, { inputs }).queue
  }
  setInterface(slot, { inputs: [spec], outputs: [], maxBatchSize: 0 })
  expect(ofRows(1)).toBe(ofRows(1))
  expect(ofRows(1)).not.toBe(ofRows(2))
  setInterface(slot, { inputs: [spec], outputs: [], maxBatchSize: 100 })
  expect(ofRows(1)).toBe(ofRows(2))
})

test('noteRun() counts each run of a frame, and lets no frame grow past its limit', () => {
  const slot = slotOf(1, 1)
  setInterface(slot, { inputs: [], outputs: [], maxBatchSize: 0 })
  for (let n = 0; n < 200; n++) noteRun(slot, { rows: 3, largestRows: 1, inferUs: 6, endedAtMs: 0, lateMs: 0 })
  expect(slot.counters).toMatchObject({ executionCount: 600, inferenceCount: 600, inferUs: 1_200 })
  expect(slot.batches).toEqual(new Map([[1, { count: 600, inferUs: 1_200 }]]))
  expect(slot.ceiling).toBe(64)
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
