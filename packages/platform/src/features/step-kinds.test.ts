import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DatasetManifest, faultText, IN_WORDS } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  last,
  mean,
} from '../../../sdk/src/define/feature.ts'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { openLmdbOnlineStore } from '../adapters/lmdb/index.ts'
import { declareDataset, latestVersion, registerVersion } from '../datasets/index.ts'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import { manualClock } from '../kernel/clock.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { type Digest, digestBytes, digestFile } from '../kernel/digest.ts'
import { silentLog } from '../kernel/log.ts'
import type { StepCommand, StepInputFiles, StepOutput } from '../kernel/step-kind.ts'
import {
  declareEntity,
  declareFeatureService,
  declareFeatureView,
  requireFeatureService,
  requireFeatureView,
  servingSpec,
} from './index.ts'
import { openOnlineReader } from './online/index.ts'
import { featureStepKinds } from './step-kinds.ts'

let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-steps-'))
const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 2 })

beforeAll(async () => {
  database = await openTestDatabase()
})
beforeEach(() => database.clear())
afterAll(async () => {
  await engine.close()
  await database.close()
})

const schema: DatasetManifest['schema'] = {
  date: { type: 'timestamp', zone: 'UTC', nullable: false },
  landed_at: { type: 'timestamp', zone: 'UTC', nullable: false },
  origin: { type: 'text', nullable: false },
  destination: { type: 'text', nullable: false },
  delay: { type: 'int32', nullable: true },
}
const FLIGHTS = `SELECT * FROM (VALUES
  (TIMESTAMPTZ '2001-01-01 08:00:00+00', TIMESTAMPTZ '2001-01-01 09:00:00+00', 'JFK', 'BOS', 10),
  (TIMESTAMPTZ '2001-01-01 08:30:00+00', TIMESTAMPTZ '2001-01-01 11:30:00+00', 'JFK', 'LAX', 50),
  (TIMESTAMPTZ '2001-01-01 09:00:00+00', TIMESTAMPTZ '2001-01-01 10:00:00+00', 'BOS', 'JFK', 30)) t(date, landed_at, origin, destination, delay)`

const airport = defineEntity({ name: 'airport', keys: { airport: 'text' } })
const departures = defineFeatureView({
  name: 'departures',
  entity: airport,
  source: 'flights',
  keys: { airport: 'origin' },
  eventTime: 'date',
  knownAt: 'landed_at',
  ttl: '1d',
  features: { mean_3h: mean('delay').over('3h'), n_3h: count().over('3h'), newest: last('delay', 'int32') },
})
const board = defineFeatureService({
  name: 'board',
  views: [
    { view: departures, as: 'origin', keys: { airport: 'origin' } },
    { view: departures, as: 'destination', keys: { airport: 'destination' } },
  ],
})

const placed = new Map<string, StepInputFiles>()
let made = 0

/** Writes a dataset version as `dataset-version` would, and its input as the launcher would place it. */
async function addVersion(dataset: string, sql: string, columns = schema): Promise<StepOutput> {
  made += 1
  const directory = join(folder, `dataset-${made}`)
  const { files, rowCount } = await engine.write({ sql, inputs: {}, output: { directory } })
  const manifest: DatasetManifest = {
    v: 1,
    format: 'parquet',
    schema: columns,
    rowCount,
    files: [{ ...(await digestFile(files[0]!)), rows: rowCount }],
  }
  await database.ctx.transaction((tx) =>
    declareDataset(tx, {
      kind: 'dataset',
      name: dataset,
      source: { format: 'parquet', path: 'x.parquet' },
      storage: 'in-place',
      schema: columns,
      expectations: [],
    }),
  )
  const { digest } = await database.ctx.transaction((tx) =>
    registerVersion(tx, { dataset, manifest, strength: 'content' }),
  )
  const path = join(directory, 'manifest.json')
  writeFileSync(path, canonicalJson(manifest))
  placed.set(digest, { type: 'dataset', digest, path, files })
  return { name: dataset, type: 'dataset', digest, sizeBytes: 0 }
}

let bound: number[] = []

async function runStep(kindName: string, params: Json, inputs: Record<string, StepOutput>, extra: object = {}) {
  const kind = featureStepKinds(async () => new Set(bound)).find(({ kind: name }) => name === kindName)!
  const spec = await kind.resolve!(database.ctx, { params, inputs })
  const workDir = mkdtempSync(join(folder, 'work-'))
  mkdirSync(join(workDir, 'out'))
  const outputs = Object.fromEntries(Object.keys(kind.outputs).map((name) => [name, join(workDir, 'out', name)]))
  const attempt = { run: 'run_1', step: kindName, attempt: `att_${made}` }
  const files = Object.fromEntries(Object.entries(inputs).map(([name, { digest }]) => [name, placed.get(digest)!]))
  const command: StepCommand = {
    ...attempt,
    spec,
    inputs: files,
    outputs,
    workDir,
    engine: async () => engine,
    log: silentLog,
    progress: () => {},
    signal: new AbortController().signal,
    ...extra,
  }
  await kind.command!(command)
  const json: Record<string, Json> = {}
  for (const [name, type] of Object.entries(kind.outputs))
    if (type === 'json') json[name] = JSON.parse(readFileSync(outputs[name]!, 'utf8')) as Json // written by the command
  const stored: Record<string, StepOutput> = {}
  for (const [name, type] of Object.entries(kind.outputs))
    stored[name] = {
      name,
      type,
      digest: digestBytes(canonicalJson(type === 'dataset' ? json.manifest : json[name])) as Digest,
      sizeBytes: 0,
    }
  const result = await database.ctx.transaction((tx) =>
    kind.commit!(tx, { ...attempt, spec, inputs, outputs: stored, json }),
  )
  return { result: result as Record<string, Json>, json, outputs }
}

async function declareAll() {
  await database.ctx.transaction(async (tx) => {
    await declareEntity(tx, airport)
    await declareFeatureView(tx, departures)
    await declareFeatureService(tx, board)
  })
}

const SPINE = `SELECT * FROM (VALUES
  (3, TIMESTAMPTZ '2001-01-01 12:00:00+00', 'JFK', 'BOS'), (1, TIMESTAMPTZ '2001-01-01 09:00:00+00', 'JFK', 'LAX'), (2, TIMESTAMPTZ '2001-01-01 08:59:59.999999+00', 'JFK', 'LAX')) t(id, "at", origin, destination)`
const spineSchema: DatasetManifest['schema'] = {
  id: { type: 'int32', nullable: false },
  at: { type: 'timestamp', zone: 'UTC', nullable: false },
  origin: { type: 'text', nullable: false },
  destination: { type: 'text', nullable: false },
}

test('training-set joins each row as of its own time, keeps the order, and registers a version with its digests', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const spine = await addVersion('spine', SPINE, spineSchema)
  const { result, json, outputs } = await runStep('training-set', { service: 'board', time: 'at' }, { spine, flights })
  const { rows } = await engine.rows({
    sql: 'SELECT id, origin__mean_3h, origin__n_3h, origin__newest, destination__mean_3h, destination__n_3h, destination__newest FROM made',
    inputs: { made: { format: 'parquet', files: [join(outputs.set!, 'part-00000.parquet')] } },
  })
  expect(rows).toEqual([
    [3, 50, 1n, 50, 30, 1n, 30],
    [1, 10, 1n, 10, null, 0n, null],
    [2, null, 0n, null, null, 0n, null],
  ])
  const { digest } = await requireFeatureView(database.ctx, 'departures')
  expect(json.report).toMatchObject({
    rows: 3,
    views: [{ name: 'departures', version: digest, source: flights.digest }, {}],
    features: { origin__mean_3h: { nulls: 1 } },
  })
  expect(await latestVersion(database.ctx, 'board-training')).toMatchObject({
    version: 1,
    digest: result.digest,
    rowCount: 3,
  })
  const again = await runStep('training-set', { service: 'board', time: 'at' }, { spine, flights })
  expect(again.result).toEqual(result)
  for (const [extra, code] of [
    [{ engine: async () => ({ ...engine, dialect: 'spark' }) }, 'features.dialect'],
    [{ outputs: {} }, 'features.output_missing'],
  ] as const)
    await expect(
      runStep('training-set', { service: 'board', time: 'at' }, { spine, flights }, extra),
    ).rejects.toMatchObject({ code })
  // As a spine it has the features' names already (42).
  const twice = { ...spine, digest: result.digest as Digest }
  await expect(
    runStep('training-set', { service: 'board', time: 'at' }, { spine: twice, flights }),
  ).rejects.toMatchObject({
    code: 'features.bad_training_set',
    details: { faults: Array(6).fill({ detail: expect.stringContaining('NAME_COLLISION') }) },
  })
})

test('training-set of a spine without rows has the columns and types of one with rows (48)', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const made = async (name: string, sql: string) => {
    const spine = await addVersion(name, sql, spineSchema)
    const { result, json, outputs } = await runStep(
      'training-set',
      { service: 'board', time: 'at' },
      { spine, flights },
    )
    const files = [join(outputs.set!, 'part-00000.parquet')]
    const set = await engine.rows({ sql: 'SELECT * FROM made', inputs: { made: { format: 'parquet', files } } })
    const { schema: declared } = json.manifest as DatasetManifest
    return { rows: set.rows.length, counted: result.rowCount, columns: set.columns, declared }
  }
  const empty = await made('empty', `${SPINE} WHERE false`)
  const full = await made('spine', SPINE)
  expect([empty.rows, empty.counted, full.rows]).toEqual([0, 0, 3])
  expect(empty.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
    ...['at TIMESTAMP WITH TIME ZONE', 'destination VARCHAR', 'id INTEGER', 'origin VARCHAR'],
    ...['origin', 'destination'].flatMap((as) => [
      `${as}__mean_3h DOUBLE`,
      `${as}__n_3h BIGINT`,
      `${as}__newest INTEGER`,
    ]),
  ])
  expect([empty.columns, empty.declared]).toEqual([full.columns, full.declared])
})

test('training-set as of an instant is the same again, bytes and version, after rows that came to be known later (45)', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const spine = await addVersion('spine', SPINE, spineSchema)
  const backfill = `SELECT * FROM (VALUES
    (TIMESTAMPTZ '2001-01-01 08:40:00+00', TIMESTAMPTZ '2001-01-01 11:45:00+00', 'JFK', 'BOS', 99),
    (TIMESTAMPTZ '2001-01-01 09:30:00+00', TIMESTAMPTZ '2001-01-01 11:50:00+00', 'BOS', 'JFK', 7)) t(date, landed_at, origin, destination, delay)`
  const later = await addVersion('flights', `${backfill} UNION ALL ${FLIGHTS}`)
  const made = async (source: StepOutput, asOf?: string) =>
    (
      await runStep(
        'training-set',
        { service: 'board', time: 'at', ...(asOf ? { asOf } : {}) },
        { spine, flights: source },
      )
    ).result
  const asOf = '2001-01-01T11:40:00Z'
  const [first, again, open] = [await made(flights, asOf), await made(later, asOf), await made(later)]
  expect([again.digest, again.version]).toEqual([first.digest, first.version])
  expect(open.digest).not.toBe(first.digest)
})

test('training-set keeps rows without a key or time, without features, and counts them and the unseen rows of a source', async () => {
  const nullable = (columns: DatasetManifest['schema']): DatasetManifest['schema'] =>
    Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, { ...type, nullable: true }]))
  const lost = `SELECT * FROM (VALUES
    (NULL, TIMESTAMPTZ '2001-01-01 09:00:00+00', 'JFK', 'BOS', 77), (TIMESTAMPTZ '2001-01-01 08:00:00+00', TIMESTAMPTZ '2001-01-01 09:00:00+00', NULL, 'BOS', 78)) t(date, landed_at, origin, destination, delay)`
  const flights = await addVersion('flights', `${FLIGHTS} UNION ALL ${lost}`, nullable(schema))
  await declareAll()
  const rows = `SELECT * FROM (VALUES
    (4, NULL, 'JFK', 'BOS'), (5, TIMESTAMPTZ '2001-01-01 12:00:00+00', NULL, 'BOS'), (6, NULL, NULL, NULL)) t(id, "at", origin, destination)`
  const spine = await addVersion('spine', `${SPINE} UNION ALL ${rows}`, nullable(spineSchema))
  const said: string[] = []
  const progress = (_: number, message: string) => said.push(message)
  const { result, json, outputs } = await runStep(
    'training-set',
    { service: 'board', time: 'at' },
    { spine, flights },
    { progress },
  )
  const counted = {
    rowsWithoutTime: 2,
    views: [
      { name: 'departures', rowsWithoutKey: 2, sourceRowsLeftOut: 2 },
      { name: 'departures', rowsWithoutKey: 1, sourceRowsLeftOut: 2 },
    ],
  }
  expect([result, json.report]).toMatchObject([
    { ...counted, rowCount: 6 },
    { ...counted, rows: 6 },
  ])
  expect(said.at(-1)).toBe('6 rows with 6 features; 3 without a key or time, whose features are null')
  const found = await engine.rows({
    sql: 'SELECT id, origin__n_3h, origin__newest, destination__n_3h, destination__newest FROM made WHERE id > 2',
    inputs: { made: { format: 'parquet', files: [join(outputs.set!, 'part-00000.parquet')] } },
  })
  expect(found.rows).toEqual([
    [3, 1n, 50, 1n, 30],
    [4, null, null, null, null],
    [5, null, null, 1n, 30],
    [6, null, null, null, null],
  ])
})

test('training-set names every fault of its spine at once', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const spine = await addVersion('spine', 'SELECT 1 AS origin', { origin: { type: 'int32', nullable: false } })
  const details = {
    faults: [
      { detail: expect.stringContaining('no column "at"') },
      { detail: expect.stringContaining('TYPE_MISMATCH_KEY') },
      { detail: expect.stringContaining('MISSING_JOIN_KEY') },
    ],
  }
  await expect(runStep('training-set', { service: 'board', time: 'at' }, { spine, flights })).rejects.toMatchObject({
    code: 'features.bad_training_set',
    details,
  })
  await expect(runStep('training-set', { service: 'board', time: 'at' }, { spine })).rejects.toMatchObject({
    code: 'features.input_missing',
  })
})

test('training-set and view refuse a key of another type, an int64 for a double among them (35)', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const spine = await addVersion(
    'spine',
    "SELECT 9007199254740992.0::DOUBLE AS number, TIMESTAMPTZ '2001-01-01 10:00:00+00' AS at",
    {
      number: { type: 'float64', nullable: false },
      at: { type: 'timestamp', zone: 'UTC', nullable: false },
    },
  )
  const item = defineEntity({ name: 'item', keys: { number: 'int64' } })
  const view = { name: 'items', entity: item, eventTime: 'at', features: { n: count().over('3h') } }
  const declare = (source: string) =>
    database.ctx.transaction((tx) => declareFeatureView(tx, defineFeatureView({ ...view, source })))
  await database.ctx.transaction((tx) => declareEntity(tx, item))
  await expect(declare('spine')).rejects.toMatchObject({
    code: 'features.bad_view',
    details: { faults: [{ pointer: '/keyColumns/number', detail: expect.stringContaining('is float64') }] },
  })
  const exact = await addVersion(
    'exact',
    "SELECT 9007199254740993::BIGINT AS number, TIMESTAMPTZ '2001-01-01 09:00:00+00' AS at",
    {
      number: { type: 'int64', nullable: false },
      at: { type: 'timestamp', zone: 'UTC', nullable: false },
    },
  )
  await declare('exact')
  await database.ctx.transaction((tx) =>
    declareFeatureService(tx, defineFeatureService({ name: 'shelf', views: [{ view: 'items' }] })),
  )
  await expect(
    runStep('training-set', { service: 'shelf', time: 'at' }, { spine, exact, flights }),
  ).rejects.toMatchObject({
    code: 'features.bad_training_set',
    details: { faults: [{ detail: expect.stringContaining('TYPE_MISMATCH_KEY') }] },
  })
})

test('materialize fills the online store up to an instant, a second run applies nothing, and one that is exact only later says so', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-online-'))
  const onlineStore = { onlineStore: async () => openLmdbOnlineStore({ directory, mapSizeBytes: 64 << 20 }) }
  const params = { service: 'board', until: '2001-01-01T12:00:00Z' }
  expect((await runStep('materialize', params, { flights }, onlineStore)).result.views).toEqual([
    { view: 'departures', applied: 6, stale: 0 },
  ])
  expect((await runStep('materialize', params, { flights }, onlineStore)).result.views).toEqual([
    { view: 'departures', applied: 0, stale: 6 },
  ])
  const store = await onlineStore.onlineStore()
  const reader = openOnlineReader({ store, spec: await servingSpec(database.ctx, 'board') })
  const { values } = reader.lookup(
    { origin: 'JFK', destination: 'BOS' },
    BigInt(Date.parse('2001-01-01T12:00:00Z')) * 1_000n,
  )
  expect(Object.fromEntries(reader.names.map((name, index) => [name, values[index]]))).toEqual({
    origin__mean_3h: 50,
    origin__n_3h: 1,
    origin__newest: 50,
    destination__mean_3h: 30,
    destination__n_3h: 1,
    destination__newest: 30,
  })
  await store.close()

  const warned: object[] = []
  const log = { ...silentLog, warn: (fields: object) => warned.push(fields) }
  const fill = (untilMs: number, slackDays: number) =>
    runStep(
      'materialize',
      { service: 'board', until: new Date(untilMs).toISOString(), slackUs: slackDays * 86_400_000_000 },
      { flights },
      { ...onlineStore, log },
    )
  const inTwoDaysMs = database.ctx.clock.nowMs() + 2 * 86_400_000
  await fill(inTwoDaysMs, 3)
  expect(warned, 'what is looked up now is exact').toEqual([])
  await fill(inTwoDaysMs, 1)
  expect(warned).toEqual([
    { exactFrom: new Date(inTwoDaysMs - 86_400_000).toISOString(), clock: expect.stringMatching(/^20.*Z$/) },
  ])
})

test('materialize refuses an instant more than 30 days ahead of the clock, and names both', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const { resolve } = featureStepKinds(async () => new Set()).find(({ kind }) => kind === 'materialize')!
  const ctx = { ...database.ctx, clock: manualClock(Date.parse('2001-01-01T12:00:00Z')) }
  const untilOf = (until: string) => resolve!(ctx, { params: { service: 'board', until }, inputs: { flights } })
  expect(await untilOf('2001-01-31T12:00:00Z')).toMatchObject({ untilUs: '980942400000000' })
  await expect(untilOf('2010-01-02T12:00:00Z')).rejects.toMatchObject({
    code: 'features.bad_params',
    message: expect.stringMatching(/until 2010-01-02T12:00:00Z: .*30 days after.*2001-01-01T12:00:00\.000Z$/),
    details: { faults: [{ pointer: '/until' }] },
  })
})

test('materialize takes now by the clock of the server, also where no until is given, and a time from now', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const { resolve, params } = featureStepKinds(async () => new Set()).find(({ kind }) => kind === 'materialize')!
  const clock = manualClock(Date.parse('2001-01-01T12:00:00Z'))
  const untilOf = async (until: object) => {
    const spec = await resolve!(
      { ...database.ctx, clock },
      { params: { service: 'board', ...until }, inputs: { flights } },
    )
    return new Date(Number((spec as { untilUs: string }).untilUs) / 1_000).toISOString() // as resolved
  }
  expect(await untilOf({})).toBe('2001-01-01T12:00:00.000Z')
  expect(await untilOf({ until: 'now+36h' })).toBe('2001-01-03T00:00:00.000Z')
  clock.advance(60_000)
  expect(await untilOf({ until: 'now' }), 'each run asks the clock').toBe('2001-01-01T12:01:00.000Z')
  expect(await untilOf({ until: 'now+12d' })).toBe('2001-01-13T12:01:00.000Z')
  await expect(untilOf({ until: 'now+31d' })).rejects.toThrow(/^Cannot materialize until 2001-02-01T12:01:00\.000Z: /)
  for (const until of ['now-1d', 'now+1w', 'tomorrow', '2001-01-01'])
    expect(params!.safeParse({ service: 'board', until }).error?.issues, until).toMatchObject([
      { path: ['until'], message: expect.stringMatching(/^expected a time with its offset, .* such as now\+12d$/) },
    ])
})

test('materialize and training-set name the text that is no instant', () => {
  const said = ['materialize', 'training-set'].flatMap((name) => {
    const { params } = featureStepKinds(async () => new Set()).find(({ kind }) => kind === name)!
    const given = { service: 'board', until: 'tomorrow', time: 'date', asOf: 'tomorrow' }
    return params.safeParse(given, IN_WORDS).error!.issues.map((issue) => `${issue.path.join('/')} ${faultText(issue)}`)
  })
  for (const name of ['until', 'asOf'])
    expect(said).toContainEqual(
      expect.stringMatching(new RegExp(`^${name} expected a time with its offset, .*, found "tomorrow"$`)),
    )
})

test('materialize refuses where the installation has no online store', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const params = { service: 'board', until: '2001-01-01T12:00:00Z' }
  await expect(runStep('materialize', params, { flights })).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'features.no_online_store',
  })
})

test('materialize also fills an older meaning by which something serves, and leaves it when the data has it no longer', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await declareAll()
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-online-'))
  const onlineStore = { onlineStore: async () => openLmdbOnlineStore({ directory, mapSizeBytes: 64 << 20 }) }
  const serving = await servingSpec(database.ctx, 'board')
  const { generation } = await requireFeatureView(database.ctx, 'departures')
  await database.ctx.transaction((tx) =>
    declareFeatureView(tx, { ...departures, features: { n_3h: count().over('3h') } }),
  )
  const params = { service: 'board', until: '2001-01-01T12:00:00Z' }
  const viewsOf = async (inputs: Record<string, StepOutput>) =>
    (await runStep('materialize', params, inputs, onlineStore)).result.views
  expect(await viewsOf({ flights })).toEqual([{ view: 'departures', applied: 2, stale: 0 }])
  bound = [generation!]
  expect(await viewsOf({ flights })).toEqual([
    { view: 'departures', applied: 0, stale: 2 },
    { view: 'departures', applied: 6, stale: 0 },
  ])
  const store = await onlineStore.onlineStore()
  const now = BigInt(Date.parse('2001-01-01T12:00:00Z')) * 1_000n
  const { statuses } = openOnlineReader({ store, spec: serving }).lookup({ origin: 'JFK', destination: 'BOS' }, now)
  expect(new Set(statuses)).toEqual(new Set(['PRESENT']))
  await store.close()
  const { delay: _, ...rest } = schema
  const without = await addVersion('flights', `SELECT date, landed_at, origin, destination FROM (${FLIGHTS})`, rest)
  expect(await viewsOf({ flights: without })).toEqual([{ view: 'departures', applied: 2, stale: 0 }])
  bound = []
})

test('sql-transform keeps the result of one SELECT as a dataset version', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  const { result } = await runStep(
    'sql-transform',
    { sql: 'SELECT origin, count(*) AS n FROM flights GROUP BY origin ORDER BY origin', dataset: 'counts' },
    { flights },
  )
  expect(result).toMatchObject({ dataset: 'counts', version: 1, rowCount: 2 })
  const { result: first } = await runStep('sql-transform', { sql: 'SELECT 1 AS n', dataset: 'sums' }, { flights })
  await runStep('sql-transform', { sql: 'SELECT 2 AS n', dataset: 'sums' }, { flights })
  for (const { kind, reuse } of featureStepKinds(async () => new Set()))
    expect(await reuse?.(database.ctx, first!)).toBe(kind === 'materialize' ? undefined : true)
  expect((await latestVersion(database.ctx, 'sums')).version, 'is the newest again').toBe(1)
})

test('sql-transform refuses a column that the SDK has no type for, and says what to do', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  await expect(
    runStep('sql-transform', { sql: 'SELECT [delay] AS delays FROM flights' }, { flights }),
  ).rejects.toMatchObject({
    code: 'features.column_type',
    message: expect.stringContaining('column "delays" of the statement: it is INTEGER[]'),
    details: { action: expect.stringContaining('Cast') },
  })
})

test('sql-transform refuses times of its result that name no one instant in their zone', async () => {
  const flights = await addVersion('flights', FLIGHTS)
  const at = { type: 'timestamp', zone: 'America/New_York', nullable: false } as const
  const of = (time: string) => ({ sql: `SELECT TIMESTAMP '${time}' AS "at" FROM flights`, schema: { at } })
  await expect(runStep('sql-transform', of('2024-11-03 01:30:00'), { flights })).rejects.toMatchObject({
    code: 'datasets.bad_local_times',
    details: { faults: [{ detail: expect.stringContaining('AMBIGUOUS_TIME') }] },
  })
  await runStep('sql-transform', of('2024-11-03 02:30:00'), { flights })
})

test('declareFeatureView() makes a new version and generation when the meaning changes, and none for a description', async () => {
  await addVersion('flights', FLIGHTS)
  await declareAll()
  const before = await requireFeatureView(database.ctx, 'departures')
  await database.ctx.transaction((tx) => declareFeatureView(tx, { ...departures, description: 'words' }))
  const described = await requireFeatureView(database.ctx, 'departures')
  expect([described.digest, described.generation, described.definition.description]).toEqual([
    before.digest,
    before.generation,
    'words',
  ])
  await database.ctx.transaction((tx) => declareFeatureView(tx, { ...departures, ttlUs: 5 }))
  const changed = await requireFeatureView(database.ctx, 'departures')
  expect(changed.digest).not.toBe(before.digest)
  expect(changed.generation).not.toBe(before.generation)
  await database.ctx.transaction((tx) => declareFeatureView(tx, departures))
  expect((await requireFeatureView(database.ctx, 'departures')).generation).toBe(before.generation)
})

test('declareFeatureView() warns without a known-at time and lists every fault at once', async () => {
  await addVersion('flights', FLIGHTS)
  await declareAll()
  const { knownAt: _, ...silent } = departures
  const { warnings } = await database.ctx.transaction((tx) =>
    declareFeatureView(tx, { ...silent, name: 'no_known_at' }),
  )
  expect(warnings).toEqual([expect.stringContaining('no known-at time')])
  const wrong = {
    ...departures,
    eventTime: 'delay',
    keyColumns: { airport: 'delay' },
    features: { Upper: last('nowhere') },
  }
  await expect(database.ctx.transaction((tx) => declareFeatureView(tx, wrong))).rejects.toMatchObject({
    code: 'features.bad_view',
    details: {
      faults: [
        { pointer: '/keyColumns/airport' },
        { pointer: '/eventTime' },
        { detail: expect.stringContaining('Upper') },
        { detail: expect.stringContaining('nowhere') },
      ],
    },
  })
})

test('declareFeatureService() refuses two features of one name', async () => {
  await addVersion('flights', FLIGHTS)
  await declareAll()
  const twice = defineFeatureService({ name: 'twice', views: [departures, departures] })
  await expect(database.ctx.transaction((tx) => declareFeatureService(tx, twice))).rejects.toMatchObject({
    code: 'features.bad_feature_service',
  })
  expect((await requireFeatureService(database.ctx, 'board')).members.map(({ keys }) => keys)).toEqual([
    ['origin'],
    ['destination'],
  ])
})
