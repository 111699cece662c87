import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { digestBytes } from '../kernel/digest.ts'
import { createCostModel } from './cost-model.ts'
import { createCounters, createSlot, noteRun, prefixLength } from './model-slot.ts'
import { identityModel } from './onnx.fixture.ts'
import { openModelPool } from './pool.ts'
import { createRequestQueue } from './request-queue.ts'
import type { Tensor } from './tensor.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slow-machine-'))
})
afterAll(() => rm(directory, { recursive: true }))

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

test('noteRun() makes batches smaller only when a smaller one would have been in time', () => {
  const slot = slotOf(10, 100)
  noteRun(slot, { rows: 10, inferUs: 0, endedAtMs: 0, lateMs: 91 })
  expect(slot.ceiling).toBe(100)
  noteRun(slot, { rows: 10, inferUs: 0, endedAtMs: 0, lateMs: 89 })
  expect(slot.ceiling).toBe(90)
})

test('estimateMs() lets rows count as far as they stand out of the noise', () => {
  const dear = createCostModel([])
  const stalled = createCostModel([])
  for (let n = 0; n < 200; n++) {
    const rows = 1 + (n % 7)
    dear.observe(rows, 2 * rows + 5)
    // A stall in every tenth run, whatever it holds.
    stalled.observe(rows, n % 10 === 0 ? 20 : 5)
  }
  expect(dear.estimateMs(11) - dear.estimateMs(1)).toBeCloseTo(20, 0)
  expect(stalled.estimateMs(1_001) - stalled.estimateMs(1)).toBe(0)
})

test('infer() is tried again a second after the machine was too slow for the deadline, and goes on when it is not', async () => {
  let stoodStillMs = 0
  const clock = { ...realClock, monotonicMs: () => realClock.monotonicMs() + stoodStillMs }
  await using pool = await openModelPool({ clock })
  const path = join(directory, 'model')
  await writeFile(path, identityModel())
  const digest = digestBytes(identityModel())
  await pool.load({ digest, path })
  const inputs: Tensor[] = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }]
  const ask = (withinMs: number) => pool.infer(digest, { inputs, deadlineMs: clock.monotonicMs() + withinMs })
  for (let run = 0; run < 100; run++) {
    const answer = ask(10_000)
    stoodStillMs += 400
    await answer
  }
  const refused = { code: 'inference.deadline_infeasible', details: { retryAfterMs: 1_000 } }
  for (let run = 0; run < 3; run++) await expect(ask(100)).rejects.toMatchObject(refused)
  stoodStillMs += 1_000
  for (let run = 0; run < 3; run++) await ask(100)
})
