import type { PassportBound } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { addFeatures, addMaterialization, viewOf } from '../../features/declared.fixture.ts'
import { declareEntity, declareFeatureView } from '../../features/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { openTestApi, type TestApi } from '../../kernel/http/http.fixture.ts'
import { registryEndpoints } from '../../registry/index.ts'
import { addModel, addVersion, approveAs, auditOf, digestOf, modelOf } from '../../registry/registry.fixture.ts'
import {
  ADA,
  addRoute,
  addServable,
  BEN,
  lookupRouteOf,
  openArtifacts,
  releaseAs,
  rollbackAs,
  routeOf,
} from '../delivery.fixture.ts'
import {
  compileSignature,
  declareRoute,
  deliveryEndpoints,
  listAssignments,
  listEnvironments,
  listRoutes,
  removeRoute,
  requireRoute,
} from './index.ts'
import { misfits } from './route-signature.ts'

let database: TestDatabase
let ctx: Context
let api: TestApi
let artifacts: Awaited<ReturnType<typeof openArtifacts>>
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  artifacts = await openArtifacts(['one', 'two'])
  api = openTestApi([...deliveryEndpoints(artifacts), ...registryEndpoints({ environments: listEnvironments })], () =>
    ctx.as({ principal: BEN }),
  )
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await artifacts.close()
  await database.close()
})

const KEY = { environment: 'production', name: 'delay' }
const faultsOf = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return (error as { details?: { faults?: { pointer: string; detail: string }[] } } | undefined)?.details?.faults
}
const serviceFeatures = async () =>
  (await compileSignature(ctx, lookupRouteOf())).signature.features as {
    service: string
    digest: `sha256:${string}`
    views: { view: string; viewVersion: `sha256:${string}` }[]
  }

test('declareRoute() makes it so with one event and one audit row; repeating it is free', async () => {
  const { digest } = await addRoute(ctx)
  expect(await addRoute(ctx)).toMatchObject({ ...KEY, digest })
  expect(await requireRoute(ctx, KEY)).toEqual({ ...KEY, digest, definition: routeOf() })
  expect(await database.events()).toEqual([
    { type: 'delivery.route_declared', subject: 'production/delay', data: { digest } },
  ])
  expect(await auditOf(ctx)).toMatchObject([{ action: 'route.declare', subject: 'production/delay' }])
  const changed = await addRoute(ctx, routeOf({ sloMs: 10 }))
  expect(changed.digest).not.toBe(digest)
  expect((await listRoutes(ctx)).map((route) => route.definition.sloMs)).toEqual([10])
})

test('listEnvironments() gives some, and the wanted one where it is one', async () => {
  for (let number = 10; number < 35; number++) await addRoute(ctx, routeOf({ environment: `e${number}` }))
  expect(await listEnvironments(ctx, 'e34')).toEqual([...Array.from({ length: 19 }, (_, at) => `e${at + 10}`), 'e34'])
  expect(await listEnvironments(ctx, 'e99')).not.toContain('e99')
})

test('declareRoute() leaves nothing behind when its transaction throws', async () => {
  const broken = ctx.transaction(async (tx) => {
    await declareRoute(tx, routeOf())
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect(await listRoutes(ctx)).toEqual([])
  expect(await database.events()).toEqual([])
  expect(await auditOf(ctx)).toEqual([])
})

test('declareRoute() lists every column that the route cannot fill', async () => {
  const inputs = { distance: { type: 'int32', nullable: false }, at: { type: 'timestamp', nullable: false } } as const
  const work = addRoute(
    ctx,
    routeOf({
      inputs,
      columns: [
        { name: 'a', source: { from: 'input', input: 'absent' } },
        { name: 'b', source: { from: 'feature', feature: 'origin__mean_3h' } },
        { name: 'c', source: { from: 'time', input: 'distance', part: 'hour' } },
        { name: 'd', source: { from: 'time', input: 'at', part: 'hour', zone: 'Mars/Base' } },
        { name: 'e', source: { from: 'time', input: 'at', part: 'hour', zoneOf: 'zone' } },
        { name: 'e', source: { from: 'time', input: 'at', part: 'hour', zoneOf: 'distance' } },
        { name: 'f', source: { from: 'time', input: 'at', part: 'hour', zone: 'UTC' } },
      ],
    }),
  )
  expect(await faultsOf(work)).toEqual([
    { pointer: '/columns/0/source', detail: 'column a reads input absent, which the route does not have' },
    { pointer: '/columns/1/source', detail: 'column b needs a feature, but the route has no feature service' },
    { pointer: '/columns/2/source', detail: 'column c takes the hour of input distance, which is int32' },
    { pointer: '/columns/3/source', detail: 'column d names "Mars/Base", which is no IANA time zone' },
    { pointer: '/columns/4/source', detail: 'column e reads its zone from input zone, which the route does not have' },
    { pointer: '/columns/5/source', detail: 'column e reads its zone from input distance, which is int32' },
    { pointer: '/columns/5/name', detail: 'another column is named e' },
  ])
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'delivery.route_invalid' })
  expect(await listRoutes(ctx)).toEqual([])
})

test('declareRoute() refuses to redact what is no input', async () => {
  await addModel(ctx, modelOf('delay'))
  const misspelt = routeOf({ payloads: { redact: ['distance', 'distence'] } })
  expect(await faultsOf(addRoute(ctx, misspelt))).toEqual([
    { pointer: '/payloads/redact/1', detail: 'names distence, which is no input of the route' },
  ])
})

test('declareRoute() checks the keys that features are looked up by', async () => {
  await addFeatures(ctx)
  await expect(addRoute(ctx, lookupRouteOf())).resolves.toMatchObject(KEY)
  expect(await faultsOf(addRoute(ctx, lookupRouteOf({ inputs: { place: { entity: 'airport' } } })))).toEqual([
    { pointer: '/inputs', detail: 'view "departures" needs the key "origin", which is no input' },
  ])
  expect(
    await faultsOf(addRoute(ctx, lookupRouteOf({ inputs: { origin: { type: 'int32', nullable: false } } }))),
  ).toEqual([{ pointer: '/inputs/origin', detail: 'is int32, view "departures" needs text' }])
  expect(
    await faultsOf(
      addRoute(ctx, lookupRouteOf({ columns: [{ name: 'x', source: { from: 'feature', feature: 'origin__other' } }] })),
    ),
  ).toEqual([
    { pointer: '/columns/0/source', detail: 'column x needs feature origin__other, which board does not have' },
  ])
  await expect(addRoute(ctx, lookupRouteOf({ features: 'absent' }))).rejects.toMatchObject({
    code: 'features.service_not_found',
  })
  await expect(addRoute(ctx, lookupRouteOf({ inputs: { origin: { entity: 'absent' } } }))).rejects.toMatchObject({
    code: 'features.entity_not_found',
  })
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf({ online: false })))
  await expect(addRoute(ctx, lookupRouteOf())).rejects.toMatchObject({ code: 'features.not_online' })
})

test('compileSignature() takes the key that an input names, else the only one, else the one of its own name', async () => {
  await ctx.transaction(async (tx) => {
    await declareEntity(tx, { kind: 'entity', name: 'airport', keys: [{ name: 'code', type: 'text' }] })
    const keys = [
      { name: 'carrier', type: 'text' },
      { name: 'number', type: 'int64' },
      { name: 'tail', type: 'bytes' },
    ] as const
    await declareEntity(tx, { kind: 'entity', name: 'flight', keys: [...keys] })
  })
  const inputs = {
    origin: { entity: 'airport' },
    carrier: { entity: 'flight' },
    n: { entity: 'flight', key: 'number' },
    plane: { entity: 'flight', key: 'tail' },
    other: { entity: 'flight' },
  }
  const { signature, faults } = await compileSignature(ctx, routeOf({ inputs, columns: [] }))
  expect(signature.inputs).toEqual({
    origin: { entity: 'airport', key: 'code', type: 'text' },
    carrier: { entity: 'flight', key: 'carrier', type: 'text' },
    n: { entity: 'flight', key: 'number', type: 'int64' },
  })
  expect(faults).toEqual([
    { pointer: '/inputs/plane', detail: 'key "tail" of entity "flight" is bytes, which no row can hold' },
    { pointer: '/inputs/other', detail: 'entity "flight" has no key "other"' },
  ])
})

const signatureOf = (shapes: Record<string, number[]>, columns?: string[]): PassportBound['signature'] => ({
  inputs: Object.entries(shapes).map(([name, shape]) => ({ name, datatype: 'FP32', shape })),
  outputs: [],
  maxBatchSize: 64,
  ...(columns ? { columns } : {}),
})

test.each<[string, PassportBound['signature'], string[]]>([
  ['one matrix of the width', signatureOf({ x: [-1, 2] }), []],
  ['one matrix of any width', signatureOf({ x: [-1, -1] }), []],
  ['one matrix of another width', signatureOf({ x: [-1, 3] }), ['the version takes 3 columns, the route has 2']],
  ['as many rows as a request may have', signatureOf({ x: [10_000, 2] }), []],
  [
    'more rows than a request may have',
    signatureOf({ x: [10_001, 2] }),
    ['the version takes 10001 rows at a time, and a request has at most 10000'],
  ],
  ['an input for each column', signatureOf({ a: [-1], b: [-1, 1] }), []],
  ['one vector of its name', signatureOf({ b: [-1] }), []],
  [
    'an input that is no column',
    signatureOf({ a: [-1], c: [-1] }),
    ['the version needs the input "c", which the route lacks'],
  ],
  ['columns that it names', signatureOf({ x: [-1, 1] }, ['b']), []],
  [
    'a name that is no column',
    signatureOf({ x: [-1, 2] }, ['b', 'c']),
    ['the version needs the column "c", which the route lacks'],
  ],
  ['no signature', null, []],
])('misfits() of a version with %s', (_title, signature, expected) => {
  const columns = ['a', 'b'].map((name) => ({ name, source: { from: 'input' as const, input: name } }))
  const found = misfits({ inputs: {}, columns, features: null }, { signature } as PassportBound)
  expect(found.map((fault) => fault.detail)).toEqual(expected)
})

test('misfits() refuses a matrix of any width where the route has no column', () => {
  const bound = { signature: signatureOf({ x: [-1, -1] }) } as PassportBound
  const found = (columns: string[]) =>
    misfits(
      {
        inputs: {},
        columns: columns.map((name) => ({ name, source: { from: 'input', input: name } })),
        features: null,
      },
      bound,
    )
  expect(found(['a'])).toEqual([])
  expect(found([])).toHaveLength(1)
})

test.each([
  ['text', 'FP32', false],
  ['text', 'INT64', false],
  ['text', 'BYTES', true],
  ['boolean', 'BOOL', true],
  ['boolean', 'FP32', true],
  ['int64', 'FP16', true],
  ['int32', 'BYTES', true],
  ['timestamp', 'FP64', true],
  ['date', 'INT64', true],
  ['date', 'INT32', false],
  ['timestamp', 'BOOL', false],
] as const)('misfits() of an input of type %s for %s', (type, datatype, isFit) => {
  const columns = [{ name: 'a', source: { from: 'input' as const, input: 'q' } }]
  const found = (name: string, shape: number[]) =>
    misfits({ inputs: { q: { type, nullable: false } }, columns, features: null }, {
      signature: { inputs: [{ name, datatype, shape }], outputs: [], maxBatchSize: 8 },
    } as unknown as PassportBound).map(({ detail }) => detail)
  const expected = isFit ? [] : [`the version takes ${datatype} for the column "a", which is ${type}`]
  expect([found('x', [-1, -1]), found('a', [-1])]).toEqual([expected, expected])
})

test('a changed view changes nothing that serves, and a release over it needs a version that was trained on it', async () => {
  await addModel(ctx, modelOf('delay'))
  await addFeatures(ctx)
  await addRoute(ctx, lookupRouteOf())
  const trainedOn = async () => {
    const { service, digest, views } = await serviceFeatures()
    return {
      features: [{ service, digest, views: views.map(({ view, viewVersion }) => ({ view, version: viewVersion })) }],
    }
  }
  const first = await addVersion(ctx, 'delay', 'first', await trainedOn())
  await approveAs(ctx, ADA, { model: 'delay', version: first })
  await addMaterialization(ctx)
  await releaseAs(ctx, first)
  const served = await listAssignments(ctx)
  const changed = {
    mean_3h: { from: 'aggregate', function: 'max', column: 'delay', windowUs: 10_800_000_000, type: 'float64' },
  }
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf({ features: changed })))
  expect(await listAssignments(ctx)).toEqual(served)
  const refused = {
    kind: 'precondition',
    code: 'delivery.route_misfit',
    details: { faults: [{ pointer: '/features', detail: expect.stringContaining('train again') }] },
  }
  await expect(releaseAs(ctx, first)).rejects.toMatchObject(refused)
  const second = await addVersion(ctx, 'delay', 'second', await trainedOn())
  await approveAs(ctx, ADA, { model: 'delay', version: second })
  await expect(releaseAs(ctx, second)).rejects.toMatchObject({ code: 'delivery.features_missing' })
  await addMaterialization(ctx)
  await releaseAs(ctx, second)
  expect((await listAssignments(ctx))[0]!.signature).not.toEqual(served[0]!.signature)
  await rollbackAs(ctx)
  expect((await listAssignments(ctx))[0]!.signature).toEqual(served[0]!.signature)
  const elsewhere = await addVersion(ctx, 'delay', 'third', {
    features: [{ service: 'other', digest: digestOf('s'), views: [{ view: 'departures', version: digestOf('v') }] }],
  })
  await approveAs(ctx, ADA, { model: 'delay', version: elsewhere })
  await expect(releaseAs(ctx, elsewhere)).resolves.toMatchObject({ version: elsewhere })
})

test('a release to a route of other columns is refused, naming them', async () => {
  const [one] = await addServable(ctx, ['one'])
  const column = { name: 'distance', source: { from: 'input', input: 'distance' } } as const
  await addRoute(ctx, routeOf({ columns: [column, { ...column, name: 'again' }] }))
  await expect(releaseAs(ctx, one!)).rejects.toMatchObject({
    code: 'delivery.route_misfit',
    details: { faults: [{ pointer: '/columns', detail: 'the version takes 1 columns, the route has 2' }] },
  })
})

test('removeRoute() refuses a route that serves, and else leaves an audit row', async () => {
  const [one] = await addServable(ctx, ['one'])
  await addRoute(ctx, routeOf({ environment: 'staging' }))
  const record = await releaseAs(ctx, one!)
  await expect(ctx.transaction((tx) => removeRoute(tx, KEY))).rejects.toMatchObject({
    kind: 'precondition',
    code: 'delivery.route_serves',
    message: expect.stringContaining(record.id),
  })
  await ctx.transaction((tx) => removeRoute(tx, { ...KEY, environment: 'staging' }))
  expect((await listRoutes(ctx)).map((route) => route.environment)).toEqual(['production'])
  expect((await auditOf(ctx)).at(-1)).toMatchObject({ action: 'route.delete', subject: 'staging/delay' })
})

test('the history of a version tells its releases, rollbacks and aliases, and nothing of other versions', async () => {
  await addServable(ctx, ['one', 'two'])
  await addServable(ctx.as({ project: 'other' }), ['one'])
  await releaseAs(ctx, 1)
  await releaseAs(ctx, 2)
  await rollbackAs(ctx)
  const historyOf = async (version: number) => {
    const { json } = await api.call('GET', `/api/v1/models/delay/versions/${version}`)
    return json.history.map((entry: { action: string }) => entry.action)
  }
  expect(await historyOf(1)).toEqual([
    'release.rollback',
    'alias.move',
    'alias.move',
    'release.create',
    'alias.move',
    'version.approve',
    'version.register',
  ])
  expect(await historyOf(2)).toEqual([
    'alias.move',
    'release.create',
    'alias.move',
    'version.approve',
    'version.register',
  ])
  expect((await api.call('GET', '/api/v1/models')).json.models).toMatchObject([
    { name: 'delay', champion: 1, latest: 2 },
  ])
})

test('the routes of releases show what serves, take a release and a rollback, and page', async () => {
  await addServable(ctx, ['one', 'two'])
  expect((await api.call('GET', '/api/v1/routes/delay')).json.assignment).toBeNull()
  const post = (body: object, path = 'releases') => api.call('POST', `/api/v1/routes/delay/${path}`, body)
  expect(await post({ version: 1, reason: '' })).toMatchObject({ status: 400 })
  expect(await post({ version: 1, reason: 'r', expected: null })).toMatchObject({ status: 200, json: { epoch: 1 } })
  expect(await post({ version: 2, reason: 'r', expected: null })).toMatchObject({
    status: 412,
    json: { code: 'delivery.route_moved' },
  })
  expect(await post({ version: 2, reason: 'r' })).toMatchObject({ status: 200, json: { epoch: 2 } })
  expect(await post({ reason: 'r' }, 'rollback')).toMatchObject({ status: 200, json: { epoch: 3, action: 'rollback' } })
  const { json } = await api.call('GET', '/api/v1/routes')
  expect(json.routes).toMatchObject([{ ...KEY, assignment: { epoch: 3, version: 1, since: expect.any(String) } }])
  const page = await api.call('GET', '/api/v1/routes/delay/releases?before_epoch=3&limit=1')
  expect(page.json.releases).toMatchObject([{ epoch: 2, fromArtifact: digestOf('one') }])
  expect((await api.call('GET', '/api/v1/routes/other/releases')).status).toBe(404)
  expect((await api.call('GET', '/api/v1/routes/delay?environment=staging')).json.code).toBe('delivery.route_not_found')
})
