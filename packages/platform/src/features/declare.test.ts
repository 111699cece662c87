import {
  datasetDefinition,
  entityDefinition,
  type FeatureServiceDefinition,
  featureServiceDefinition,
} from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { declareDataset, declareDerivedDataset } from '../datasets/dataset.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { addFeatures, viewOf } from './declared.fixture.ts'
import { findDefinition, listDefinitions, removeDefinition } from './definition-store.ts'
import {
  declareEntity,
  declareFeatureService,
  declareFeatureView,
  endpoints,
  requireEntity,
  requireFeatureService,
  requireFeatureView,
  servingSpec,
  viewWarnings,
} from './index.ts'

let database: TestDatabase
let ctx: Context
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  api = openTestApi(endpoints, () => ctx)
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await database.close()
})

const faultsOf = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const { faults } = (error as { details: { faults: { pointer: string; detail: string }[] } }).details
  return faults.map(({ pointer, detail }) => `${pointer} ${detail}`)
}
const declareView = (change: Record<string, unknown>) => ctx.transaction((tx) => declareFeatureView(tx, viewOf(change)))
const serviceOf = (views: object[]): FeatureServiceDefinition =>
  featureServiceDefinition.parse({ kind: 'feature-service', name: 'board', views })
const declareService = (views: object[]) => ctx.transaction((tx) => declareFeatureService(tx, serviceOf(views)))

test('declareFeatureView() makes it so with an event and an audit row; repeating it is free', async () => {
  await addFeatures(ctx)
  const before = await database.events()
  expect(before.map((event) => [event.type, event.subject])).toContainEqual([
    'features.definition_declared',
    'feature-view/departures',
  ])
  expect(await declareView({})).toMatchObject({ isChanged: false, warnings: [] })
  expect(await database.events()).toEqual(before)
  const { digest, generation } = await requireFeatureView(ctx, 'departures')
  const described = await declareView({ description: 'new words', owner: 'ops' })
  expect(described).toMatchObject({ isChanged: true, digest })
  expect((await requireFeatureView(ctx, 'departures')).generation).toBe(generation)
})

test('a view gets a new generation with each new meaning, and its old one with an old meaning', async () => {
  await addFeatures(ctx)
  const generationOf = async () => (await requireFeatureView(ctx, 'departures')).generation
  const first = await generationOf()
  await declareView({ ttlUs: 1 })
  const second = await generationOf()
  expect(second).toBeGreaterThan(first!)
  await declareView({})
  expect(await generationOf()).toBe(first)
})

test('a view that was taken away and declared again with its old meaning has its old generation', async () => {
  await addFeatures(ctx)
  const { generation, digest } = await requireFeatureView(ctx, 'departures')
  await ctx.transaction(async (tx) => {
    await removeDefinition(tx, 'feature-service', 'board')
    await removeDefinition(tx, 'feature-view', 'departures')
  })
  await expect(requireFeatureView(ctx, 'departures')).rejects.toMatchObject({
    kind: 'not_found',
    code: 'features.view_not_found',
  })
  expect((await database.events()).at(-1)).toMatchObject({
    type: 'features.definition_removed',
    subject: 'feature-view/departures',
  })
  await declareView({})
  expect(await requireFeatureView(ctx, 'departures')).toMatchObject({ generation, digest })
})

test('removeDefinition() refuses what another definition names, and leaves nothing when its transaction throws', async () => {
  await addFeatures(ctx)
  const remove = (kind: 'entity' | 'feature-view', name: string) =>
    ctx.transaction((tx) => removeDefinition(tx, kind, name))
  const refused = { kind: 'precondition', code: 'features.in_use' }
  await expect(remove('entity', 'airport')).rejects.toMatchObject({
    ...refused,
    message: expect.stringContaining('feature view "departures"'),
  })
  await expect(remove('feature-view', 'departures')).rejects.toMatchObject({
    ...refused,
    message: expect.stringContaining('feature service "board"'),
  })
  const broken = ctx.transaction(async (tx) => {
    await removeDefinition(tx, 'feature-service', 'board')
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect(await requireFeatureService(ctx, 'board')).toMatchObject({ name: 'board' })
  expect(await findDefinition(ctx.as({ project: 'other' }), 'entity', 'airport')).toBeUndefined()
})

test('declareFeatureView() lists every fault against its entity and its dataset', async () => {
  await addFeatures(ctx)
  expect(await faultsOf(declareView({ entity: 'absent', source: 'nowhere' }))).toEqual([
    '/entity there is no entity "absent"',
    '/source there is no dataset "nowhere"',
  ])
  const faults = await faultsOf(
    declareView({
      keyColumns: { airport: 'delay', other: 'origin' },
      eventTime: 'origin',
      knownAt: 'absent',
      sequence: 'origin',
      tombstone: 'delay',
      features: {
        Upper: { from: 'column', column: 'delay', type: 'int32' },
        text_online: { from: 'column', column: 'origin', type: 'text' },
        wrong_type: { from: 'column', column: 'delay', type: 'float64' },
        sum_text: { from: 'aggregate', function: 'sum', column: 'origin', windowUs: 1, type: 'float64' },
        sum_nothing: { from: 'aggregate', function: 'sum', windowUs: 1, type: 'float64' },
        rows: { from: 'aggregate', function: 'count', windowUs: 1, type: 'int64' },
        odd: { from: 'column', column: 'constructor', type: 'int32' },
      },
    }),
  )
  expect(faults).toEqual([
    '/keyColumns/airport column "delay" is int32, expected the key\'s type text',
    '/keyColumns/other entity "airport" has no key "other"',
    '/eventTime column "origin" is text, expected timestamp',
    '/knownAt dataset "flights" has no column "absent"',
    '/sequence column "origin" is text, expected an integer',
    '/tombstone column "delay" is int32, expected boolean',
    expect.stringContaining('"Upper" is no name of a feature'),
    '/features/text_online is text: views with online true hold numbers and booleans only',
    '/features/wrong_type column "delay" is int32, expected float64',
    '/features/sum_text column "origin" is text, expected a number or boolean',
    '/features/sum_nothing sum needs a column',
    '/features/odd dataset "flights" has no column "constructor"',
  ])
  expect(await faultsOf(declareView({ features: {} }))).toEqual(['/features names no feature'])
  // No ttl is for ever (8); one of nothing would leave no value, and is refused rather than taken for that.
  await expect(declareView({ ttlUs: 0 })).rejects.toThrow(/ttlUs/)
  await expect(
    declareView({ online: false, features: { place: { from: 'column', column: 'origin', type: 'text' } } }),
  ).resolves.toMatchObject({ isChanged: true })
})

test('a view over a dataset that steps write is checked when a version is read', async () => {
  await addFeatures(ctx)
  await ctx.transaction((tx) => declareDerivedDataset(tx, 'made'))
  await expect(declareView({ source: 'made', eventTime: 'whatever' })).resolves.toMatchObject({ isChanged: true })
})

test('viewWarnings() warns of a view without known-at time', () => {
  const { knownAt: _knownAt, ...bare } = viewOf()
  expect([viewWarnings(viewOf()), viewWarnings(bare)]).toEqual([[], [expect.stringContaining('no known-at time')]])
})

test('declareEntity() refuses a key that is named twice', async () => {
  const keys = [
    { name: 'a', type: 'text' },
    { name: 'b', type: 'text' },
    { name: 'a', type: 'int32' },
  ]
  const entity = entityDefinition.parse({ kind: 'entity', name: 'airport', keys })
  const work = ctx.transaction((tx) => declareEntity(tx, entity))
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'features.bad_entity' })
  expect(await faultsOf(work)).toEqual(['/keys names "a" twice'])
  await expect(requireEntity(ctx, 'airport')).rejects.toMatchObject({ code: 'features.entity_not_found' })
})

test('declareFeatureService() lists every fault of the views that it uses', async () => {
  await addFeatures(ctx)
  const work = declareService([
    { view: 'absent' },
    { view: 'departures', keys: { other: 'x' } },
    { view: 'departures', as: 'origin', features: ['mean_3h', 'none', 'constructor'] },
    { view: 'departures', as: 'origin' },
  ])
  await expect(work).rejects.toMatchObject({ kind: 'invalid', code: 'features.bad_feature_service' })
  expect(await faultsOf(work)).toEqual([
    '/views/0/view there is no feature view "absent"',
    '/views/1/keys/other entity "airport" has no key "other"',
    '/views/2/features view "departures" has no feature "none"',
    '/views/2/features view "departures" has no feature "constructor"',
    '/views/3 "origin__mean_3h" is also a feature of /views/2: give the view another name with "as"',
  ])
})

test('requireFeatureService() refuses one whose views have changed under it', async () => {
  await addFeatures(ctx)
  await declareService([{ view: 'departures', features: ['mean_3h'] }])
  await declareView({ features: { rows: { from: 'aggregate', function: 'count', windowUs: 1, type: 'int64' } } })
  await expect(requireFeatureService(ctx, 'board')).rejects.toMatchObject({
    code: 'features.bad_feature_service',
    message: expect.stringContaining('its views have changed'),
  })
  await expect(requireFeatureService(ctx, 'absent')).rejects.toMatchObject({ code: 'features.service_not_found' })
})

test('servingSpec() names views by digest and generation, with where each value comes from', async () => {
  const features = {
    mean_3h: { from: 'aggregate', function: 'mean', column: 'delay', windowUs: 10, type: 'float64' },
    newest: { from: 'column', column: 'delay', type: 'int32' },
    rows: { from: 'aggregate', function: 'count', windowUs: 20, type: 'int64' },
  }
  await addFeatures(ctx, viewOf({ features, ttlUs: 5 }))
  const { digest, generation } = await requireFeatureView(ctx, 'departures')
  expect(await servingSpec(ctx, 'board')).toMatchObject({
    service: 'board',
    names: ['origin__mean_3h', 'origin__newest', 'origin__rows'],
    views: [
      {
        view: 'departures',
        viewVersion: digest,
        generation,
        keys: [{ input: 'origin', type: 'text' }],
        ttlUs: 5,
        columns: [{ at: 1, slot: 0 }],
        windows: [
          { at: 0, function: 'mean', column: 0, windowUs: 10 },
          { at: 2, function: 'count', column: -1, windowUs: 20 },
        ],
      },
    ],
  })
  await declareView({ online: false })
  await expect(servingSpec(ctx, 'board')).rejects.toMatchObject({ kind: 'precondition', code: 'features.not_online' })
})

test('the routes show definitions, page by name, and what a gateway is told', async () => {
  await addFeatures(ctx)
  await ctx.transaction((tx) =>
    declareDataset(
      tx,
      datasetDefinition.parse({
        kind: 'dataset',
        name: 'more',
        source: { format: 'csv', path: 'a.csv' },
        schema: { a: { type: 'text' } },
      }),
    ),
  )
  for (const name of ['a', 'b', 'c'])
    await ctx.transaction((tx) =>
      declareEntity(tx, entityDefinition.parse({ kind: 'entity', name, keys: [{ name: 'k', type: 'text' }] })),
    )
  const first = await api.call('GET', '/api/v1/entities?limit=2')
  expect(first.json).toMatchObject({ definitions: [{ name: 'a' }, { name: 'airport' }], next: 'airport' })
  expect((await api.call('GET', '/api/v1/entities?after=airport')).json).toMatchObject({
    definitions: [{ name: 'b' }, { name: 'c' }],
    next: null,
  })
  expect(await listDefinitions(ctx, 'entity', { limit: 9_999 })).toMatchObject({ next: null })
  expect((await api.call('GET', '/api/v1/feature-views/departures')).json).toMatchObject({
    definition: { entity: 'airport' },
  })
  expect((await api.call('GET', '/api/v1/feature-services')).json.definitions).toMatchObject([{ name: 'board' }])
  expect((await api.call('GET', '/api/v1/feature-views/absent')).json.code).toBe('features.view_not_found')
  expect((await api.call('GET', '/api/v1/feature-services/board/serving')).json).toMatchObject({ service: 'board' })
})
