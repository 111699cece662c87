import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  type DatasetManifest,
  type Explanation,
  type PassportBound,
  type PredictionRecord,
  pipelineDefinition,
} from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { rememberLocations } from '../datasets/location.ts'
import { addRoute, releaseAs } from '../delivery/delivery.fixture.ts'
import { addFeatures } from '../features/declared.fixture.ts'
import { requireFeatureService, type ServiceMember } from '../features/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestBytes, digestTree } from '../kernel/digest.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { storePipelineVersion } from '../pipelines/pipeline.ts'
import { addModel, addVersion, approveAs, modelOf, person } from '../registry/registry.fixture.ts'
import { recordOf, segmentOf, shipSegment } from '../serving/control/segment.fixture.ts'
import { explainPrediction } from './explain.ts'
import { lineageEndpoints } from './index.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-explain-'))
let database: TestDatabase
let ctx: Context
let blobs: BlobStore
let api: TestApi
let made = 0
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  blobs = await openFilesBlobStore(join(directory, 'blobs'))
  api = openTestApi(lineageEndpoints({ blobs }), () => ctx)
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await blobs.close()
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

const placeOf = (digest: string) => join(directory, 'blobs', 'sha256', digest.slice(7, 9), digest.slice(9))
const put = async (text: string) => (await blobs.put(Buffer.from(text))).digest as Digest // the store's own digest

interface Chain {
  record: PredictionRecord
  artifact: Digest
  lock: Digest
  script: Digest
  /** Of the pipeline, and of its code. */
  pipeline: Digest
  bundle: Digest
  stored: Digest
  manifest: Digest
  inPlace: string
}

/** A pipeline of one step, which runs the script. */
async function addPipeline(script: Digest, sizeBytes: number): Promise<{ digest: Digest; bundle: Digest }> {
  const file = { path: 'steps/fit.py', digest: script, sizeBytes, executable: false }
  const bundle = { digest: digestTree([file]), files: [file] }
  const steps = [{ key: 'fit', kind: 'python', params: { script: 'steps/fit.py' } }]
  const definition = pipelineDefinition.parse({ kind: 'pipeline', name: 'train', steps })
  const origin = { source: 'test', commit: 'c0ffee'.padEnd(40, '0'), isDirty: false }
  const code = { bundles: { fit: bundle }, origin, kinds: new Map(), blobs }
  return { digest: await ctx.transaction((tx) => storePipelineVersion(tx, definition, code)), bundle: bundle.digest }
}

/** A served prediction with everything behind it: a stored data file, one in place, lock and artifact. */
async function addChain(change: Partial<PassportBound> = {}): Promise<Chain> {
  made += 1
  const [artifact, lock, stored] = [await put(`model ${made}`), await put(`lock ${made}`), await put(`rows ${made}`)]
  const script = await put(`fit(${made})`)
  const { digest: pipeline, bundle } = await addPipeline(script, `fit(${made})`.length)
  const folder = join(directory, `in-place-${made}`)
  mkdirSync(folder)
  const inPlace = join(folder, 'b.parquet')
  const bytes = Buffer.from(`more rows ${made}`)
  writeFileSync(inPlace, bytes)
  const place = { digest: digestBytes(bytes), sizeBytes: bytes.length }
  await ctx.transaction((tx) => rememberLocations(tx, [{ ...place, location: inPlace, mtimeMs: 0 }]))
  const content: DatasetManifest = {
    v: 1,
    format: 'parquet',
    schema: { origin: { type: 'text', nullable: false } },
    rowCount: 3,
    files: [
      { digest: stored, sizeBytes: `rows ${made}`.length, rows: 1 },
      { ...place, rows: 2 },
    ],
  }
  const manifest = await put(canonicalJson(content))
  await addModel(ctx, modelOf('delay'))
  await addRoute(ctx)
  const version = await addVersion(ctx, 'delay', 'one', {
    artifact: { digest: artifact, sizeBytes: 7, format: 'onnx' },
    data: [{ role: 'training', name: 'flights', digest: manifest, step: 'fit' }],
    environment: { lock, interpreter: 'cpython-3.12.1', platform: 'linux-x86_64' },
    code: { source: 'test', commit: 'c0ffee'.padEnd(40, '0'), isDirty: false, bundle },
    origin: { pipeline: 'train', pipelineDigest: pipeline, run: 'run_1', step: 'fit', trackedRun: 'tr_1' },
    ...change,
  })
  await approveAs(ctx, person('ada'), { model: 'delay', version })
  const release = await releaseAs(ctx, version)
  const record = recordOf({ artifact, release: release.id })
  await shipSegment(ctx, blobs, [record], { sequence: made })
  return { record, artifact, lock, script, pipeline, bundle, stored, manifest, inPlace }
}

const explain = (record: PredictionRecord) => explainPrediction(ctx, blobs, record.id)
const checks = ({ links }: Explanation) => Object.fromEntries(links.map((link) => [link.kind, link.check]))
const WHOLE = {
  prediction: 'verified',
  route: 'recorded',
  release: 'verified',
  'model-version': 'verified',
  artifact: 'verified',
  run: 'verified',
  'training-data': 'verified',
  environment: 'verified',
  commit: 'verified',
}

test('explainPrediction() walks from the prediction to commit and data, each link by its digest', async () => {
  const { record, artifact, lock, pipeline, bundle, manifest } = await addChain()
  await approveAs(ctx, person('late'), { model: 'delay', version: 1 })
  const explanation = await explain(record)
  expect(explanation).toMatchObject({ prediction: record.id, isIntact: true })
  expect(checks(explanation)).toEqual(WHOLE)
  expect(explanation.links.map(({ kind, name, digest }) => [kind, name, digest])).toEqual([
    ['prediction', record.id, digestBytes(segmentOf([record]))],
    ['route', 'production/delay', null],
    ['release', record.release, artifact],
    ['model-version', 'delay/1', expect.stringMatching(/^sha256:/)],
    ['artifact', 'onnx', artifact],
    ['run', 'run_1/fit', pipeline],
    ['training-data', 'flights', manifest],
    ['environment', 'cpython-3.12.1 linux-x86_64', lock],
    ['commit', 'c0ffee'.padEnd(40, '0'), bundle],
  ])
  const details = Object.fromEntries(explanation.links.map((link) => [link.kind, link.detail]))
  expect(details['prediction']).toMatchObject({ at: '2001-01-01T08:30:00.000Z', outputs: { p: [0.25] } })
  // Not who approved it afterwards.
  expect(details['release']!['approvals']).toHaveLength(1)
  expect(details['release']).toMatchObject({
    ...{ by: 'ben', selfApproved: false, action: 'release', reason: 'better' },
    approvals: [{ by: 'ada', selfApproved: false }],
  })
  expect(details['training-data']).toEqual({ rows: 3, files: 2, strength: null, step: 'fit' })
  expect(await api.call('GET', `/api/v1/predictions/${record.id}/explanation`)).toEqual({
    status: 200,
    json: explanation,
  })
  expect((await api.call('GET', '/api/v1/predictions/x/explanation')).status).toBe(400)
})

test('the feature service and views of the training set are links, hashed again', async () => {
  await addFeatures(ctx)
  const { digest, members } = await requireFeatureService(ctx, 'board')
  const [{ view, viewVersion }] = members as [ServiceMember]
  const used = { view: view.name, version: viewVersion } // by two members of the service
  const features = [{ service: 'board', digest, views: [used, used] }]
  const { record } = await addChain({ features })
  const found = async () =>
    (await explain(record)).links
      .filter(({ kind }) => kind.startsWith('feature-'))
      .map((link) => [link.kind, link.name, link.digest, link.check])
  expect(await found()).toEqual([
    ['feature-service', 'board', digest, 'verified'],
    ['feature-view', 'departures', viewVersion, 'verified'],
  ])
  await sql`update feature_version set definition = jsonb_set(definition, '{ttlUs}', '1') where kind = 'feature-view'`.execute(
    ctx.db,
  )
  await sql`delete from feature_version where kind = 'feature-service'`.execute(ctx.db)
  expect(await found()).toEqual([
    ['feature-service', 'board', digest, 'missing'],
    ['feature-view', 'departures', viewVersion, 'altered'],
  ])
  expect((await explain(record)).isIntact).toBe(false)
})

test.each(['altered', 'missing'] as const)(
  'a prediction whose segment is %s is named so, and no more is believed',
  async (state) => {
    const { record } = await addChain()
    const segment = digestBytes(segmentOf([record]))
    const path = placeOf(segment)
    if (state === 'missing') rmSync(path)
    else {
      chmodSync(path, 0o600)
      const bytes = readFileSync(path)
      bytes[20]! ^= 1
      writeFileSync(path, bytes)
    }
    const explanation = await explain(record)
    expect(explanation).toMatchObject({ prediction: record.id, isIntact: false })
    expect(explanation.links).toMatchObject([
      { kind: 'prediction', digest: segment, check: state, problem: expect.stringContaining(segment) },
    ])
  },
)

test.each([
  ['artifact', (chain: Chain) => placeOf(chain.artifact)],
  ['environment', (chain: Chain) => placeOf(chain.lock)],
  ['commit', (chain: Chain) => placeOf(chain.script)],
  ['training-data', (chain: Chain) => placeOf(chain.manifest)],
  ['training-data', (chain: Chain) => placeOf(chain.stored)],
  ['training-data', (chain: Chain) => chain.inPlace],
] as const)('one altered or missing file behind %s is found and named, and nothing else', async (kind, pathOf) => {
  const chain = await addChain()
  const path = pathOf(chain)
  writeFileSync(path, 'altered')
  const altered = await explain(chain.record)
  expect(altered.isIntact).toBe(false)
  expect(checks(altered)).toEqual({ ...WHOLE, [kind]: 'altered' })
  const digest = path.startsWith(join(directory, 'blobs')) ? path.slice(-20) : path
  expect(altered.links.find((link) => link.kind === kind)!.problem).toContain(digest)
  rmSync(path)
  const missing = await explain(chain.record)
  expect(checks(missing)).toEqual({ ...WHOLE, [kind]: 'missing' })
  expect(missing.links.find((link) => link.kind === kind)!.problem).not.toBeNull()
})

test('a pipeline that says something else than its digest is altered, and one that is gone takes its code with it', async () => {
  const { record } = await addChain()
  await sql`update pipeline_version set definition = jsonb_set(definition, '{steps,0,timeoutMs}', '1')`.execute(ctx.db)
  const altered = await explain(record)
  expect(checks(altered)).toEqual({ ...WHOLE, run: 'altered' })
  expect(altered.links.find((link) => link.kind === 'run')!.problem).toContain('pipeline train')
  await sql`delete from pipeline_version`.execute(ctx.db)
  expect(checks(await explain(record))).toEqual({ ...WHOLE, run: 'missing', commit: 'missing' })
})

test('code whose files are not those of its digest is altered, also where each of them is whole', async () => {
  const { record } = await addChain()
  await sql`update pipeline_version set bundles = jsonb_set(bundles, '{fit,files}', '[]')`.execute(ctx.db)
  expect(checks(await explain(record))).toEqual({ ...WHOLE, run: 'altered', commit: 'altered' })
})

test('what an artifact was derived from is a link behind it, verified by its bytes', async () => {
  const parent = await put('as the step left it')
  const { record } = await addChain({ parents: [parent] })
  const found = async () => {
    const { links } = await explain(record)
    const at = links.findIndex(({ kind }) => kind === 'parent')
    return [links[at - 1]?.kind, links[at]?.digest, links[at]?.check]
  }
  expect(await found()).toEqual(['artifact', parent, 'verified'])
  writeFileSync(placeOf(parent), 'altered')
  expect(await found()).toEqual(['artifact', parent, 'altered'])
})

test('a file of the code that is altered is named by its path', async () => {
  const { record, script } = await addChain()
  writeFileSync(placeOf(script), 'altered')
  const { links } = await explain(record)
  expect(links.find((link) => link.kind === 'commit')!.problem).toMatch(/^File steps\/fit\.py of the code: /)
})

test('a data file that is neither stored nor known in place is missing', async () => {
  const { record } = await addChain()
  await ctx.db.deleteFrom('dataset_location').execute()
  const { links } = await explain(record)
  expect(links.find((link) => link.kind === 'training-data')).toMatchObject({
    check: 'missing',
    problem: expect.stringContaining('neither stored nor known in place'),
  })
})

test('data whose blob is no manifest is altered, not a failure', async () => {
  const { record } = await addChain({
    data: [{ role: 'source', name: 'x', digest: await put('no manifest'), step: null }],
  })
  const { links } = await explain(record)
  expect(links.find((link) => link.kind === 'source-data')).toMatchObject({ check: 'altered', detail: { step: null } })
})

test('a changed passport is altered: it has another digest than the one that was approved', async () => {
  const { record } = await addChain()
  const row = await ctx.db.selectFrom('model_version').select('passport').executeTakeFirstOrThrow()
  const passport = JSON.stringify({ ...row.passport, metrics: { auc: 0.99 } })
  await ctx.db.updateTable('model_version').set({ passport }).execute()
  const { links, isIntact } = await explain(record)
  expect(isIntact).toBe(false)
  expect(links.find((link) => link.kind === 'model-version')).toMatchObject({
    check: 'altered',
    problem: expect.stringContaining('approved'),
  })
})

test('a prediction by another artifact than its release names is altered', async () => {
  const { record } = await addChain()
  const other = recordOf({ release: record.release, artifact: await put('other model') })
  await shipSegment(ctx, blobs, [other], { gateway: 'other' })
  const explanation = await explain(other)
  expect(checks(explanation)).toMatchObject({ release: 'altered', artifact: 'verified' })
  expect(explanation.links.find((link) => link.kind === 'release')!.problem).toContain(other.artifact)
})

test.each([
  ['release', `update release set actor = 'eve'`, /release rel_\w+ says/],
  ['approval', `update approval set approver = 'eve'`, /approval of delay\/1 by eve says/],
])('a row of the %s that the audit contradicts is altered, and named', async (_kind, change, problem) => {
  const { record } = await addChain()
  await sql.raw(change).execute(ctx.db)
  const explanation = await explain(record)
  expect(explanation.isIntact).toBe(false)
  expect(checks(explanation)).toEqual({ ...WHOLE, release: 'altered' })
  expect(explanation.links.find((link) => link.kind === 'release')!.problem).toMatch(problem)
})

test('a release that is not recorded is missing, and the version is found by its artifact', async () => {
  const { record } = await addChain()
  const other = recordOf({ release: 'rel_none', artifact: record.artifact })
  await shipSegment(ctx, blobs, [other], { gateway: 'other' })
  expect(checks(await explain(other))).toMatchObject({
    release: 'missing',
    'model-version': 'verified',
    artifact: 'verified',
  })
  const lone = recordOf({ release: 'rel_none', artifact: await put('nobody registered it') })
  await shipSegment(ctx, blobs, [lone], { gateway: 'third' })
  const explanation = await explain(lone)
  expect(explanation.links.map(({ kind, check }) => [kind, check])).toEqual([
    ['prediction', 'verified'],
    ['route', 'recorded'],
    ['release', 'missing'],
    ['artifact', 'verified'],
    ['model-version', 'missing'],
  ])
})

test('what the passport does not know is missing, by name', async () => {
  const { record } = await addChain()
  await ctx.db.deleteFrom('approval').execute()
  const bound = { code: null, data: [], environment: null, signature: null }
  await addVersion(ctx, 'delay', 'bare', {
    ...bound,
    artifact: { digest: await put('bare model'), sizeBytes: 1, format: 'onnx' },
  })
  const bare = recordOf({ release: record.release, artifact: await put('bare model') })
  await ctx.db.updateTable('release').set({ version: 2, artifact: bare.artifact }).execute()
  await shipSegment(ctx, blobs, [bare], { gateway: 'other' })
  const explanation = await explain(bare)
  expect(explanation.links.slice(5).map(({ kind, name, check }) => [kind, name, check])).toEqual([
    ['run', 'unknown', 'missing'],
    ['commit', 'unknown', 'missing'],
  ])
  expect(explanation.isIntact).toBe(false)
})

test('an environment without a lock is recorded, not verified', async () => {
  const environment = { lock: null, interpreter: null, platform: null }
  const { record } = await addChain()
  await ctx.db.deleteFrom('approval').execute()
  await addVersion(ctx, 'delay', 'open', {
    environment,
    artifact: { digest: await put('open model'), sizeBytes: 1, format: 'onnx' },
  })
  const open = recordOf({ release: record.release, artifact: await put('open model') })
  await ctx.db.updateTable('release').set({ version: 2, artifact: open.artifact }).execute()
  await shipSegment(ctx, blobs, [open], { gateway: 'other' })
  const { links } = await explain(open)
  expect(links.find((link) => link.kind === 'environment')).toMatchObject({
    name: 'unknown',
    digest: null,
    check: 'recorded',
  })
})

test('explainPrediction() of another project knows nothing of it', async () => {
  const { record } = await addChain()
  await expect(explainPrediction(ctx.as({ project: 'other' }), blobs, record.id)).rejects.toMatchObject({
    code: 'serving.prediction_unknown',
  })
})
