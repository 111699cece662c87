import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { type Definition, definition, type PlanView, type ProjectContent } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { requireDataset } from '../datasets/index.ts'
import { lookupRouteOf, releaseAs, retireAs, routeOf } from '../delivery/delivery.fixture.ts'
import { listRoutes } from '../delivery/index.ts'
import { viewOf } from '../features/declared.fixture.ts'
import { holdUpload } from '../kernel/blob/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestBytes, digestTree } from '../kernel/digest.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { requirePipeline } from '../pipelines/index.ts'
import { findModel } from '../registry/index.ts'
import { addVersion, approveAs, auditOf, modelOf, person } from '../registry/registry.fixture.ts'
import { refuseUnknownDatasets } from './dataset-references.ts'
import { diffCode, diffJson } from './definition-diff.ts'
import { definitionEndpoints } from './index.ts'
import { applyPlan, planProject, reviewPlan } from './plan.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-plan-'))
const kinds = new Map()
let database: TestDatabase
let ctx: Context
let blobs: BlobStore
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  blobs = await openFilesBlobStore(directory)
  api = openTestApi(definitionEndpoints({ blobs, kinds }), () => ctx)
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await blobs.close()
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

const zoned = { type: 'timestamp', zone: 'UTC' } as const
const FLIGHTS = {
  kind: 'dataset',
  name: 'flights',
  source: { format: 'parquet', path: 'flights.parquet' },
  schema: { date: zoned, landed_at: zoned, origin: { type: 'text' }, delay: { type: 'int32' } },
}
const AIRPORT = { kind: 'entity', name: 'airport', keys: [{ name: 'airport', type: 'text' }] }
const BOARD = {
  kind: 'feature-service',
  name: 'board',
  views: [{ view: 'departures', as: 'origin', keys: { airport: 'origin' } }],
}
const TRAIN = { kind: 'pipeline', name: 'train', steps: [{ key: 'fit', kind: 'command', params: { argv: ['true'] } }] }
/** In an order that is not that of declaration. */
const WHOLE: object[] = [lookupRouteOf(), TRAIN, BOARD, viewOf(), modelOf('delay'), AIRPORT, FLIGHTS]

function contentOf(definitions: readonly object[], change: Partial<ProjectContent> = {}): ProjectContent {
  return {
    source: 'flights',
    origin: { commit: 'c0ffee', isDirty: false },
    definitions: definitions.map((value) => definition.parse(value)),
    bundles: {},
    ...change,
  }
}
const upload = async (code: string) => {
  const stored = await blobs.put(Buffer.from(code))
  await holdUpload(ctx, blobs, stored.digest)
  return stored
}
const plan = (content: ProjectContent, prune = false) => planProject(ctx, { blobs, kinds }, content, prune)
const apply = async (content: ProjectContent, prune = false) =>
  applyPlan(ctx, { blobs, kinds }, content, prune, (await plan(content, prune)).digest)
const changes = ({ changes: found }: PlanView) =>
  Object.fromEntries(found.map(({ kind, name, change }) => [`${kind}/${name}`, change]))
const without = (...kindsLeft: Definition['kind'][]) =>
  WHOLE.filter((value) => !kindsLeft.includes((value as Definition).kind))
const declared = async () =>
  (await ctx.db.selectFrom('declared').select(['kind', 'name']).orderBy('kind').orderBy('name').execute()).map(
    ({ kind, name }) => `${kind}/${name}`,
  )

test('diffJson() names every place by its pointer, and nothing of equal values', () => {
  expect(diffJson({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 })).toEqual([])
  expect(diffJson({ a: 1, 'x/y~z': 1, gone: null }, { a: 2, 'x/y~z': [1], list: [] })).toEqual([
    { pointer: '/a', old: 1, new: 2 },
    { pointer: '/x~1y~0z', old: 1, new: [1] },
    { pointer: '/gone', old: null, new: null },
    { pointer: '/list', old: null, new: [] },
  ])
  expect(diffJson([1, 2, 3], [1, 3])).toEqual([
    { pointer: '/1', old: 2, new: 3 },
    { pointer: '/2', old: 3, new: null },
  ])
  expect(diffJson({}, { constructor: { type: 'text' } })).toEqual([
    { pointer: '/constructor', old: null, new: { type: 'text' } },
  ])
  const wide = (value: number) => Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, value]))
  expect(diffJson(wide(1), wide(2))).toHaveLength(100)
})

test('planProject() changes nothing; applyPlan() makes it so, in one transaction with its event and audit row', async () => {
  const content = contentOf(WHOLE)
  const planned = await plan(content)
  expect(new Set(planned.changes.map((entry) => entry.change))).toEqual(new Set(['create']))
  expect(planned.warnings).toEqual([])
  expect(await declared()).toEqual([])
  expect(await database.events()).toEqual([])
  expect(await applyPlan(ctx, { blobs, kinds }, content, false, planned.digest)).toEqual(planned)
  expect(await declared()).toHaveLength(WHOLE.length)
  expect((await database.events()).at(-1)).toEqual({
    type: 'definitions.applied',
    subject: 'flights',
    data: { plan: planned.digest, origin: content.origin },
  })
  const audited = (await auditOf(ctx)).at(-1)
  expect(audited).toMatchObject({ action: 'project.apply', subject: 'flights' })
  expect((audited!.data as { changes: string[] }).changes).toContain('create route/delay')
  const again = await plan(content)
  expect(new Set(Object.values(changes(again)))).toEqual(new Set(['unchanged']))
  expect(again.digest).not.toBe(planned.digest)
})

test('reviewPlan() answers as planProject() does, refuses what applyPlan() would, and leaves nothing', async () => {
  const review = (content: ProjectContent, prune = false) => reviewPlan(ctx, { blobs, kinds }, content, prune)
  expect(await review(contentOf(WHOLE))).toEqual(await plan(contentOf(WHOLE)))
  await expect(review(contentOf([FLIGHTS, AIRPORT, viewOf({ eventTime: 'absent' }), BOARD]))).rejects.toMatchObject({
    kind: 'invalid',
    code: 'features.bad_view',
  })
  expect([await declared(), await database.events(), await auditOf(ctx)]).toEqual([[], [], []])
  await apply(contentOf(WHOLE))
  const before = await declared()
  const dropped = await review(contentOf(without('route')), true)
  expect(changes(dropped)).toMatchObject({ 'route/delay': 'delete' })
  expect(await declared()).toEqual(before)
})

test('reviewPlan() refuses a pipeline that reads a dataset which nobody knows, with those that there are', async () => {
  const review = (...definitions: object[]) => reviewPlan(ctx, { blobs, kinds }, contentOf(definitions), false)
  const reading = (dataset: string, ...more: object[]) => ({
    ...TRAIN,
    steps: [
      ...more,
      { key: 'fit', kind: 'command', params: { argv: ['true'] }, inputs: { rows: { from: 'dataset', dataset } } },
    ],
  })
  await expect(review(FLIGHTS, reading('flihgts'))).rejects.toMatchObject({
    code: 'pipelines.invalid',
    details: {
      faults: [
        {
          pointer: '/steps/0/inputs/rows',
          detail: 'step fit reads dataset "flihgts", but there is no such dataset; there is only flights',
        },
      ],
    },
  })
  await expect(review(reading('flights'))).rejects.toMatchObject({
    details: { faults: [{ detail: expect.stringMatching(/; declare one: defineDataset\(\) or kind: dataset$/) }] },
  })
  expect(changes(await review(FLIGHTS, reading('flights')))).toMatchObject({ 'pipeline/train': 'create' })
  await apply(contentOf([FLIGHTS], { source: 'others' }))
  expect(changes(await review(reading('flights')))).toEqual({ 'pipeline/train': 'create' })
  const joined = { key: 'join', kind: 'training-set', params: { service: 'board' } }
  const making = definition.parse(reading('board-training', joined))
  await expect(refuseUnknownDatasets(ctx, [making], [])).resolves.toBeUndefined()
  await expect(refuseUnknownDatasets(ctx, [definition.parse(reading('board-training'))], [])).rejects.toThrow()
  await expect(
    refuseUnknownDatasets(ctx, [definition.parse(reading('board-training'))], [making]),
  ).resolves.toBeUndefined()
  const summed = { key: 'sum', kind: 'sql-transform', params: { sql: 'select 1 as n', dataset: 'sums' } }
  await expect(refuseUnknownDatasets(ctx, [definition.parse(reading('sums', summed))], [])).resolves.toBeUndefined()
})

test('planProject() warns of approvals for an environment in which no route serves', async () => {
  const asks = modelOf('other', { approvals: { production: 1, prodution: 1 } })
  const { warnings } = await plan(contentOf([...WHOLE, asks]))
  expect(warnings).toEqual([
    'model "other" asks for approvals in "prodution", where no route serves: nothing waits for them (routes are in production)',
  ])
})

test('reviewPlan() of many definitions compares them, and says that it does no more', async () => {
  const models = Array.from({ length: 201 }, (_, n) => ({ kind: 'model', name: `m${n}` }))
  const { changes: found, warnings } = await reviewPlan(ctx, { blobs, kinds }, contentOf(models), false)
  expect([found.length, warnings]).toEqual([201, [expect.stringContaining('shows at apply')]])
})

test('reviewPlan() of a large definition compares it only, as it does of many', async () => {
  const large = contentOf([
    {
      kind: 'pipeline',
      name: 'p',
      steps: [{ key: 'a', kind: 'python', params: { script: 'a.py', rows: Array(100_000).fill(0) } }],
    },
  ])
  const { changes: found, warnings } = await reviewPlan(ctx, { blobs, kinds }, large, false)
  expect([found, warnings]).toEqual([
    [expect.objectContaining({ change: 'create' })],
    [expect.stringContaining('more than 100000 values')],
  ])
})

test('the route of a plan refuses more values than a large project has, before it looks at them', async () => {
  const content = { a: Array(500_001).fill(0) }
  expect(await api.call('POST', '/api/v1/plan', { content })).toMatchObject({
    status: 413,
    json: { code: 'http.json_too_large', detail: expect.stringContaining('500000 values') },
  })
  expect((await api.call('POST', '/api/v1/plan', { content: { a: Array(200_000).fill(0) } })).json.code).toBe(
    'http.invalid_request',
  )
})

test('applyPlan() leaves nothing when one definition is refused', async () => {
  const content = contentOf([FLIGHTS, AIRPORT, viewOf({ eventTime: 'absent' }), BOARD])
  await expect(apply(content)).rejects.toMatchObject({ kind: 'invalid', code: 'features.bad_view' })
  expect(await declared()).toEqual([])
  expect(await database.events()).toEqual([])
  expect(await auditOf(ctx)).toEqual([])
})

test('applyPlan() refuses a plan that was made against an older state, or for other content', async () => {
  const stale = { kind: 'precondition', code: 'definitions.stale_plan' }
  const { digest } = await plan(contentOf([FLIGHTS]))
  await apply(contentOf([AIRPORT], { source: 'others' }))
  const late = (content: ProjectContent, prune = false) => applyPlan(ctx, { blobs, kinds }, content, prune, digest)
  await expect(late(contentOf([FLIGHTS]))).rejects.toMatchObject(stale)
  const fresh = await plan(contentOf([FLIGHTS]))
  await expect(
    applyPlan(
      ctx,
      { blobs, kinds },
      contentOf([FLIGHTS], { origin: { commit: 'other', isDirty: false } }),
      false,
      fresh.digest,
    ),
  ).rejects.toMatchObject(stale)
  await expect(applyPlan(ctx, { blobs, kinds }, contentOf([FLIGHTS]), true, fresh.digest)).rejects.toMatchObject(stale)
  expect(await declared()).toEqual(['entity/airport'])
})

test('applyPlan() refuses a plan of another project, though both have the same state', async () => {
  const { digest } = await plan(contentOf([FLIGHTS]))
  const other = ctx.as({ project: 'other' })
  await expect(applyPlan(other, { blobs, kinds }, contentOf([FLIGHTS]), false, digest)).rejects.toMatchObject({
    code: 'definitions.stale_plan',
  })
})

test('of two plans of one state that are applied at once, one wins', async () => {
  const [one, two] = [contentOf([FLIGHTS]), contentOf([FLIGHTS, AIRPORT])]
  const plans = [await plan(one), await plan(two)]
  const ends = await Promise.allSettled(
    [one, two].map((content, index) => applyPlan(ctx, { blobs, kinds }, content, false, plans[index]!.digest)),
  )
  expect(ends.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected'])
})

test('planProject() refuses what is declared twice, and what another source owns', async () => {
  await expect(plan(contentOf([AIRPORT, AIRPORT]))).rejects.toMatchObject({
    kind: 'invalid',
    code: 'definitions.invalid',
    details: { faults: [{ pointer: '/definitions/1', detail: 'entity airport is declared twice' }] },
  })
  await apply(contentOf([AIRPORT], { source: 'others' }))
  await expect(plan(contentOf([FLIGHTS, AIRPORT]))).rejects.toMatchObject({
    kind: 'conflict',
    code: 'definitions.foreign',
    details: {
      faults: [{ pointer: '/definitions/1', detail: 'entity airport belongs to source others' }],
      action: expect.stringMatching(/defineProject.*--project/),
    },
  })
  expect(changes(await plan(contentOf([FLIGHTS]), true))).toEqual({ 'dataset/flights': 'create' })
})

test('planProject() shows where a definition changed, and that only its code did', async () => {
  const put = await upload('print(1)')
  const other = await upload('print(2)')
  const python = {
    kind: 'pipeline',
    name: 'train',
    steps: [{ key: 'fit', kind: 'python', params: { script: 'a.py' } }],
  }
  const bundles = (digest: string) => {
    const files = [{ path: 'a.py', digest: digest as Digest, sizeBytes: 8, executable: false }] // the store gives digests of our form
    return { train: { fit: { digest: digestTree(files), files } } }
  }
  await apply(contentOf([python, modelOf('delay')], { bundles: bundles(put.digest) }))
  const planned = await plan(
    contentOf([python, modelOf('delay', { owner: 'cleo' })], { bundles: bundles(other.digest) }),
  )
  expect(planned.changes).toEqual([
    {
      kind: 'pipeline',
      name: 'train',
      change: 'change',
      diff: [{ pointer: '/code/fit/a.py', old: put.digest, new: other.digest }],
    },
    { kind: 'model', name: 'delay', change: 'change', diff: [{ pointer: '/owner', old: 'ops', new: 'cleo' }] },
  ])
})

test('diffCode() names the files that were added, removed, changed or made executable', () => {
  const bundle = (files: Record<string, string>) => ({
    digest: digestBytes(Buffer.from('x')),
    files: Object.entries(files).map(([path, text]) => ({
      path,
      digest: digestBytes(Buffer.from(text)),
      sizeBytes: 1,
      executable: text === 'program',
    })),
  })
  const before = { fit: bundle({ 'a.py': '1', 'lib/b.py': '1', 'c.py': '1' }), gone: bundle({ 'd.py': '1' }) }
  const now = { fit: bundle({ 'a.py': '1', 'lib/b.py': '2', 'c.py': 'program' }), fresh: bundle({ 'e.py': '1' }) }
  const is = (text: string) => digestBytes(Buffer.from(text))
  expect(diffCode(before, now, [])).toEqual([
    { pointer: '/code/fit/lib~1b.py', old: is('1'), new: is('2') },
    { pointer: '/code/fit/c.py', old: is('1'), new: `${is('program')}+x` },
    { pointer: '/code/fresh/e.py', old: null, new: is('1') },
    { pointer: '/code/gone/d.py', old: is('1'), new: null },
  ])
  expect(diffCode(before, before, [])).toEqual([])
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`${index}.py`, '1']))
  expect(diffCode({}, { fit: bundle(many) }, [])).toHaveLength(100)
})

test.each(['nobody', 'another project'])('applyPlan() refuses code that %s uploaded', async (uploader) => {
  const digest = digestBytes(Buffer.from('code of others'))
  if (uploader !== 'nobody') {
    await blobs.put(Buffer.from('code of others'))
    await holdUpload(ctx.as({ project: 'others' }), blobs, digest)
  }
  const python = {
    kind: 'pipeline',
    name: 'train',
    steps: [{ key: 'fit', kind: 'python', params: { script: 'a.py' } }],
  }
  const file = { path: 'a.py', digest, sizeBytes: 8, executable: false }
  const content = contentOf([python], { bundles: { train: { fit: { digest, files: [file] } } } })
  expect((await plan(content)).missingBlobs).toEqual([digest])
  await expect(apply(content)).rejects.toMatchObject({ kind: 'precondition', code: 'definitions.blobs_missing' })
  expect(await declared()).toEqual([])
})

test('planProject() warns of a view without known-at time, a dirty tree and a folder without commit', async () => {
  const { knownAt: _knownAt, ...view } = viewOf()
  const dirty = await plan(contentOf([view], { origin: { commit: 'c0ffee', isDirty: true } }))
  expect(dirty.warnings).toEqual([
    expect.stringContaining('"departures" has no known-at time'),
    expect.stringContaining('changes that are not committed'),
  ])
  const bare = await plan(contentOf([], { origin: { commit: null, isDirty: false } }))
  expect(bare.warnings).toEqual([expect.stringContaining('git knows no commit')])
})

test('a pipeline that did not change is declared again, so that its origin is this commit', async () => {
  await apply(contentOf([TRAIN]))
  const content = contentOf([TRAIN], { origin: { commit: 'decade', isDirty: false } })
  expect(changes(await apply(content))).toEqual({ 'pipeline/train': 'unchanged' })
  expect((await requirePipeline(ctx, 'train')).origin).toEqual({ source: 'flights', commit: 'decade', isDirty: false })
})

test('what a project no longer declares is kept, and with prune deleted in the order that lets each go', async () => {
  await apply(contentOf(WHOLE))
  const kept = await apply(contentOf([FLIGHTS]))
  expect(changes(kept)).toMatchObject({ 'route/delay': 'kept', 'entity/airport': 'kept' })
  expect(await declared()).toHaveLength(WHOLE.length)
  const pruned = await apply(contentOf([FLIGHTS]), true)
  expect(changes(pruned)).toMatchObject({
    'route/delay': 'delete',
    'entity/airport': 'delete',
    'dataset/flights': 'unchanged',
  })
  expect(await declared()).toEqual(['dataset/flights'])
  expect(await listRoutes(ctx)).toEqual([])
  expect((await findModel(ctx, 'delay'))!.definition).toBeNull()
  await expect(requirePipeline(ctx, 'train')).rejects.toMatchObject({ code: 'pipelines.not_found' })
  const order = (await auditOf(ctx)).filter(({ action }) => /delete|undeclare/.test(action)).map((row) => row.action)
  expect(order).toEqual(['pipeline.delete', 'route.delete', 'model.undeclare', ...Array(3).fill('feature.delete')])
})

test('prune takes the definition of a dataset away, and not while another source reads it', async () => {
  await apply(contentOf([FLIGHTS, TRAIN, AIRPORT, viewOf()]))
  await expect(apply(contentOf([AIRPORT, viewOf()]), true)).rejects.toMatchObject({
    kind: 'precondition',
    code: 'datasets.in_use',
    message: 'Cannot delete dataset "flights": feature view "departures" reads it',
  })
  await apply(contentOf([AIRPORT]), true)
  expect(await declared()).toEqual(['entity/airport'])
  await expect(requireDataset(ctx, 'flights')).rejects.toMatchObject({ code: 'datasets.dataset_not_found' })
  expect((await auditOf(ctx)).map(({ action }) => action)).toContain('dataset.undeclare')
  await apply(contentOf([FLIGHTS, AIRPORT]))
  await sql`update dataset set version_count = 1 where name = 'flights'`.execute(ctx.db)
  await apply(contentOf([AIRPORT]), true)
  expect(await requireDataset(ctx, 'flights')).toMatchObject({ definition: null, suiteDigest: null })
  await expect(apply(contentOf([AIRPORT, viewOf()]))).rejects.toMatchObject({
    code: 'features.bad_view',
    message: expect.stringContaining('dataset "flights" is declared no longer'),
  })
  const makes = { ...TRAIN, steps: [{ key: 'make', kind: 'dataset-version', params: { dataset: 'flights' } }] }
  await expect(apply(contentOf([AIRPORT, makes]))).rejects.toMatchObject({
    code: 'pipelines.invalid',
    details: {
      faults: [{ detail: expect.stringContaining('step make reads dataset "flights", but it is not declared') }],
    },
  })
  await apply(contentOf([FLIGHTS, AIRPORT]))
  expect((await requireDataset(ctx, 'flights')).definition).toMatchObject({ name: 'flights' })
})

test.each([
  ['feature-view', 'feature view "departures": feature service "board" uses it'],
  ['entity', 'entity "airport": feature view "departures" uses it'],
] as const)('prune of a %s in use is refused when its user belongs to another source', async (kind, message) => {
  const users = { 'feature-view': ['feature-service', 'route'], entity: ['feature-view', 'feature-service', 'route'] }[
    kind
  ]
  const isUser = (value: object) => (users as string[]).includes((value as Definition).kind)
  await apply(contentOf(WHOLE.filter((value) => !isUser(value))))
  await apply(contentOf(WHOLE.filter(isUser), { source: 'users' }))
  await expect(apply(contentOf(without(kind, ...(users as Definition['kind'][]))), true)).rejects.toMatchObject({
    kind: 'precondition',
    code: 'features.in_use',
    message: expect.stringContaining(message),
  })
  expect(await declared()).toHaveLength(WHOLE.length)
})

test('prune of a service that a route of another source looks up is refused', async () => {
  await apply(contentOf(without('route')))
  await apply(contentOf([lookupRouteOf()], { source: 'users' }))
  await expect(apply(contentOf(without('route', 'feature-service')), true)).rejects.toMatchObject({
    code: 'features.in_use',
    message: 'Cannot delete feature service "board": route "delay" uses it',
  })
})

test('prune of a route that serves is refused, and all else of that apply with it', async () => {
  await apply(contentOf([modelOf('delay'), routeOf(), AIRPORT]))
  const version = await addVersion(ctx, 'delay', 'one')
  await approveAs(ctx, person('ada'), { model: 'delay', version })
  await releaseAs(ctx, version)
  await expect(apply(contentOf([]), true)).rejects.toMatchObject({ code: 'delivery.route_serves' })
  expect(await declared()).toEqual(['entity/airport', 'model/delay', 'route/delay'])
  await retireAs(ctx)
  await apply(contentOf([]), true)
  expect(await declared()).toEqual([])
})

test('a changed view that breaks a service which did not change is refused', async () => {
  await apply(
    contentOf(
      WHOLE.map((value) =>
        'views' in value ? { ...BOARD, views: [{ ...BOARD.views[0]!, features: ['mean_3h'] }] } : value,
      ),
    ),
  )
  const count = { count_3h: { from: 'aggregate', function: 'count', windowUs: 1, type: 'int64' } }
  const content = contentOf(
    WHOLE.map((value) => {
      if ('eventTime' in value) return viewOf({ features: count })
      return 'views' in value ? { ...BOARD, views: [{ ...BOARD.views[0]!, features: ['mean_3h'] }] } : value
    }),
  )
  expect(changes(await plan(content))).toMatchObject({
    'feature-view/departures': 'change',
    'feature-service/board': 'unchanged',
  })
  await expect(apply(content)).rejects.toMatchObject({ kind: 'invalid', code: 'features.bad_feature_service' })
  const renamed = contentOf(
    WHOLE.map((value) =>
      'schema' in value ? { ...FLIGHTS, schema: { ...FLIGHTS.schema, delay: { type: 'text' } } } : value,
    ),
  )
  await expect(apply(renamed)).rejects.toMatchObject({ kind: 'invalid' })
})

test('a route of one name may be declared for each environment, and moving it takes the old one away', async () => {
  const staging = routeOf({ environment: 'staging' })
  await apply(contentOf([routeOf(), staging]))
  expect((await listRoutes(ctx)).map((route) => route.environment)).toEqual(['production', 'staging'])
  const moved = await apply(contentOf([staging]), true)
  expect(moved.changes.map(({ name, change }) => [name, change])).toEqual([
    ['staging/delay', 'unchanged'],
    ['delay', 'delete'],
  ])
  expect((await listRoutes(ctx)).map((route) => route.environment)).toEqual(['staging'])
})

test('projects do not see what each other declares', async () => {
  await apply(contentOf([AIRPORT]))
  const other = ctx.as({ project: 'other' })
  expect((await planProject(other, { blobs, kinds }, contentOf([AIRPORT]), true)).changes).toMatchObject([
    { change: 'create' },
  ])
})

test('the routes of plan and apply take the same content, and a column may be named constructor', async () => {
  const content = contentOf([FLIGHTS])
  const planned = await api.call('POST', '/api/v1/plan', { content })
  expect(planned).toMatchObject({ status: 200, json: { changes: [{ change: 'create' }] } })
  const applied = await api.call('POST', '/api/v1/apply', { content, plan: planned.json.digest })
  expect(applied).toMatchObject({ status: 200, json: planned.json })
  expect(await api.call('POST', '/api/v1/apply', { content, plan: planned.json.digest })).toMatchObject({
    status: 412,
    json: { code: 'definitions.stale_plan' },
  })
  const odd = contentOf([{ ...FLIGHTS, schema: { ...FLIGHTS.schema, constructor: { type: 'text' } } }])
  expect(await api.call('POST', '/api/v1/plan', { content: odd })).toMatchObject({
    status: 200,
    json: { changes: [{ diff: [{ pointer: '/schema/constructor', old: null }] }] },
  })
})
