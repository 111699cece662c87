import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PipelineDefinition, type PipelineStep, pipelineDefinition, pipelineStep } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { registerVersion, rememberLocations } from '../datasets/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestBytes, digestTree, digestValue } from '../kernel/digest.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { requireTrackedRun } from '../tracking/index.ts'
import { type CacheComponents, cacheKeyOf, diffComponents, forcedSteps } from './cache.ts'
import { goingAttempt } from './going-attempt.fixture.ts'
import { pipelineEndpoints } from './index.ts'
import { readLog } from './log.ts'
import { ownPlaces } from './own-places.ts'
import { bindParams } from './params.ts'
import { declarePipeline, removePipeline, requirePipeline, requirePipelineVersion } from './pipeline.ts'
import { planRun } from './plan.ts'
import { prepareStep, stepInputs } from './prepare.ts'
import { cancelRun, requireRun, requireStep, startNamedRun } from './run.ts'
import { ensureTrackedRunOf } from './tracked-run.ts'
import { listRuns, readRun, readStep } from './view.ts'
import { placeInputs } from './work-files.ts'

let database: TestDatabase
let ctx: Context
let api: TestApi
let woken = 0
const made: StepKind = {
  kind: 'make',
  outputs: { out: 'file', rows: 'dataset' },
  params: z.strictObject({
    argv: z.array(z.string()).optional(),
    x: z.union([z.int(), z.string()]).optional(),
    rows: z.int().positive().optional(),
    spans: z.array(z.strictObject({ days: z.int().positive() })).optional(),
    by: z.record(z.string(), z.int()).optional(),
    either: z.union([z.strictObject({ a: z.string() }), z.strictObject({ b: z.string() })]).optional(),
  }),
  cacheable: false,
  resolve: async (_ctx, { params }) => ({ resolved: params }),
}
const kinds = new Map([[made.kind, made]])
const blobs = undefined as never // nothing here is cached or logged
const secrets = undefined as never // and none of it printed
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  api = openTestApi(pipelineEndpoints({ blobs, kinds, secrets, onStarted: () => (woken += 1) }), () => ctx)
})
beforeEach(() => {
  woken = 0
  return database.clear()
})
afterAll(async () => {
  await api.close()
  await database.close()
})

const ORIGIN = { source: 's', commit: null, isDirty: false }
const OPTIONS = { cache: true, force: [], forceFrom: [] }
const step = (key: string, more: Record<string, unknown> = {}): PipelineStep =>
  pipelineStep.parse({ key, kind: 'command', params: { argv: ['true'] }, ...more })
const pipeline = (steps: PipelineStep[], params: object = {}): PipelineDefinition =>
  pipelineDefinition.parse({ kind: 'pipeline', name: 'train', params, steps })
const declare = (steps: PipelineStep[], params: object = {}, bundles = {}) =>
  ctx.transaction((tx) => declarePipeline(tx, pipeline(steps, params), { bundles, origin: ORIGIN, kinds, blobs }))
const start = (params = {}, options = {}, idempotencyKey?: string) =>
  ctx.transaction((tx) =>
    startNamedRun(tx, { pipeline: 'train', params, options: { ...OPTIONS, ...options }, idempotencyKey }),
  )
const plan = async (id: string) =>
  planRun(
    ctx,
    { kinds, blobs, python: async () => ({ version: 'cpython-3.12.1', platform: 'linux' }) },
    (await requireRun(ctx, id)) as never,
  ) // its jsonb is what startRun wrote
const faultsOf = async (work: Promise<unknown>) => {
  const error = await work.catch((thrown: unknown) => thrown)
  return (error as { details: { faults: { pointer: string; detail: string }[] } }).details.faults.map(
    ({ pointer, detail }) => `${pointer} ${detail}`,
  )
}

test('declarePipeline() lists every fault: kinds, code and params that are not there', async () => {
  const work = declare([
    step('a', { kind: 'unheard-of' }),
    step('b', { kind: 'python', params: { script: 'b.py', trees: { $param: 'absent' } } }),
    step('c', { params: { argv: [{ deep: [{ $param: 'constructor' }] }] } }),
    step('d', { kind: 'make', secrets: { PASSWORD: 'password' } }),
  ])
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'pipelines.invalid' })
  expect(await faultsOf(work)).toEqual([
    '/steps/0/kind there is no step kind unheard-of; there are command, python, typescript, make',
    '/steps/1 step b has no code bundle',
    '/steps/1/params step b uses param absent, which the pipeline does not declare',
    '/steps/2/params step c uses param constructor, which the pipeline does not declare',
    '/steps/3/secrets a make step takes no secrets: only command, python, typescript do',
  ])
})

test('a step may have the name of what every object answers to: it has no code and no output of that name', async () => {
  await declare([step('constructor')])
  const lone = { key: 'constructor', kind: 'command', params: { argv: ['true'] } }
  expect((await api.call('POST', '/api/v1/runs', { step: lone })).json.isNew).toBe(true)
  const run = { params: {}, bundles: {}, origin: ORIGIN, keyOf: () => null, resultOf: () => null }
  const deps = { kinds, python: async () => ({ version: '', platform: '' }) }
  expect((await prepareStep(ctx, deps, step('constructor'), run, {})).components.code).toEqual({})
  await expect(declare([step('constructor', { kind: 'python', params: { script: 'a.py' } })])).rejects.toMatchObject({
    details: { faults: [{ detail: 'step constructor has no code bundle' }] },
  })
  const reading = step('b', { inputs: { x: { from: 'step', step: 'constructor', output: 'constructor' } } })
  expect(() => stepInputs(reading, {}, () => ({}))).toThrow('constructor.constructor has not been stored')
})

test('declarePipeline() judges the params of a platform step as far as they are known before a run', async () => {
  const make = (key: string, params: Record<string, unknown>) => step(key, { kind: 'make', params })
  const work = declare(
    [
      make('a', { rows: 'x' }),
      make('b', { rows: 0, row: 1 }),
      make('c', { rows: { $param: 'few' } }),
      make('d', {
        rows: { $param: 'asked' },
        spans: [{ days: { $param: 'asked' } }, { days: -1 }, { $param: 'asked' }],
      }),
      make('e', { by: { 'a/b~c': 'x' }, either: { a: { $param: 'asked' } } }),
      make('f', { row: { $param: 'asked' }, either: { a: 1 } }),
    ],
    { few: { type: 'int', default: -1 }, asked: { type: 'int' } },
  )
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'pipelines.invalid' })
  expect(await faultsOf(work)).toEqual([
    '/steps/0/params/rows step a, kind make: expected a number, found "x"',
    '/steps/1/params/rows step b, kind make: expected a number above 0, found 0',
    '/steps/1/params step b, kind make: takes no "row": it takes argv, x, rows, spans, by, either',
    '/steps/2/params/rows step c, kind make: expected a number above 0, found -1',
    '/steps/3/params/spans/1/days step d, kind make: expected a number above 0, found -1',
    '/steps/4/params/by/a~1b~0c step e, kind make: expected a number, found "x"',
    '/steps/5/params/either step f, kind make: expected another value, found {"a":1}',
    '/steps/5/params step f, kind make: takes no "row": it takes argv, x, rows, spans, by, either',
  ])
})

test('a run whose params a platform step does not take fails as it is planned, and says which', async () => {
  await declare([step('m', { kind: 'make', params: { rows: { $param: 'rows' } } })], { rows: { type: 'int' } })
  const { id: run } = await start({ rows: 0 })
  await plan(run)
  expect(await requireRun(ctx, run)).toMatchObject({
    state: 'failed',
    reason: 'Cannot prepare step m: its params have faults, /rows expected a number above 0, found 0',
  })
  expect(await database.events()).toContainEqual({
    type: 'pipelines.run_finished',
    subject: run,
    data: { state: 'failed', code: 'pipelines.bad_step_params' },
  })
})

test('declarePipeline() takes allowFailed for a dataset only, since nothing else can have failed its expectations', async () => {
  const reading = (key: string, output: string) =>
    step(key, { inputs: { in: { from: 'step', step: 'a', output, allowFailed: true } } })
  const a = step('a', { kind: 'make' })
  await declare([a, reading('b', 'rows')])
  expect(await faultsOf(declare([a, reading('b', 'rows'), reading('c', 'out')]))).toEqual([
    '/steps/2/inputs/in step c reads a.out with allowFailed, which is for datasets: it is of type file',
  ])
})

test('declarePipeline() makes it so, repeating it is free, and a name that was taken away is not found', async () => {
  const { digest } = await declare([step('a')])
  const before = await database.events()
  expect(before).toEqual([{ type: 'pipelines.declared', subject: 'train', data: { digest } }])
  expect(await declare([step('a')])).toEqual({ digest })
  expect(await database.events()).toEqual(before)
  await expect(requirePipeline(ctx, 'trian')).rejects.toMatchObject({
    code: 'pipelines.not_found',
    details: { action: 'There is only train' },
  })
  await ctx.transaction((tx) => removePipeline(tx, 'train'))
  await expect(start()).rejects.toMatchObject({
    code: 'pipelines.not_found',
    details: { action: expect.stringContaining('apply') },
  })
})

test('startNamedRun() lists every param that is unknown, missing or of another type', async () => {
  const params = {
    trees: { type: 'int', default: 200 },
    rate: { type: 'float' },
    note: { type: 'text' },
    deep: { type: 'boolean' },
    any: { type: 'json', default: null },
  }
  await declare([step('a')], params)
  const work = start({ tree: 1, trees: 1.5, rate: 'x', deep: 1 })
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'pipelines.bad_params' })
  expect(await faultsOf(work)).toEqual([
    '/params/tree there is no param tree; there are any, deep, note, rate, trees',
    '/params/deep expected true or false (type boolean), found 1',
    '/params/note is missing: expected text',
    '/params/rate expected a number (type float), found "x"',
    '/params/trees expected a whole number (type int), found 1.5',
  ])
  const { id } = await start({ rate: 1, note: '', deep: false })
  expect((await requireRun(ctx, id)).params).toEqual({ trees: 200, rate: 1, note: '', deep: false, any: null })
})

test('startNamedRun() is one transaction with its event and audit row, and refuses steps that are not there', async () => {
  await declare([step('a')])
  const before = await database.events()
  const refused = start({}, { force: ['b'], forceFrom: ['c'] })
  await expect(refused).rejects.toMatchObject({ code: 'pipelines.unknown_step' })
  expect(await faultsOf(refused)).toEqual([
    '/options/force there is no step b; there is only a',
    '/options/forceFrom there is no step c; there is only a',
  ])
  const broken = ctx.transaction(async (tx) => {
    await startNamedRun(tx, { pipeline: 'train', params: {}, options: OPTIONS })
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect([await listRuns(ctx, { limit: 9 }), await database.events()]).toEqual([[], before])
})

test('callers at once with one idempotency key get one run', async () => {
  await declare([step('a')])
  const runs = await Promise.all([start({}, {}, 'key'), start({}, {}, 'key')])
  expect(new Set(runs.map((run) => run.id)).size).toBe(1)
  expect(runs.map((run) => run.isNew).sort()).toEqual([false, true])
  await expect(start({}, { cache: false }, 'key')).rejects.toMatchObject({
    kind: 'conflict',
    code: 'pipelines.idempotency_key_reused',
    details: { run: runs[0]!.id },
  })
})

test('readRun() of a queued run shows its steps as blocked; planned, what may start', async () => {
  await declare([step('b', { after: ['a'] }), step('a'), step('m', { kind: 'make', params: { x: 1 } })])
  const { id } = await start()
  expect((await readRun(ctx, id)).graph.map(({ key, state, needs }) => [key, state, needs])).toEqual([
    ['b', 'blocked', ['a']],
    ['a', 'blocked', []],
    ['m', 'blocked', []],
  ])
  await plan(id)
  await plan(id)
  const planned = await readRun(ctx, id)
  expect(planned.state).toBe('running')
  expect(planned.graph.map(({ key, state, cache }) => [key, state, cache?.reason])).toEqual([
    ['b', 'blocked', 'first-run'],
    ['a', 'ready', 'first-run'],
    ['m', 'ready', 'disabled'],
  ])
  expect(await readStep(ctx, id, 'm')).toMatchObject({ spec: { resolved: { x: 1 } }, tries: [], result: null })
  await expect(readStep(ctx, id, 'x')).rejects.toMatchObject({ code: 'pipelines.step_not_found' })
  await expect(readRun(ctx, 'run_x')).rejects.toMatchObject({ code: 'pipelines.run_not_found' })
  const missing = { kind: 'not_found', code: 'pipelines.run_not_found' }
  await expect(readStep(ctx, 'run_x', 'm')).rejects.toMatchObject(missing)
  await expect(requireStep(ctx.as({ project: 'other' }), id, 'm')).rejects.toMatchObject(missing)
})

test('planRun() fails a run that cannot be planned, with the reason and what to do', async () => {
  await declare([step('a', { inputs: { rows: { from: 'dataset', dataset: 'absent' } } })])
  const { id } = await start()
  await plan(id)
  expect(await readRun(ctx, id)).toMatchObject({ state: 'failed', reason: expect.stringContaining('absent') })
  expect((await database.events()).at(-1)).toMatchObject({ type: 'pipelines.run_finished', data: { state: 'failed' } })
  const bundles = { fit: { digest: digestTree([]), files: [] } }
  await declare([step('fit', { kind: 'python', params: { script: 'a.py', lock: 'absent.lock' } })], {}, bundles)
  const second = await start()
  await plan(second.id)
  expect((await readRun(ctx, second.id)).reason).toContain('its lock "absent.lock" is not among its files')
  await expect(requirePipelineVersion(ctx, digestTree([]))).rejects.toMatchObject({
    code: 'pipelines.version_not_found',
  })
  const third = await start()
  await ctx.transaction((tx) => cancelRun(tx, third.id))
  const before = await database.events()
  await plan(third.id)
  expect(await database.events()).toEqual(before) // it has ended already
})

test('a run that ended before it had a plan says the same of its steps wherever it is asked', async () => {
  await declare([step('a', { inputs: { rows: { from: 'dataset', dataset: 'absent' } } }), step('b')])
  const seen = async (id: string) => {
    const run = await readRun(ctx, id)
    expect((await listRuns(ctx, { limit: 1 }))[0]).toMatchObject({ id, steps: run.steps })
    const { tries, ...shown } = await readStep(ctx, id, 'b')
    expect([tries, shown]).toEqual([[], expect.objectContaining(run.graph[1]!)])
    const log = await readLog(ctx, { blobs, secrets }, id, 'b', 0)
    expect(log.bytes.length).toBe(0)
    return [run.steps.done, run.steps.total, shown.state, shown.reason, log.isEnd]
  }
  const refused = await start()
  expect(await seen(refused.id)).toEqual([0, 2, 'blocked', null, false])
  await plan(refused.id)
  expect(await seen(refused.id)).toEqual([0, 2, 'not_run', (await readRun(ctx, refused.id)).reason, true])
  await expect(readStep(ctx, refused.id, 'x')).rejects.toMatchObject({ code: 'pipelines.step_not_found' })
  const cancelled = await start()
  await ctx.transaction((tx) => cancelRun(tx, cancelled.id))
  expect(await seen(cancelled.id)).toEqual([0, 2, 'cancelled', 'run cancelled', true])
})

test('the debug of a step names its tracked run once it has one', async () => {
  const { run, fence } = await goingAttempt(ctx, 71n)
  const workDir = mkdtempSync(join(tmpdir(), 'plimsoll-debug-'))
  const launch = { cwd: workDir, argv: ['true'], environment: { A: 'b' } }
  writeFileSync(join(workDir, 'step.json'), JSON.stringify({ platform: { plan: {}, launch } }))
  await ctx.db.updateTable('attempt').set({ work_dir: workDir }).where('fence', '=', fence).execute()
  const environment = async () => (await api.call('GET', `/api/v1/runs/${run}/steps/fit/debug`)).json.environment
  expect(await environment()).toEqual({ A: 'b' })
  await ctx.db.updateTable('step').set({ tracked_run: 'tracked' }).where('run', '=', run).execute()
  expect(await environment()).toEqual({ A: 'b', MLFLOW_RUN_ID: 'tracked' })
  rmSync(workDir, { recursive: true })
})

test('cancelRun() ends the tracked run of a step that waits for its next try', async () => {
  const attempt = await goingAttempt(ctx, 70n)
  const tracked = await ensureTrackedRunOf(ctx, attempt)
  await ctx.db.updateTable('step').set({ state: 'ready' }).where('run', '=', attempt.run).execute()
  await ctx.transaction((tx) => cancelRun(tx, attempt.run))
  expect(await requireTrackedRun(ctx, tracked!)).toMatchObject({ status: 'KILLED' })
})

test('cancelRun() of a queued run ends it, and repeats for free', async () => {
  await declare([step('a')])
  const { id } = await start()
  const reason = 'Cannot run Python steps'
  await ctx.db.updateTable('pipeline_run').set({ reason }).where('id', '=', id).execute()
  expect((await readRun(ctx, id)).graph[0]).toMatchObject({ state: 'blocked', reason })
  const cancel = (run: string) => ctx.transaction((tx) => cancelRun(tx, run))
  expect(await cancel(id)).toBe('cancelled')
  const before = await database.events()
  expect(before.at(-1)).toMatchObject({ type: 'pipelines.run_finished', subject: id, data: { state: 'cancelled' } })
  expect(await cancel(id)).toBe('cancelled')
  expect(await database.events()).toEqual(before)
  await plan(id)
  expect(await readRun(ctx, id)).toMatchObject({ state: 'cancelled', reason: null })
  await expect(cancel('run_x')).rejects.toMatchObject({ code: 'pipelines.run_not_found' })
})

test('cancelRun() of a planned run cancels what has not started', async () => {
  await declare([step('a'), step('b', { after: ['a'] })])
  const { id } = await start()
  await plan(id)
  expect(await ctx.transaction((tx) => cancelRun(tx, id))).toBe('cancelled')
  expect((await readRun(ctx, id)).graph.map((shown) => shown.state)).toEqual(['cancelled', 'cancelled'])
})

test('bindParams() replaces params at any depth, and nothing else', () => {
  const value = {
    a: { $param: 'n' },
    list: [{ $param: 'n' }, 1],
    both: { $param: 'n', more: 1 },
    none: { $param: 'x' },
    zero: null,
  }
  expect(bindParams(value, { n: 7 })).toEqual({
    a: 7,
    list: [7, 1],
    both: { $param: 'n', more: 1 },
    none: null,
    zero: null,
  })
})

test('stepInputs() refuses an output that has not been stored', () => {
  const reading = step('b', { inputs: { file: { from: 'step', step: 'a', output: 'out' } } })
  expect(() => stepInputs(reading, {}, () => ({}))).toThrow(
    expect.objectContaining({ code: 'pipelines.output_absent' }),
  )
  const stored = { name: 'out', type: 'file' as const, digest: digestValue('x'), sizeBytes: 1 }
  expect(stepInputs(reading, {}, () => ({ out: stored }))).toEqual({ file: { ...stored, name: 'file' } })
})

test('prepareStep() names everything that the result depends on: code with its mode, env, params, long specs by digest', async () => {
  const files = ['a.py', 'b.lock'].map((path) => ({
    path,
    digest: digestValue(path),
    sizeBytes: 1,
    executable: path === 'a.py',
  }))
  const bundles = { fit: { digest: digestValue('bundle'), files } }
  const deps = { kinds, python: async () => ({ version: 'cpython-3.12.1', platform: 'linux' }) }
  const fit = step('fit', { kind: 'python', params: { script: 'a.py', lock: 'b.lock', trees: { $param: 'trees' } } })
  const prepared = await prepareStep(
    ctx,
    deps,
    fit,
    { params: { trees: 7 }, bundles, origin: ORIGIN, keyOf: () => null, resultOf: () => null },
    {},
  )
  expect(prepared.components).toMatchObject({
    code: { 'a.py': `${digestValue('a.py')}+x` },
    param: { trees: '7' },
    env: { python: 'cpython-3.12.1', platform: 'linux', lock: digestValue('b.lock') },
  })
  const long = await prepareStep(
    ctx,
    deps,
    step('m', { kind: 'make', params: { x: 'y'.repeat(3_000) } }),
    { params: {}, bundles, origin: ORIGIN, keyOf: () => null, resultOf: () => null },
    {},
  )
  const unlocked = step('fit', { kind: 'python', params: { script: 'a.py', lock: 'absent.lock' } })
  const run = { params: {}, bundles, origin: ORIGIN, keyOf: () => null, resultOf: () => null }
  await expect(prepareStep(ctx, deps, unlocked, run, {})).rejects.toMatchObject({
    code: 'pipelines.file_not_in_bundle',
  })
  expect(long.components.env['spec']).toMatch(/^sha256:/)
  expect(long.isCacheable).toBe(false)
})

test('names of secrets count in the digest and the cache key; a step without any keeps both', async () => {
  const keyed = async (secrets: object) => {
    const fit = step('a', { secrets })
    const known = { params: {}, bundles: {}, origin: ORIGIN, keyOf: () => null, resultOf: () => null }
    const python = async () => ({ version: '', platform: '' })
    const { components } = await prepareStep(ctx, { kinds, python }, fit, known, {})
    return { components, key: cacheKeyOf(components), digest: (await declare([fit])).digest }
  }
  const none = await keyed({})
  expect(none.components.env).toEqual({})
  // As before there were secrets.
  expect(none.digest).toBe('sha256:79aa3c48e6864de4001d5dd90bf60b75530a22b136d90b31d0f988d2ddea660f')
  const [one, other, moved] = [await keyed({ A: 'a' }), await keyed({ A: 'b' }), await keyed({ B: 'a' })]
  expect(new Set([none, one, other, moved].map(({ key }) => key)).size).toBe(4)
  expect(new Set([none, one, other, moved].map(({ digest }) => digest)).size).toBe(4)
  expect(diffComponents(none.components, one.components)).toEqual([
    { part: 'env', name: 'secret A', old: null, new: 'a' },
  ])
})

test('diffComponents() names each cause in the order in which one looks for it', () => {
  const old: CacheComponents = {
    kind: { kind: 'python' },
    code: { 'a.py': '1', gone: '1' },
    param: {},
    input: {},
    env: { python: '3.11' },
  }
  const now = { ...old, code: { 'a.py': '2' }, param: { trees: 'x'.repeat(900) }, env: { python: '3.12' } }
  expect(diffComponents(old, old)).toEqual([])
  expect(diffComponents(old, now)).toEqual([
    { part: 'code', name: 'a.py', old: '1', new: '2' },
    { part: 'code', name: 'gone', old: '1', new: null },
    { part: 'param', name: 'trees', old: null, new: 'x'.repeat(500) },
    { part: 'env', name: 'python', old: '3.11', new: '3.12' },
  ])
  expect(cacheKeyOf(old)).not.toBe(cacheKeyOf(now))
})

test('forcedSteps() are the forced ones, and all that depend on forceFrom', () => {
  const steps = [
    step('a'),
    step('b', { after: ['a'] }),
    step('c', { inputs: { x: { from: 'step', step: 'b', output: 'y' } } }),
    step('d'),
  ]
  expect([...forcedSteps(steps, { ...OPTIONS, forceFrom: ['a'] })].sort()).toEqual(['a', 'b', 'c'])
  expect([...forcedSteps(steps, { ...OPTIONS, force: ['a'] })]).toEqual(['a'])
})

test('the routes start, list, cancel and say whether a run has ended', async () => {
  await declare([step('a')])
  const post = (body: object) => api.call('POST', '/api/v1/runs', body)
  const { json } = await post({ pipeline: 'train' })
  expect(json).toMatchObject({ id: expect.stringMatching(/^run_/), isNew: true })
  const lone = await post({ step: { key: 'lone', kind: 'command', params: { argv: ['true'] } } })
  expect(lone.json.isNew).toBe(true)
  expect(woken).toBe(2)
  const runs = await api.call('GET', '/api/v1/runs?limit=1')
  expect(runs.json.runs).toMatchObject([{ id: lone.json.id, pipeline: 'step-lone' }])
  expect((await api.call('GET', `/api/v1/runs?before=${lone.json.id}&pipeline=train`)).json.runs).toMatchObject([
    { id: json.id },
  ])
  expect((await api.call('GET', `/api/v1/runs/${json.id}/finished`)).json.code).toBe('pipelines.not_finished')
  expect(await api.call('POST', `/api/v1/runs/${json.id}/cancel`)).toMatchObject({
    status: 200,
    json: { state: 'cancelled' },
  })
  expect((await api.call('GET', `/api/v1/runs/${json.id}/finished`)).json).toEqual({ state: 'cancelled' })
  expect((await api.call('GET', '/api/v1/runs/run_x/finished')).json).toEqual({ state: 'unknown' })
  expect((await api.call('GET', '/api/v1/pipelines')).json.pipelines).toMatchObject([{ name: 'train' }])
  expect((await api.call('GET', '/api/v1/pipelines/train')).status).toBe(200)
  await plan(lone.json.id)
  expect((await api.call('GET', `/api/v1/runs/${lone.json.id}`)).json).toMatchObject({
    state: 'running',
    graph: [{ key: 'lone' }],
  })
  expect((await api.call('GET', `/api/v1/runs/${lone.json.id}/steps/lone`)).json).toMatchObject({
    state: 'ready',
    tries: [],
  })
  expect((await api.call('GET', `/api/v1/runs/${lone.json.id}/steps/lone/debug`)).json.code).toBe(
    'pipelines.attempt_gone',
  )
})

test('a step that stands alone runs only code that its project has uploaded', async () => {
  const files = [{ path: 'a.py', digest: digestValue('code of others'), sizeBytes: 8, executable: false }]
  const { status, json } = await api.call('POST', '/api/v1/runs', {
    step: step('alone', { kind: 'python', params: { script: 'a.py' } }),
    bundle: { digest: digestTree(files), files },
  })
  expect([status, json.code]).toEqual([412, 'pipelines.code_missing'])
  expect(await ctx.db.selectFrom('blob_pin').selectAll().execute()).toEqual([])
})

test('placeInputs() refuses a dataset file that is neither stored nor known in place', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-inputs-'))
  const stored = await openFilesBlobStore(join(folder, 'blobs'))
  try {
    const file = { digest: digestValue('gone'), sizeBytes: 1, rows: 1 }
    const manifest = { v: 1, format: 'parquet', schema: {}, rowCount: 1, files: [file] }
    const { digest } = await stored.put(Buffer.from(canonicalJson(manifest)))
    const input = { name: 'rows', type: 'dataset', digest: digest as Digest, sizeBytes: 1 } as const // as it was stored
    await expect(placeInputs(ctx, stored, { rows: input }, folder)).rejects.toMatchObject({
      code: 'pipelines.input_lost',
      message: expect.stringContaining(digestValue('gone')),
    })
  } finally {
    await stored.close()
    rmSync(folder, { recursive: true })
  }
})

test('placeInputs() reads a dataset file at any place that still has it, that of the run first, and never another file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-places-'))
  const stored = await openFilesBlobStore(join(folder, 'blobs'))
  try {
    const bytes = Buffer.from('n\n1\n')
    const file = { digest: digestBytes(bytes), sizeBytes: bytes.length, rows: 1 }
    const manifest = { v: 1, format: 'csv', schema: {}, rowCount: 1, files: [file] }
    const { digest } = await stored.put(Buffer.from(canonicalJson(manifest)))
    const input = { name: 'rows', type: 'dataset', digest: digest as Digest, sizeBytes: 1 } as const // as it was stored
    const places = ['a', 'b', 'c'].map((name) => join(folder, name))
    const [own, other, third] = places as [string, string, string] // as many as were named
    for (const location of places) {
      const seen = { digest: file.digest, location, sizeBytes: bytes.length, mtimeMs: 1 }
      await ctx.transaction((tx) => rememberLocations(tx, [seen]))
      writeFileSync(location, bytes)
    }
    const read = async (first: string[] = []) =>
      (await placeInputs(ctx, stored, { rows: input }, folder, new Set(first))).rows!.files
    for (const place of places) expect(await read([place])).toEqual([place])
    rmSync(third)
    writeFileSync(other, 'n\n2\n')
    expect(await read()).toEqual([own])
    execFileSync('mkfifo', [third])
    expect(await read()).toEqual([own])
    rmSync(own)
    await expect(read([own])).rejects.toMatchObject({
      code: 'datasets.file_altered',
      message: expect.stringMatching(/\/a": .*the file is missing; 2 other known places have it neither$/),
    })
  } finally {
    await stored.close()
    rmSync(folder, { recursive: true })
  }
})

test('ownPlaces() of a step are those that the steps of its run found, or who registered the version that it reads', async () => {
  const found = async (run: string, path: string) => {
    const spec = { files: [{ path, sizeBytes: 1, mtimeMs: 1 }] }
    await ctx.db
      .updateTable('step')
      .set({ kind: 'dataset-version', spec: JSON.stringify(spec) })
      .where('run', '=', run)
      .execute()
  }
  await declare([step('add')])
  const [first, second] = [await start(), await start()]
  for (const [index, { id }] of [first, second].entries()) {
    await plan(id)
    await found(id, `/d${index}/in.csv`)
  }
  const manifest = {
    v: 1,
    format: 'csv',
    schema: {},
    rowCount: 1,
    files: [{ digest: digestValue('f'), sizeBytes: 1, rows: 1 }],
  } as const
  const made = { dataset: 'd', derived: true, manifest, strength: 'content', run: first.id, step: 'add' } as const
  const { digest } = await ctx.transaction((tx) => registerVersion(tx, made as never)) // readonly lists
  const rows = { name: 'rows', type: 'dataset', digest, sizeBytes: 1 } as const
  const reading = (inputs: object) => ({ run: second.id, definition: step('read', { inputs: { rows: inputs } }) })
  const own = (inputs: object) => ownPlaces(ctx, reading(inputs), { rows })
  expect([...(await own({ from: 'step', step: 'add', output: 'out' }))]).toEqual(['/d1/in.csv'])
  expect([...(await own({ from: 'dataset', dataset: 'd' }))].sort()).toEqual(['/d0/in.csv', '/d1/in.csv'])
})
