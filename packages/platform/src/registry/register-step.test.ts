import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { datasetDefinition, type PipelineDefinition, passportBound, pipelineDefinition } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { declareDataset, registerVersion } from '../datasets/index.ts'
import { stripZipMap } from '../inference/index.ts'
import { storeModel } from '../inference/model-file.fixture.ts'
import { identityModel, mapSequenceInfo, model as onnx, zipMapModel } from '../inference/onnx.fixture.ts'
import { plantingPickle } from '../inference/pickle.fixture.ts'
import { tryModel } from '../inference/try-model.fixture.ts'
import type { Json } from '../kernel/canonical.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { digestBytes, digestTree, digestValue } from '../kernel/digest.ts'
import { randomHex } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import type { StepKind, StepOutput } from '../kernel/step-kind.ts'
import { declarePipeline, requirePipeline } from '../pipelines/pipeline.ts'
import { planRun } from '../pipelines/plan.ts'
import { requireRun, startRun } from '../pipelines/run.ts'
import { startTrackedRun } from '../tracking/index.ts'
import { logBatch } from '../tracking/run-log.ts'
import { passportGaps, requireModelVersion, stepKinds } from './index.ts'
import { addModel, boundOf, digestOf, modelOf, person } from './registry.fixture.ts'
import { deleteVersion } from './version-edit.ts'

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-register-'))
const registering = stepKinds[0]!
let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx.as({ principal: person('ada', 'editor') })
})
beforeEach(() => database.clear())
afterAll(async () => {
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Adds an entry to the metadata of an ONNX file: field 14, as protobuf merges what is appended. */
function withMetadata(model: Uint8Array, key: string, value: string): Uint8Array {
  const entry = Buffer.concat([
    Buffer.from([0x0a, key.length]),
    Buffer.from(key),
    Buffer.from([0x12, value.length]),
    Buffer.from(value),
  ])
  return Buffer.concat([model, Buffer.from([0x72, entry.length]), entry])
}

let files = 0
/** Runs the heavy part as the launcher would, and answers with the signature that it left. */
async function command(bytes: Uint8Array | undefined): Promise<Json> {
  return (await left(bytes)).signature
}

/** What it leaves, with a file of metrics among its inputs when given. */
async function left(
  bytes: Uint8Array | undefined,
  metrics?: { type: StepOutput['type']; text: string },
  type: StepOutput['type'] = 'onnx',
) {
  files += 1
  const path = join(folder, `${files}.onnx`)
  const outputs = {
    signature: join(folder, `${files}.json`),
    metrics: join(folder, `${files}.metrics.json`),
    model: join(folder, `${files}.left.onnx`),
  }
  const given = join(folder, `${files}.given.json`)
  if (metrics) writeFileSync(given, metrics.text)
  if (bytes) writeFileSync(path, bytes)
  await registering.command!({
    run: 'run_1',
    step: 'register',
    attempt: '1',
    spec: {},
    inputs: {
      ...(bytes ? { model: { type, digest: digestBytes(bytes), path, files: [path] } } : {}),
      ...(metrics
        ? { metrics: { type: metrics.type, digest: digestOf(metrics.text), path: given, files: [given] } }
        : {}),
    },
    outputs,
    workDir: folder,
    engine: () => Promise.reject(new Error('no engine is needed')),
    log: silentLog,
    progress: () => {},
    signal: new AbortController().signal,
  })
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Json // written as canonical JSON
  return {
    signature: read(outputs.signature),
    metrics: read(outputs.metrics),
    model: new Uint8Array(readFileSync(outputs.model)),
  }
}

const FILES = ['train.py', 'requirements.lock'].map((path) => ({
  path,
  digest: digestOf(path),
  sizeBytes: 1,
  executable: false,
}))
const BUNDLE = { digest: digestTree(FILES), files: FILES }
const trainingSet: StepKind = {
  kind: 'training-set',
  outputs: { set: 'dataset' },
  params: z.unknown(),
  cacheable: true,
}
const kinds = new Map([registering, trainingSet].map((kind) => [kind.kind, kind]))
const VIEW = { view: { name: 'departures' }, viewVersion: digestOf('view') }
const TRAIN = pipelineDefinition.parse({
  kind: 'pipeline',
  name: 'train',
  steps: [
    {
      key: 'set',
      kind: 'training-set',
      params: { service: 'board', serviceDigest: digestOf('service'), views: [VIEW] },
      inputs: { spine: { from: 'dataset', dataset: 'flights' } },
    },
    {
      key: 'fit',
      kind: 'python',
      params: { script: 'train.py', lock: 'requirements.lock' },
      inputs: { set: { from: 'step', step: 'set', output: 'set' } },
      outputs: { model: 'onnx' },
    },
    {
      key: 'register',
      kind: 'register',
      params: { model: 'delay' },
      inputs: { model: { from: 'step', step: 'fit', output: 'model' } },
    },
  ],
})
const output = (name: string, type: StepOutput['type'], word: string): StepOutput => ({
  name,
  type,
  digest: digestOf(word),
  sizeBytes: 5,
})

/** A run whose steps up to `fit` have ended. */
async function addRun(
  change: { origin?: { commit: string | null; isDirty: boolean }; pipeline?: PipelineDefinition } = {},
) {
  const flights = datasetDefinition.parse({
    kind: 'dataset',
    name: 'flights',
    source: { format: 'parquet', path: 'f.parquet' },
    schema: { origin: { type: 'text' } },
  })
  const manifest = { v: 1 as const, format: 'parquet' as const, schema: flights.schema, rowCount: 0, files: [] }
  const { digest: dataset } = await ctx.transaction(async (tx) => {
    await declareDataset(tx, flights)
    return registerVersion(tx, { dataset: 'flights', manifest, strength: 'content' })
  })
  const origin = { source: 'flights', commit: 'c0ffee', isDirty: false, ...change.origin }
  const { run, trackedRun } = await ctx.transaction(async (tx) => {
    const bundles = change.pipeline ? {} : { fit: BUNDLE }
    await declarePipeline(tx, change.pipeline ?? TRAIN, { bundles, origin, kinds, blobs: undefined as never }) // nothing was collected, so that none is looked for
    const pipeline = await requirePipeline(tx, 'train')
    const options = { cache: true, force: [], forceFrom: [] }
    const id = randomHex(16)
    await startTrackedRun(tx, { id, experiment: 'train', name: 'fit', startMs: 1n, tags: new Map() })
    return { run: (await startRun(tx, { pipeline, params: {}, options })).id, trackedRun: id }
  })
  const at = { timestampMs: 1n, step: 0n }
  const metrics = [
    { key: 'auc', value: 0.78, ...at },
    { key: 'broken', value: Number.NaN, ...at },
  ]
  await logBatch(ctx, trackedRun, { metrics })
  const python = async () => ({ version: 'cpython-3.12.1', platform: 'linux-x86_64' })
  const row = await requireRun(ctx, run)
  await planRun(ctx, { kinds, blobs: undefined as never, python }, row as never) // nothing is cached, so that no blob is looked for
  const update = (key: string, values: Record<string, string | null>) =>
    ctx.db.updateTable('step').set(values).where('run', '=', run).where('key', '=', key).execute()
  await update('fit', {
    inputs: JSON.stringify({ set: output('set', 'dataset', 'set') }),
    tracked_run: trackedRun,
    cache_key: digestOf('key'),
  })
  const components = JSON.stringify({
    kind: {},
    code: {},
    param: {},
    input: {},
    env: await python().then(({ version, platform }) => ({ python: version, platform })),
  })
  await ctx.db
    .insertInto('cache_entry')
    .values({
      project: 'default',
      key: digestOf('key'),
      pipeline: 'train',
      step: 'fit',
      components,
      outputs: '{}',
      source_run: run,
      source_step: 'fit',
    })
    .execute()
  return { run, trackedRun, dataset, update }
}

const SIGNATURE = { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }], outputs: [], maxBatchSize: 0 }
const commit = (run: string, change: { spec?: Json; signature?: Json; metrics?: Json; model?: string } = {}) =>
  ctx.transaction((tx) =>
    registering.commit!(tx, {
      run,
      step: 'register',
      attempt: '1',
      spec: change.spec ?? { model: 'delay' },
      inputs: { model: output('model', 'onnx', 'model') },
      outputs: { model: output('model', 'onnx', change.model ?? 'model') },
      json: { signature: change.signature ?? SIGNATURE, metrics: change.metrics ?? {} },
    }),
  )

test('register runs the model in a host of its own: its signature is what running showed', async () => {
  expect(await command(identityModel())).toMatchObject({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
  })
  expect(await command(withMetadata(identityModel(), 'columns', '["distance","hour"]'))).toMatchObject({
    columns: ['distance', 'hour'],
  })
})

test('register leaves a model as it is, and a classifier without its trailing ZipMap', async () => {
  const plain = await left(identityModel())
  expect(digestBytes(plain.model)).toBe(digestBytes(identityModel()))
  expect(JSON.stringify(plain.signature)).not.toContain('labels')
  for (const [change, labels] of [
    [{ metadata: { columns: '["distance","hour"]' } }, ['7', '9']],
    [{ texts: ['late', 'on time'] }, ['late', 'on time']],
  ] as const) {
    const exported = zipMapModel(change as Parameters<typeof zipMapModel>[0]) // const makes its list readonly
    const { model, signature } = await left(exported)
    expect(digestBytes(model)).toBe(stripZipMap(exported).digest)
    expect(signature).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [
        { name: 'label', datatype: 'INT64', shape: [-1] },
        { name: 'scores', datatype: 'FP32', shape: [-1, 2], labels },
      ],
      maxBatchSize: 1024,
      ...('metadata' in change ? { columns: ['distance', 'hour'] } : {}),
    })
  }
})

test.each([
  ['10,001 classes', { texts: Array.from({ length: 10_001 }, (_, at) => `class ${at}`) }, /<=10000 items/],
  ['a class of 251 characters', { texts: ['late', 'x'.repeat(251)] }, /<=250 characters/],
  ['a class with a NUL', { texts: ['late', '\0'] }, /NUL/],
  ['long classes', { texts: Array.from({ length: 300 }, (_, at) => `${at}`.padEnd(250, 'x')) }, /75000 characters/],
  ['a class that is there twice', { texts: ['late', 'late'] }, /"late" is there twice$/],
  ['fewer classes than columns', { texts: ['late'] }, /there are 1, and its tensor has /],
  ['more classes than columns', { texts: ['late', 'on time', 'early'] }, /there are 3, and its tensor has /],
])('register refuses a ZipMap of %s', async (_, change, why) => {
  await expect(command(zipMapModel(change))).rejects.toMatchObject({
    kind: 'invalid',
    code: 'registry.bad_labels',
    message: expect.stringMatching(why),
    details: { action: expect.stringContaining('zipmap') },
  })
})

test('register refuses maps that no trailing ZipMap makes, and says how to export without', async () => {
  const mapped = onnx({ nodes: [], inputs: [], outputs: [mapSequenceInfo('m')] })
  for (const refused of [mapped, zipMapModel({ isTaken: true })])
    await expect(command(refused)).rejects.toMatchObject({
      code: 'inference.onnx_refused',
      message: expect.stringContaining('is a sequence, only tensors are served'),
      details: { action: expect.stringContaining('zipmap') },
    })
})

test.each(['["distance", 3]', 'distance', '[]', '{"a":1}'])(
  'register refuses a model that states its columns as %s',
  async (stated) => {
    await expect(command(withMetadata(identityModel(), 'columns', stated))).rejects.toMatchObject({
      kind: 'invalid',
      code: 'registry.bad_columns',
    })
  },
)

test('register takes the numbers of the metrics beside the model, and nothing else of them', async () => {
  const json = (value: Json | string) => ({ type: 'json' as const, text: JSON.stringify(value) })
  expect((await left(identityModel())).metrics).toEqual({})
  const mixed = { auc: 0.8, rows: 12, note: 'a text', folds: [1, 2], nested: { auc: 1 }, ok: true, none: null }
  expect((await left(identityModel(), json(mixed))).metrics).toEqual({ auc: 0.8, rows: 12 })
  const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`m${index}`, index]))
  const refused = [
    json([1]),
    json(5),
    { type: 'file' as const, text: '{}' },
    json(many),
    json({ [`a`.repeat(251)]: 1 }),
  ]
  for (const metrics of [...refused, json({ '': 1 }), json({ auc: 'x'.repeat(1 << 20) })])
    await expect(left(identityModel(), metrics)).rejects.toMatchObject({
      kind: 'invalid',
      code: 'registry.bad_metrics',
    })
})

test('register refuses a step without a model, and a file that is none', async () => {
  await expect(command(undefined)).rejects.toMatchObject({ kind: 'invalid', code: 'registry.no_model_input' })
  await expect(command(Buffer.from('no model'))).rejects.toMatchObject({ kind: 'invalid' })
  await expect(left(identityModel(), undefined, 'directory')).rejects.toMatchObject({
    code: 'registry.no_model_input',
    message: 'Cannot register: the input "model" is of type directory, expected an ONNX file',
  })
})

test('register refuses a pickle, and nothing on the way loads it', async () => {
  const canary = join(folder, 'canary')
  const pickle = plantingPickle(canary)
  await expect(command(pickle)).rejects.toMatchObject({ code: 'inference.onnx_malformed' })
  await expect(tryModel(await storeModel(folder, pickle))).rejects.toMatchObject({ code: 'inference.model_refused' })
  expect(existsSync(canary)).toBe(false)
  const load = 'import pickle, sys; pickle.load(sys.stdin.buffer)'
  const { error } = spawnSync('python3', ['-c', load], { input: pickle })
  if (!error) expect(existsSync(canary)).toBe(true)
})

test('the passport of a registered version is what the rows of its run prove, without a gap but people', async () => {
  await addModel(ctx, modelOf('delay'))
  const { run, trackedRun, dataset } = await addRun()
  expect(await commit(run, { spec: { model: 'delay', description: 'first' } })).toMatchObject({
    model: 'delay',
    version: 1,
  })
  const version = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  const { digest: pipelineDigest } = await requirePipeline(ctx, 'train')
  expect(version).toMatchObject({ source: `plimsoll:${run}/fit`, description: 'first', trackedRun, run, step: 'fit' })
  expect(version.bound).toEqual({
    v: 1,
    artifact: { digest: digestOf('model'), sizeBytes: 5, format: 'onnx' },
    code: { source: 'flights', commit: 'c0ffee', isDirty: false, bundle: BUNDLE.digest },
    data: [
      { role: 'training', name: 'set', digest: digestOf('set'), step: 'fit' },
      { role: 'source', name: 'flights/1', digest: dataset, step: 'set' },
    ],
    environment: { lock: digestOf('requirements.lock'), interpreter: 'cpython-3.12.1', platform: 'linux-x86_64' },
    features: [
      { service: 'board', digest: digestOf('service'), views: [{ view: 'departures', version: digestOf('view') }] },
    ],
    signature: SIGNATURE,
    metrics: { auc: 0.78 },
    origin: { pipeline: 'train', pipelineDigest, run, step: 'fit', trackedRun },
    parents: [],
  })
  const gaps = await passportGaps(ctx, { model: 'delay', version: 1, environment: 'production' })
  expect(gaps.map((gap) => gap.field)).toEqual(['approvals'])
})

test('the passport has what the step left as metrics beside what it logged; of one name, what it left', async () => {
  const { run } = await addRun()
  await commit(run, { metrics: { auc: 0.79, rows: 12 } })
  const { bound } = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  expect(bound.metrics).toEqual({ auc: 0.79, rows: 12 })
})

test('a version of a derived artifact names and keeps what it was derived from, and says its classes', async () => {
  const { run } = await addRun()
  const scores = { name: 'scores', datatype: 'FP32', shape: [-1, 2], labels: ['7', '9'] }
  await commit(run, { model: 'stripped', signature: { ...SIGNATURE, outputs: [scores] } })
  const { bound } = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  expect(bound).toMatchObject({
    artifact: { digest: digestOf('stripped') },
    signature: { outputs: [scores] },
    parents: [digestOf('model')],
  })
  const pins = ctx.db.selectFrom('blob_pin').select('digest').where('owner', '=', 'model-version:delay/1')
  const kept = (await pins.execute()).map(({ digest }) => digest)
  expect(kept).toEqual(expect.arrayContaining([digestOf('stripped'), digestOf('model')]))
})

test('a passport without classes has the digest that it had before there were any', async () => {
  const bound = boundOf('one')
  expect(digestValue(passportBound.parse(bound))).toBe(digestValue(bound))
})

test('reuse() knows a version until it is deleted', async () => {
  const { run } = await addRun()
  const result = (await commit(run)) as { version: number }
  expect(await registering.reuse!(ctx, result)).toBe(true)
  await deleteVersion(ctx, { model: 'delay', version: result.version })
  expect(await registering.reuse!(ctx, result)).toBe(false)
  expect(await registering.reuse!(ctx, null)).toBe(false)
})

test('registering what the same run left again gives the same version', async () => {
  const { run } = await addRun()
  const first = await commit(run)
  expect(await commit(run)).toEqual(first)
})

test.each([
  { name: 'came from the cache has the metrics of the run that made it', hit: true, reason: 'hit' },
  { name: 'ran has no metrics of what its cache entry came from', hit: false, reason: 'input-changed' },
])('a step that $name', async ({ hit, reason }) => {
  const { run, trackedRun, update } = await addRun()
  const verdict = { hit, reason, key: digestOf('key'), source: { run, step: 'set' }, diff: [] }
  await update('fit', { tracked_run: null, cache_verdict: JSON.stringify(verdict) })
  await update('set', { tracked_run: trackedRun })
  await commit(run)
  const { bound } = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  expect([bound.metrics, bound.origin.trackedRun]).toEqual(hit ? [{ auc: 0.78 }, trackedRun] : [{}, null])
})

test('what a run cannot prove is a gap: metrics without a tracked run, a commit, an interpreter', async () => {
  const { run, update } = await addRun({ origin: { commit: null, isDirty: false } })
  await update('fit', { tracked_run: null, cache_key: null })
  await commit(run)
  const { bound } = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  expect(bound).toMatchObject({
    metrics: {},
    code: { commit: null },
    environment: { interpreter: null, platform: null },
  })
})

test('a step without code has no bundle and no lock; all that it came from is named once', async () => {
  const spine = { from: 'dataset', dataset: 'flights' }
  const setOf = (key: string, service: string) => ({
    key,
    kind: 'training-set',
    params: { service, serviceDigest: digestOf(service), views: [VIEW] },
    inputs: { spine },
  })
  const reading = (step: string) => ({ from: 'step', step, output: 'set' })
  const fit = {
    key: 'fit',
    kind: 'command',
    params: { argv: ['true'] },
    inputs: { set: reading('set'), more: reading('more'), again: reading('set'), raw: spine },
    outputs: { model: 'onnx' },
  }
  const register = {
    key: 'register',
    kind: 'register',
    params: { model: 'delay' },
    inputs: { model: { from: 'step', step: 'fit', output: 'model' } },
  }
  const steps = [setOf('set', 'board'), setOf('more', 'another'), fit, register]
  const pipeline = pipelineDefinition.parse({ kind: 'pipeline', name: 'train', steps })
  const { run, dataset, update } = await addRun({ pipeline })
  const inputs = {
    set: output('set', 'dataset', 'set'),
    raw: { ...output('raw', 'dataset', 'x'), digest: dataset },
    note: output('note', 'file', 'note'),
    more: { ...output('more', 'dataset', 'x'), digest: dataset },
  }
  await update('fit', { inputs: JSON.stringify(inputs) })
  await update('more', { result: JSON.stringify({ dataset: 'flights', version: 1 }) })
  await commit(run)
  const { bound } = await requireModelVersion(ctx, { model: 'delay', version: 1 })
  expect(bound).toMatchObject({ code: { bundle: null }, environment: { lock: null } })
  expect(bound.features!.map((used) => used.service)).toEqual(['another', 'board'])
  expect(bound.data.map(({ role, name, step }) => [role, name, step])).toEqual([
    ['training', 'flights/1', 'fit'],
    ['training', 'flights/1', 'fit'],
    ['training', 'set', 'fit'],
    ['source', 'flights/1', 'more'],
    ['source', 'flights/1', 'set'],
  ])
})

test('a register step whose commit fails registers nothing', async () => {
  const { run } = await addRun()
  await expect(commit(run, { spec: { model: '' } })).rejects.toThrow()
  await expect(commit(run, { signature: { inputs: 'none' } })).rejects.toThrow()
  expect(await ctx.db.selectFrom('model_version').select('version').execute()).toEqual([])
})
