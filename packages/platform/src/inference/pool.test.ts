import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { digestBytes } from '../kernel/digest.ts'
import { storeModel } from './model-file.fixture.ts'
import {
  arithmeticModel,
  bombModel,
  crossRowModel,
  dormantCrossRowModel,
  endlessModel,
  externalDataModel,
  faintCrossRowModel,
  hoardModel,
  identityModel,
  mlpModel,
  poisonModel,
  tripsModel,
  zipMapModel,
} from './onnx.fixture.ts'
import { plantingPickle } from './pickle.fixture.ts'
import { fp32, int64, modelStats, tripsFor } from './pool.fixture.ts'
import { openModelPool } from './pool.ts'
import type { ModelPool, PoolRequest } from './pool-stats.ts'
import { tryModel } from './try-model.fixture.ts'
import { stripZipMap } from './zip-map.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pool-'))
})
afterAll(() => rm(directory, { recursive: true }))

const store = (bytes: Uint8Array) => storeModel(directory, bytes)
const inMs = (ms: number) => realClock.monotonicMs() + ms
/** Polls a fact that another process brings about. */
const until = (fact: () => boolean) => expect.poll(fact, { interval: 5 }).toBe(true)

describe('load()', () => {
  test('probes which models may be batched, and what they take', async () => {
    await using pool = await openModelPool()
    expect(await pool.load(await store(arithmeticModel()))).toMatchObject({
      maxBatchSize: 1024,
      inputs: [{ name: 'a' }, { name: 'b' }],
    })
    for (const bytes of [crossRowModel(), faintCrossRowModel(), dormantCrossRowModel(1), dormantCrossRowModel(20_000)])
      expect((await pool.load(await store(bytes))).maxBatchSize).toBe(0)
    for (const datatype of ['FP16', 'BYTES', 'BOOL', 'UINT64', 'FP64'] as const) {
      expect(await pool.load(await store(identityModel(datatype)))).toMatchObject({
        maxBatchSize: 1024,
        inputs: [{ datatype }],
      })
    }
    const stripped = stripZipMap(zipMapModel())
    expect(await pool.load(await store(stripped.bytes))).toMatchObject({
      outputs: [
        { name: 'label', shape: [-1] },
        { name: 'scores', shape: [-1, 2] },
      ],
    })
  })

  test.runIf(process.platform === 'linux')(
    'starts hosts that keep no report for the maker of the runtime',
    async () => {
      await using pool = await openModelPool()
      await pool.load(await store(identityModel()))
      const [host] = pool.stats().hosts
      const folder = `/proc/${host?.pid}/fd`
      const files = readdirSync(folder).map((fd) => {
        try {
          return readlinkSync(join(folder, fd))
        } catch {
          return '' // closed in between
        }
      })
      expect(files.filter((file) => /^\/(?!dev\/|proc\/)/.test(file) && !file.endsWith('.onnx'))).toEqual([])
    },
  )

  test('refuses hostile models and goes on serving', async () => {
    await using pool = await openModelPool({ hostMemoryMiB: 400, loadTimeoutMs: 2000 })
    const good = await store(identityModel())
    await pool.load(good)
    const [host] = pool.stats().hosts
    const canary = join(directory, 'canary')
    for (const bytes of [
      bombModel(40),
      bombModel(30),
      endlessModel(),
      externalDataModel('../x'),
      zipMapModel(),
      plantingPickle(canary),
      new Uint8Array(9),
    ]) {
      const model = await store(bytes)
      const outcome = await pool.load(model).then(
        (found) => found.maxBatchSize,
        (thrown) => thrown,
      )
      // an allocation that the system refuses at once fails the run, not the host: the model then is not batched
      if (outcome !== 0)
        expect(outcome).toMatchObject({ code: expect.stringMatching(/^(inference\.model_refused|onnx\.)/) })
    }
    expect(existsSync(canary)).toBe(false)
    await expect(pool.load(await store(zipMapModel()))).rejects.toMatchObject({
      code: 'onnx.value_unsupported',
      details: { action: expect.stringContaining('zipmap') }, // as the runtime says it in the host
    })
    await expect(pool.load({ ...good, digest: digestBytes('x') })).rejects.toMatchObject({
      code: 'inference.digest_mismatch',
    })
    await expect(pool.load({ digest: digestBytes('y'), path: join(directory, 'none') })).rejects.toMatchObject({
      kind: 'not_found',
      code: 'inference.file_missing',
    })
    const vast = join(directory, 'vast')
    await writeFile(vast, '')
    await truncate(vast, 2 ** 31)
    await expect(pool.load({ digest: digestBytes('z'), path: vast })).rejects.toMatchObject({
      kind: 'too_large',
      code: 'inference.model_too_large',
    })
    await expect(pool.load(await store(identityModel('FP32', [1, 2 ** 25])))).rejects.toMatchObject({
      kind: 'too_large',
      code: 'inference.input_too_large',
    })
    expect((await pool.infer(good.digest, { inputs: [fp32([1, 2], [1, 2])] })).outputs[0]?.data).toEqual(
      Float32Array.of(1, 2),
    )
    expect(pool.stats().hosts[0]?.pid).toBe(host?.pid)
  })

  test.runIf(process.platform === 'linux')(
    'gives a session no thread of its own: a run has that of its host',
    async () => {
      await using pool = await openModelPool()
      await pool.load(await store(identityModel())) // the first one makes the threads that read files
      const threads = () => readdirSync(`/proc/${pool.stats().hosts[0]!.pid}/task`).length
      const before = threads()
      for (const bytes of [arithmeticModel(), mlpModel(16, 2), crossRowModel()]) {
        const { digest, path } = await store(bytes)
        await pool.load({ digest, path })
      }
      expect(threads()).toBe(before)
    },
  )

  test('coalesces concurrent loads; a model can leave and come back', async () => {
    await using pool = await openModelPool()
    const model = await store(identityModel())
    const [first, second] = await Promise.all([pool.load(model), pool.load(model)])
    expect(first).toBe(second)
    await pool.infer(model.digest, { inputs: [fp32([1, 2], [1, 2])] })
    await pool.unload(model.digest)
    await expect(pool.infer(model.digest, { inputs: [] })).rejects.toMatchObject({ code: 'inference.model_unknown' })
    await pool.load(model)
    expect(modelStats(pool, model.digest)?.inferenceCount).toBe(1)
  })
})

describe('infer()', () => {
  test('takes named inputs in any order, gives the wanted outputs in the wanted order', async () => {
    await using pool = await openModelPool()
    const { digest } = await store(arithmeticModel())
    await pool.load(await store(arithmeticModel()))
    const a = { ...fp32([1, 2], [10, 20]), name: 'a' }
    const b = { ...fp32([1, 2], [1, 2]), name: 'b' }
    const result = await pool.infer(digest, { inputs: [b, a], outputs: ['difference', 'sum'] })
    expect(result.outputs.map((output) => [output.name, [...(output.data as Float32Array)]])).toEqual([
      ['difference', [9, 18]],
      ['sum', [11, 22]],
    ])
    await expect(pool.infer(digest, { inputs: [a] })).rejects.toMatchObject({ code: 'inference.signature_mismatch' })
    await expect(pool.infer(digest, { inputs: [a, a] })).rejects.toMatchObject({ code: 'inference.signature_mismatch' })
    await expect(pool.infer(digest, { inputs: [a, b], outputs: ['q'] })).rejects.toMatchObject({
      code: 'inference.output_unknown',
    })
  })

  test('runs more rows than a batch takes in pieces, and answers as if it had run once', async () => {
    await using pool = await openModelPool({ maxBatchRows: 4 })
    const [sums, texts] = [await store(arithmeticModel()), await store(identityModel('BYTES', ['n']))]
    await Promise.all([pool.load(sums), pool.load(texts)])
    const numbers = Array.from({ length: 22 }, (_, index) => index)
    const before = modelStats(pool, sums.digest)
    const result = await pool.infer(sums.digest, {
      inputs: [
        { ...fp32([11, 2], numbers), name: 'a' },
        { ...fp32([11, 2], Array(22).fill(1)), name: 'b' },
      ],
      outputs: ['difference', 'sum'],
    })
    expect(result).toMatchObject({
      outputs: [
        { name: 'difference', shape: [11, 2], data: Float32Array.from(numbers, (value) => value - 1) },
        { name: 'sum', shape: [11, 2], data: Float32Array.from(numbers, (value) => value + 1) },
      ],
      batchRows: 4,
    })
    expect(modelStats(pool, sums.digest)).toMatchObject({
      executionCount: (before?.executionCount ?? 0) + 3,
      inferenceCount: (before?.inferenceCount ?? 0) + 11,
    })
    const words = ['a', 'b', 'c', 'd', 'é']
    const text = await pool.infer(texts.digest, { inputs: [{ name: 'x', datatype: 'BYTES', shape: [5], data: words }] })
    expect(text.outputs).toMatchObject([{ shape: [5], data: words }])
  })

  test("a fault in one piece is the whole request's, and what waits of it leaves the queue", async () => {
    await using pool = await openModelPool({ maxBatchRows: 2 })
    const { digest } = await store(poisonModel())
    await pool.load(await store(poisonModel()))
    const before = modelStats(pool, digest)!
    const request = pool.infer(digest, { inputs: [int64(99, 0, ...Array<number>(20).fill(1))] })
    expect(modelStats(pool, digest)).toMatchObject({ queuedRows: 20 })
    await expect(request).rejects.toMatchObject({ code: 'inference.run_failed' })
    expect(modelStats(pool, digest)).toMatchObject({
      queuedRows: 0,
      executionCount: expect.toSatisfy((count: number) => count <= before.executionCount + 1),
    })
    const gone = new AbortController()
    const left = pool.infer(digest, { inputs: [int64(...Array<number>(9).fill(1))], signal: () => gone.signal })
    gone.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    expect(modelStats(pool, digest)).toMatchObject({ queuedRows: 0 })
    const again = await pool.infer(digest, { inputs: [int64(0, 1, 2, 3, 0)] })
    expect(again.outputs).toMatchObject([{ data: Float32Array.of(10, 11, 12, 13, 10) }])
  })

  test('runs at once on an idle host', async () => {
    await using pool = await openModelPool()
    const { digest } = await store(identityModel())
    await pool.load(await store(identityModel()))
    const waits: number[] = []
    for (let run = 0; run < 20; run++)
      waits.push((await pool.infer(digest, { inputs: [fp32([1, 2], [1, 2])] })).queueUs)
    expect(Math.min(...waits)).toBeLessThan(200) // the machine may be busy at any of them
  })

  test('rejects what cannot be answered in time without running it', async () => {
    await using pool = await openModelPool()
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const trips = await tripsFor(pool, digest, 60)
    let fastestUs = Number.POSITIVE_INFINITY
    for (let run = 0; run < 40; run++)
      fastestUs = Math.min(fastestUs, (await pool.infer(digest, { inputs: [int64(trips)] })).inferUs)
    const runs = modelStats(pool, digest)?.executionCount
    await expect(
      pool.infer(digest, { inputs: [int64(trips)], deadlineMs: inMs(fastestUs / 4_000) }),
    ).rejects.toMatchObject({
      kind: 'overloaded',
      code: 'inference.deadline_infeasible',
      details: { retryAfterMs: 1000 },
    })
    await expect(pool.infer(digest, { inputs: [int64(1)], deadlineMs: inMs(-1) })).rejects.toMatchObject({
      kind: 'deadline',
    })
    expect(modelStats(pool, digest)?.executionCount).toBe(runs)
  })

  test('fails a waiting request at its deadline and never runs it', async () => {
    await using pool = await openModelPool()
    const busy = await store(tripsModel())
    const { digest } = await store(identityModel())
    await Promise.all([pool.load(busy), pool.load(await store(identityModel()))])
    const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 400))] })
    const late = pool.infer(digest, { inputs: [fp32([1, 2], [1, 2])], deadlineMs: inMs(100) })
    await expect(late).rejects.toMatchObject({ kind: expect.stringMatching(/deadline|overloaded/) })
    await running
    expect(modelStats(pool, digest)).toMatchObject({ executionCount: 0, queuedRequests: 0 })
  })

  test('takes a request that runs before what waits with later deadlines, on its own model and on another', async () => {
    await using pool = await openModelPool()
    const [busy, { digest, path }] = [await store(tripsModel()), await store(identityModel())]
    await Promise.all([pool.load({ ...busy, maxBatchRows: 1 }), pool.load({ digest, path })])
    const trips = { inputs: [int64(await tripsFor(pool, busy.digest, 30))] }
    for (let run = 0; run < 20; run++) await pool.infer(busy.digest, trips)
    const order: string[] = []
    const ask = async (name: string, model: string, request: PoolRequest) => {
      await pool.infer(model, request)
      order.push(name)
    }
    const later = Array.from({ length: 60 }, () => ask('later', busy.digest, { ...trips, deadlineMs: inMs(60_000) }))
    await Promise.all([
      ask('same model', busy.digest, { inputs: [int64(1)], deadlineMs: inMs(600) }),
      ask('other model', digest, { inputs: [fp32([1, 2], [1, 2])], deadlineMs: inMs(700) }),
    ])
    expect(order.filter((name) => name !== 'later')).toEqual(['same model', 'other model'])
    expect(order.length).toBeLessThan(30)
    await Promise.all(later)
  })

  test('fails at its deadline what requests of earlier deadlines have overtaken, and never runs it', async () => {
    await using pool = await openModelPool()
    const [busy, { digest, path }] = [await store(tripsModel()), await store(identityModel())]
    await Promise.all([pool.load(busy), pool.load({ digest, path })])
    const [short, long] = [await tripsFor(pool, busy.digest, 50), await tripsFor(pool, busy.digest, 1_500)]
    const running = pool.infer(busy.digest, { inputs: [int64(short)] })
    const deadlineMs = inMs(500)
    const overtaken = pool.infer(digest, { inputs: [fp32([1, 2], [1, 2])], deadlineMs })
    const overtaking = pool.infer(busy.digest, { inputs: [int64(long)], deadlineMs: deadlineMs - 1 })
    await expect(overtaken).rejects.toMatchObject({ kind: 'deadline', code: 'inference.deadline_passed' })
    await Promise.all([running, overtaking])
    expect(modelStats(pool, digest)).toMatchObject({ executionCount: 0, expiredCount: 1 })
  })

  test('bounds the queue', async () => {
    await using pool = await openModelPool({ queueRequestsMax: 2 })
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const trips = await tripsFor(pool, digest, 50)
    const all = await Promise.allSettled(
      Array.from({ length: 5 }, () => pool.infer(digest, { inputs: [int64(trips)] })),
    )
    const codes = all.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'ok'))
    expect(codes).toEqual(['ok', 'ok', 'ok', 'inference.queue_full', 'inference.queue_full'])
  })

  test('findRefusal() says beforehand what infer() would refuse a request of one row with', async () => {
    await using pool = await openModelPool({ queueRequestsMax: 2 })
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const trips = { inputs: [int64(await tripsFor(pool, digest, 50))] }
    const refusalOf = async (deadlineMs: number) => {
      const said = pool.findRefusal(digest, deadlineMs)?.code
      const outcome = await pool.infer(digest, { inputs: [int64(1)], deadlineMs }).then(
        () => undefined,
        (thrown) => thrown.code,
      )
      expect(said).toBe(outcome)
      return said
    }
    expect(await refusalOf(inMs(10_000))).toBeUndefined()
    expect(await refusalOf(inMs(-1))).toBe('inference.deadline_passed')
    const all = [1, 2, 3].map(() => pool.infer(digest, trips))
    expect(await refusalOf(inMs(10_000))).toBe('inference.queue_full')
    await Promise.all(all)
    expect(pool.findRefusal(digestBytes('unknown'), inMs(10_000))).toBeUndefined()
  })

  test('bounds the rows that wait of one model, and says that it is rows', async () => {
    await using pool = await openModelPool({ queueRowsMax: 10 })
    const [busy, { digest, path }] = [await store(tripsModel()), await store(identityModel())]
    await Promise.all([pool.load(busy), pool.load({ digest, path })])
    const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 100))] })
    const rows = (count: number) => ({ inputs: [fp32([count, 2], Array(2 * count).fill(1))] })
    const fits = [pool.infer(digest, rows(7)), pool.infer(digest, rows(3))]
    await expect(pool.infer(digest, rows(1))).rejects.toMatchObject({
      code: 'inference.queue_full',
      message: 'Cannot infer: more than 10 rows would be waiting',
    })
    await Promise.all([running, ...fits])
  })

  test('lets several of the largest requests wait', async () => {
    await using pool = await openModelPool()
    const [busy, { digest, path }] = [await store(tripsModel()), await store(identityModel())]
    await Promise.all([pool.load(busy), pool.load({ digest, path })])
    const running = pool.infer(busy.digest, { inputs: [int64(await tripsFor(pool, busy.digest, 100))] })
    const largest = () => pool.infer(digest, { inputs: [fp32([10_000, 2], Array(20_000).fill(1))] })
    const answers = await Promise.all([largest(), largest(), largest(), largest()])
    expect(answers.map(({ outputs }) => outputs[0]?.shape)).toEqual(Array(4).fill([10_000, 2]))
    await running
  })

  test('an aborted request leaves the queue', async () => {
    await using pool = await openModelPool()
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const running = pool.infer(digest, { inputs: [int64(await tripsFor(pool, digest, 100))] })
    const stop = new AbortController()
    const waiting = pool.infer(digest, { inputs: [int64(1)], signal: () => stop.signal })
    stop.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await running
    expect(modelStats(pool, digest)?.queuedRequests).toBe(0)
  })
})

test('a host frees what its runs gave out, though it never waits for anything but the next run', async () => {
  await using pool = await openModelPool()
  const { digest, path } = await store(identityModel())
  await pool.load({ digest, path, maxBatchRows: 100_000 })
  const rows = { inputs: [fp32([100_000, 2], new Array<number>(200_000).fill(0.5))] }
  for (let run = 0; run < 40; run++) await pool.infer(digest, rows)
  const warmBytes = pool.stats().hosts[0]!.rssBytes
  for (let run = 0; run < 400; run++) await pool.infer(digest, rows) // 320 MB of answers
  expect(pool.stats().hosts[0]!.rssBytes - warmBytes).toBeLessThan(160 << 20)
})

describe('a host that dies', () => {
  test('is replaced, and the request that it ran is answered by its successor', async () => {
    await using pool = await openModelPool()
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const running = pool.infer(digest, { inputs: [int64(await tripsFor(pool, digest, 300))] })
    const { pid } = pool.stats().hosts[0]!
    process.kill(pid!, 'SIGKILL')
    await until(
      () => ['idle', 'busy'].includes(pool.stats().hosts[0]?.state ?? '') && pool.stats().hosts[0]?.pid !== pid,
    )
    expect((await running).outputs).toHaveLength(1)
    expect(pool.stats().hosts[0]).toMatchObject({ deaths: 1 })
  })

  test('leaves what it ran and what waited to another host', async () => {
    await using pool = await openModelPool({ hosts: 2 })
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    await until(() => pool.stats().hosts.every((host) => host.state === 'idle'))
    const trips = await tripsFor(pool, digest, 200)
    const all = [1, 2, 3].map(() => pool.infer(digest, { inputs: [int64(trips)] }))
    process.kill(pool.stats().hosts[0]!.pid!, 'SIGKILL')
    expect((await Promise.all(all)).map((result) => result.outputs.length)).toEqual([1, 1, 1])
  })

  test('has its requests refused at once, to be asked again, when no other is up before their deadline', async () => {
    const openedMs = realClock.monotonicMs()
    await using pool = await openModelPool()
    const startMs = realClock.monotonicMs() - openedMs
    const { digest } = await store(tripsModel())
    await pool.load(await store(tripsModel()))
    const trips = await tripsFor(pool, digest, 10_000)
    const deadlineMs = inMs(startMs * 0.9)
    const settledMs: number[] = []
    const ask = (count: number) =>
      pool.infer(digest, { inputs: [int64(count)], deadlineMs }).catch((thrown: unknown) => {
        settledMs.push(realClock.monotonicMs())
        return thrown
      })
    const running = ask(trips)
    const waiting = ask(1)
    process.kill(pool.stats().hosts[0]!.pid!, 'SIGKILL')
    const refused = {
      kind: 'unavailable',
      code: 'inference.host_died',
      details: { retryAfterMs: expect.any(Number) },
    }
    expect(await running).toMatchObject(refused)
    expect(await waiting).toMatchObject(refused)
    expect(await ask(1)).toMatchObject({ kind: 'overloaded', code: 'inference.deadline_infeasible' })
    expect(settledMs.every((atMs) => atMs < deadlineMs)).toBe(true)
    expect(modelStats(pool, digest)).toMatchObject({ queuedRequests: 0 })
  })

  test('does not stop the pool when it was idle', async () => {
    await using pool = await openModelPool({ hosts: 2 })
    const { digest } = await store(identityModel())
    await pool.load(await store(identityModel()))
    await until(() => pool.stats().hosts.every((host) => host.state === 'idle'))
    for (const host of pool.stats().hosts) process.kill(host.pid!, 'SIGKILL')
    await until(() => pool.stats().hosts.every((host) => host.state === 'idle' && host.deaths === 1))
    await expect(pool.infer(digest, { inputs: [fp32([1, 2], [1, 2])] })).resolves.toMatchObject({ batchRows: 1 })
  })

  test('fails the model after three deaths under it, and no other', async () => {
    await using pool = await openModelPool({ runTimeoutMs: 300 })
    const bad = await store(tripsModel())
    const good = await store(identityModel())
    await Promise.all([pool.load(bad), pool.load(good)])
    const forever = { inputs: [int64(2 ** 40)] }
    await expect(pool.infer(bad.digest, forever)).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'inference.host_died',
    })
    await expect(pool.infer(bad.digest, forever)).rejects.toMatchObject({ code: 'inference.host_died' })
    await expect(pool.infer(bad.digest, forever)).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'inference.model_failed',
    })
    await expect(pool.infer(good.digest, { inputs: [fp32([1, 2], [1, 2])] })).resolves.toMatchObject({ batchRows: 1 })
  })
})

describe.runIf(process.platform === 'linux')('a host that outgrows its memory', () => {
  const hostMemoryMiB = 300
  /** A run that takes its host to so many MiB. */
  const upTo = (pool: ModelPool, mib: number) => ({
    inputs: [int64(Math.ceil((mib * 2 ** 20 - pool.stats().hosts[0]!.rssBytes) / 2048))],
    deadlineMs: inMs(30_000),
  })
  const expectSuccessor = async (pool: ModelPool, digest: string, pid: number | undefined) => {
    await until(() => pool.stats().hosts[0]?.state === 'idle' && pool.stats().hosts[0]?.pid !== pid)
    expect((await pool.infer(digest, { inputs: [int64(7)] })).outputs[0]?.data).toEqual(BigInt64Array.of(7n))
  }

  test('is replaced when it is idle, not before', async () => {
    await using pool = await openModelPool({ hostMemoryMiB })
    const { digest, path } = await store(hoardModel())
    await pool.load({ digest, path })
    const { pid } = pool.stats().hosts[0]!
    const run = upTo(pool, hostMemoryMiB * 1.25)
    expect((await pool.infer(digest, run)).outputs[0]?.data).toEqual(run.inputs[0]?.data)
    await expectSuccessor(pool, digest, pid)
    expect(pool.stats().hosts[0]).toMatchObject({ recycles: 1, deaths: 1 })
  })

  test('is killed in a run that takes far more, which is tried once more and then fails', async () => {
    await using pool = await openModelPool({ hostMemoryMiB })
    const { digest, path } = await store(hoardModel())
    await pool.load({ digest, path })
    const { pid } = pool.stats().hosts[0]!
    await expect(pool.infer(digest, upTo(pool, hostMemoryMiB * 2))).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'inference.host_died',
    })
    await expectSuccessor(pool, digest, pid)
    expect(pool.stats().hosts[0]).toMatchObject({ recycles: 0, deaths: 2 })
  })
})

test('close() lets running work finish and ends every host', async () => {
  const pool = await openModelPool()
  const { digest } = await store(tripsModel())
  await pool.load(await store(tripsModel()))
  const running = pool.infer(digest, { inputs: [int64(await tripsFor(pool, digest, 100))] })
  const { pid } = pool.stats().hosts[0]!
  await pool.close()
  await pool.close()
  expect((await running).outputs).toHaveLength(1)
  expect(() => process.kill(pid!, 0)).toThrow()
  await expect(pool.infer(digest, { inputs: [] })).rejects.toMatchObject({ code: 'inference.pool_closed' })
})

test('openModelPool() says when no host started in time', async () => {
  const clock = { ...realClock, sleep: () => Promise.resolve() }
  await expect(openModelPool({ clock })).rejects.toMatchObject({
    code: 'inference.host_not_started',
    message: 'Cannot open a model pool: no host started within 30000 ms',
  })
})

test('a pool holds so many models at most, and close() waits for none that was not begun', async () => {
  const pool = await openModelPool()
  const order = async (n: number) =>
    pool.load({ digest: digestBytes(Buffer.from(`${n}`)), path: join(directory, 'none') })
  const loads = Array.from({ length: 4_096 }, (_, n) => order(n))
  await expect(order(4_096)).rejects.toMatchObject({
    code: 'inference.pool_full',
    message: 'Cannot load the model: the pool holds 4096 models, as many as it may',
  })
  await pool.close()
  const codes = (await Promise.allSettled(loads)).map((load) => load.status === 'rejected' && load.reason.code)
  expect(codes.filter((code) => code !== 'inference.pool_closed').length).toBeLessThanOrEqual(1)
})

test.runIf(process.platform === 'linux')(
  'a host in a run without end is gone soon after its pool was killed',
  async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'busy-pool.fixture.ts'), directory])
    const [line] = await once(child.stdout, 'data')
    const pid = Number(line)
    expect(() => process.kill(pid, 0)).not.toThrow()
    child.kill('SIGKILL')
    await until(() => !existsSync(`/proc/${pid}`)).finally(
      () => existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGKILL'),
    )
  },
)

test('tryModel() shows what a model takes and gives', async () => {
  const tried = await tryModel(await store(identityModel()), { samples: [fp32([2, 2], [1, 2, 3, 4])] })
  expect(tried).toMatchObject({
    interface: { maxBatchSize: 1024 },
    outputs: [{ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  })
})
