import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { runLimitMs } from './dispatcher.ts'
import { storeModel } from './model-file.fixture.ts'
import { identityModel, tripsModel } from './onnx.fixture.ts'
import { openModelPool } from './pool.ts'
import type { Tensor } from './tensor.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dispatcher-'))
})
afterAll(() => rm(directory, { recursive: true }))

const store = (bytes: Uint8Array) => storeModel(directory, bytes)

test('runLimitMs() gives a run the time in which somebody wants it, and far more than it should take', () => {
  const timeoutMs = 30_000
  expect(runLimitMs({ estimateMs: 2, wantedMs: 50, timeoutMs })).toBe(5_050)
  expect(runLimitMs({ estimateMs: 900, wantedMs: 50, timeoutMs })).toBe(14_000)
  expect(runLimitMs({ estimateMs: 2, wantedMs: 60_000, timeoutMs })).toBe(30_000)
  expect(runLimitMs({ estimateMs: 9_000, wantedMs: 0, timeoutMs })).toBe(30_000)
})

test('what the machine was too slow for is tried again after a while, and goes on where it is fast again', async () => {
  let nowMs = 0
  // Stands still but for the test: what a run takes is what the test says.
  const clock = { ...realClock, monotonicMs: () => nowMs }
  await using pool = await openModelPool({ clock })
  const model = await store(identityModel())
  const other = await store(tripsModel())
  await pool.load(model)
  await pool.load(other)
  const inputs: Tensor[] = [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, 2) }]
  const ask = (withinMs: number) => pool.infer(model.digest, { inputs, deadlineMs: nowMs + withinMs })
  const slowly = async () => {
    for (let run = 0; run < 100; run++) {
      const answer = ask(10_000)
      nowMs += 400
      await answer
    }
  }
  const refused = { code: 'inference.deadline_infeasible', details: { retryAfterMs: 1_000 } }
  await slowly()
  for (let run = 0; run < 3; run++) {
    await expect(ask(100)).rejects.toMatchObject(refused)
    nowMs += 1_000
  }
  nowMs += 1_500
  for (let run = 0; run < 3; run++) await ask(100)

  // Also where another model keeps the host busy.
  await slowly()
  const keepBusy = () => {
    const data = BigInt64Array.of(20_000n)
    return pool.infer(other.digest, {
      inputs: [{ name: 'x', datatype: 'INT64', shape: [1], data }],
      deadlineMs: nowMs + 60_000,
    })
  }
  const busy = keepBusy()
  await expect(ask(100)).rejects.toMatchObject(refused)
  await busy
  nowMs += 4_500
  const again = keepBusy()
  await ask(100)
  await again
})
