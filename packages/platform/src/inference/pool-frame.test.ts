import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storeModel } from './model-file.fixture.ts'
import { arithmeticModel, identityModel, mlpModel, poisonModel, tripsModel } from './onnx.fixture.ts'
import { fp32, int64, modelStats, tripsFor } from './pool.fixture.ts'
import { openModelPool } from './pool.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pool-frame-'))
})
afterAll(() => rm(directory, { recursive: true }))

const store = (bytes: Uint8Array) => storeModel(directory, bytes)

test('forms one batch of what waits while the host is busy, and gives each caller its own rows', async () => {
  await using pool = await openModelPool()
  const busy = await store(tripsModel())
  const { digest } = await store(mlpModel(16, 2))
  await Promise.all([pool.load(busy), pool.load(await store(mlpModel(16, 2)))])
  const row = (value: number) => fp32([1, 20], Array(20).fill(value))
  const alone = await Promise.all(
    [1, 2, 3, 4, 5].map(async (value) => (await pool.infer(digest, { inputs: [row(value)] })).outputs[0]?.data),
  )
  const before = modelStats(pool, digest)
  const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 100))] })
  const results = await Promise.all([1, 2, 3, 4, 5].map((value) => pool.infer(digest, { inputs: [row(value)] })))
  await running
  expect(results.map((result) => result.batchRows)).toEqual([5, 5, 5, 5, 5])
  expect(results.map((result) => result.outputs[0]?.data)).toEqual(alone)
  expect(modelStats(pool, digest)).toMatchObject({
    executionCount: (before?.executionCount ?? 0) + 1,
    inferenceCount: (before?.inferenceCount ?? 0) + 5,
  })
})

test('sends in one frame what waits for a model that takes one request a run, and gives each caller its own outputs', async () => {
  await using pool = await openModelPool()
  const busy = await store(tripsModel())
  const { digest } = await store(arithmeticModel(1))
  await Promise.all([pool.load(busy), pool.load(await store(arithmeticModel(1)))])
  const trips = { inputs: [int64(await tripsFor(pool, busy.digest, 30))] }
  const frames = () => pool.stats().hosts.reduce((sum, host) => sum + host.frames, 0)
  const wanted = [undefined, ['difference'], ['difference', 'sum'], ['sum'], undefined]
  const values = { sum: (index: number) => [index + 1, 11], difference: (index: number) => [index - 1, 9] }
  const round = async () => {
    const [framesBefore, before] = [frames(), modelStats(pool, digest)]
    const running = pool.infer(busy.digest, trips)
    const results = await Promise.all(
      wanted.map((outputs, index) => {
        const [a, b] = [fp32([1, 2], [index, 10]), fp32([1, 2], [1, 1])]
        const inputs = [
          { ...a, name: 'a' },
          { ...b, name: 'b' },
        ]
        return pool.infer(digest, { inputs, ...(outputs && { outputs }) })
      }),
    )
    await running
    expect(results.map(({ outputs }) => outputs.map(({ name, data }) => [name, [...(data as Float32Array)]]))).toEqual(
      wanted.map((names, index) =>
        (names ?? ['sum', 'difference']).map((name) => [name, values[name as keyof typeof values](index)]),
      ),
    )
    expect(results.map((result) => result.batchRows)).toEqual([1, 1, 1, 1, 1])
    expect(modelStats(pool, digest)).toMatchObject({
      executionCount: (before?.executionCount ?? 0) + 5,
      inferenceCount: (before?.inferenceCount ?? 0) + 5,
    })
    return frames() - framesBefore
  }
  // the first runs, in a cold host, may take longer than what a frame may hold
  await expect.poll(round, { interval: 0, timeout: 30_000 }).toBe(2)
})

test.each([
  ['row in a batch', poisonModel()],
  ['run in a frame of several', poisonModel(1)],
])('one bad %s fails alone', async (_name, bytes) => {
  await using pool = await openModelPool()
  const busy = await store(tripsModel())
  const { digest } = await store(bytes)
  await Promise.all([pool.load(busy), pool.load(await store(bytes))])
  const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 100))] })
  const outcomes = await Promise.allSettled(
    [0, 1, 2, 99, 3, 0, 1, 2].map((index) => pool.infer(digest, { inputs: [int64(index)] })),
  )
  await running
  expect(
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled'
        ? (outcome.value.outputs[0]?.data as Float32Array | undefined)?.[0]
        : outcome.reason.code,
    ),
  ).toEqual([10, 11, 12, 'inference.run_failed', 13, 10, 11, 12])
})

test.each([
  ['a batch', 'n'],
  ['a frame of several runs', 300],
] as const)('what is too large to send fails alone, and not what shares %s with it', async (_name, rows) => {
  await using pool = await openModelPool()
  const busy = await store(tripsModel())
  const { digest } = await store(identityModel('BYTES', [rows]))
  await Promise.all([pool.load(busy), pool.load(await store(identityModel('BYTES', [rows])))])
  const ask = (text: string) =>
    pool.infer(digest, { inputs: [{ name: 'x', datatype: 'BYTES', shape: [300], data: Array(300).fill(text) }] })
  for (let run = 0; run < 100; run++) await ask('warm')
  const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 30))] })
  const asked = ['a', 'x'.repeat(2 * 1024 * 1024), 'b'].map(ask)
  const outcomes = await Promise.allSettled(asked)
  await running
  expect(
    outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value.outputs[0]?.data[299] : outcome.reason.code,
    ),
  ).toEqual(['a', 'inference.frame_too_large', 'b'])
})

test('runs that turn out slow do not wait for each other in a frame', async () => {
  await using pool = await openModelPool()
  const busy = await store(tripsModel())
  const { digest } = await store(tripsModel(1))
  await Promise.all([pool.load(busy), pool.load(await store(tripsModel(1)))])
  const frames = () => pool.stats().hosts.reduce((sum, host) => sum + host.frames, 0)
  const trips = await tripsFor(pool, busy.digest, 100)
  for (let run = 0; run < 100; run++) await pool.infer(digest, { inputs: [int64(1)] })
  const running = pool.infer(busy.digest, { inputs: [int64(trips)] })
  const before = [frames(), modelStats(pool, digest)?.executionCount ?? 0] as const
  const order: number[] = []
  await Promise.all(
    [0, 1, 2, 3].map(async (more) => {
      const { outputs, batchRows } = await pool.infer(digest, { inputs: [int64(trips + more)] })
      expect([Number(outputs[0]?.data[0]), batchRows]).toEqual([trips + more, 1])
      order.push(more)
    }),
  )
  await running
  expect(order).toEqual([0, 1, 2, 3])
  expect(frames() - before[0]).toBe(1 + 4)
  expect(modelStats(pool, digest)?.executionCount).toBe(before[1] + 4)
})
