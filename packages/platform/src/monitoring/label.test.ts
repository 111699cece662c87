import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { addRoute } from '../delivery/delivery.fixture.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { auditOf, digestOf } from '../registry/registry.fixture.ts'
import { AT_MS, recordOf, shipSegment } from '../serving/control/segment.fixture.ts'
import { monitoringEndpoints } from './index.ts'
import { joinLabels, type Label, projectsWithDueLabels, recordLabels } from './label.ts'
import { readLive } from './live.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-labels-'))
let database: TestDatabase
let ctx: Context
let blobs: BlobStore
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  blobs = await openFilesBlobStore(directory)
  api = openTestApi(monitoringEndpoints({ blobs }), () => ctx)
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await blobs.close()
  await database.close()
  rmSync(directory, { recursive: true, force: true })
})

const label = (prediction: string, value: number, more: Partial<Label> = {}): Label => ({
  prediction,
  row: 0,
  label: value,
  knownAtMs: AT_MS + 1,
  ...more,
})
const say = (...labels: Label[]) => ctx.transaction((tx) => recordLabels(tx, labels))
const outcomes = async () =>
  (
    await ctx.db
      .selectFrom('outcome')
      .select(['prediction', 'row_index', 'score', 'label'])
      .orderBy('prediction')
      .orderBy('row_index')
      .execute()
  ).map((row) => [row.prediction, row.row_index, row.score, row.label])
const waiting = async () =>
  (await ctx.db.selectFrom('prediction_label').select('prediction').where('joined', '=', false).execute()).length
const live = () => readLive(ctx, { route: 'delay', environment: 'production' })

test('joinLabels() joins labels that came before their prediction, and each once', async () => {
  const record = recordOf()
  await say(label(record.id, 1))
  expect(await joinLabels(ctx, blobs)).toBe(0)
  expect([await outcomes(), await waiting()]).toEqual([[], 1])
  await shipSegment(ctx, blobs, [record])
  expect(await joinLabels(ctx, blobs)).toBe(1)
  expect([await outcomes(), await waiting()]).toEqual([[[record.id, 0, 0.25, 1]], 0])
  expect(await joinLabels(ctx, blobs)).toBe(0)
})

test('a label that is said again replaces the one before, also after it was joined', async () => {
  const record = recordOf()
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 0))
  await say(label(record.id, 1), label(record.id, 1))
  await joinLabels(ctx, blobs)
  expect(await outcomes()).toEqual([[record.id, 0, 0.25, 1]])
  await say(label(record.id, 0, { knownAtMs: AT_MS + 9 }))
  expect(await waiting()).toBe(1)
  expect(await joinLabels(ctx, blobs)).toBe(1)
  expect(await outcomes()).toEqual([[record.id, 0, 0.25, 0]])
})

test('a label that waits is looked up at once when it is said again, and one that was joined is not', async () => {
  const record = recordOf()
  await say(label(record.id, 1))
  await joinLabels(ctx, blobs)
  expect(await projectsWithDueLabels(ctx)).toEqual([])
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 1))
  expect(await projectsWithDueLabels(ctx)).toEqual(['default'])
  expect(await joinLabels(ctx, blobs)).toBe(1)
  await say(label(record.id, 1))
  expect([await projectsWithDueLabels(ctx), await waiting()]).toEqual([[], 0])
})

test('a label that is replaced while it is being joined is joined again', async () => {
  const record = recordOf()
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 0))
  const slow = Object.create(blobs, {
    get: {
      value: async function* (digest: string) {
        await say(label(record.id, 1))
        yield* blobs.get(digest)
      },
    },
  }) as BlobStore // the same store, which takes its time
  await joinLabels(ctx, slow)
  expect(await waiting()).toBe(1)
  await joinLabels(ctx, blobs)
  expect([await outcomes(), await waiting()]).toEqual([[[record.id, 0, 0.25, 1]], 0])
})

test('labels that never find their prediction do not keep later ones from theirs', async () => {
  const lost = Array.from({ length: 2_000 }, () => label(recordOf({ atMs: AT_MS - 60_000 }).id, 1))
  await say(...lost)
  const record = recordOf()
  await say(label(record.id, 1))
  await shipSegment(ctx, blobs, [record])
  await joinLabels(ctx, blobs)
  await joinLabels(ctx, blobs)
  expect(await outcomes()).toEqual([[record.id, 0, 0.25, 1]])
  expect(await waiting()).toBe(2_000)
})

test.each([
  ['the last value of the row in the last numeric output', { label: [0, 1], p: [0.9, 0.1, 0.4, 0.6] }, 2, 1, 0.6],
  ['the one numeric output beside a text', { p: [0.3, 0.7], name: ['a', 'b'] }, 2, 1, 0.7],
  [
    'the row within what was logged of a long answer',
    { p: Array.from({ length: 64 }, (_, n) => n / 100) },
    100,
    63,
    0.63,
  ],
  [
    'the row behind the first 64 where more were logged',
    { p: Array.from({ length: 200 }, (_, n) => n / 1000) },
    { rows: 200, loggedRows: 100 },
    99,
    0.199,
  ],
])('the score of a row is %s', async (_title, outputs, rows, row, score) => {
  const record = recordOf({ ...(typeof rows === 'number' ? { rows } : rows), outputs })
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 1, { row }))
  await joinLabels(ctx, blobs)
  expect(await outcomes()).toEqual([[record.id, row, score, 1]])
})

test.each([
  ['a row whose outputs were not logged', { rows: 100, outputs: { p: Array.from({ length: 64 }, () => 0.5) } }, 64],
  [
    'a row behind those that were logged',
    { rows: 200, loggedRows: 100, outputs: { p: Array.from({ length: 200 }, () => 0.5) } },
    100,
  ],
  ['a row that the prediction does not have', {}, 1],
  ['a prediction whose outputs were not logged', { outputs: undefined }, 0],
  ['a prediction without a number', { outputs: { name: ['a'] } }, 0],
])('the label of %s is settled without a score, and counted', async (_title, change, row) => {
  const { outputs, ...rest } = change as { outputs?: object | undefined; rows?: number; loggedRows?: number }
  const record = recordOf({ ...rest, ...('outputs' in change ? { outputs: outputs as never } : {}) })
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 1, { row }))
  expect(await joinLabels(ctx, blobs)).toBe(0)
  expect([await outcomes(), await waiting()]).toEqual([[[record.id, row, Number.NaN, 1]], 0])
  await addRoute(ctx)
  const unused = { labelled: 0, unscored: 1 }
  expect(await live()).toMatchObject({ ...unused, arms: [{ ...unused, auc: null, brier: null, logLoss: null }] })
})

test('labels without a score leave the measures of the others as they are', async () => {
  await addRoute(ctx)
  const record = recordOf({ rows: 2, outputs: { p: [0.1, 0.9] } })
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 0), label(record.id, 1, { row: 1 }), label(record.id, 1, { row: 2 }))
  expect(await joinLabels(ctx, blobs)).toBe(2)
  const view = await live()
  expect(view).toMatchObject({ labelled: 2, unscored: 1, arms: [{ labelled: 2, unscored: 1, auc: 1 }] })
  expect(view.arms[0]!.brier).toBeCloseTo(0.01, 12)
})

test('recordLabels() leaves in the audit who gave how many labels, and their digest', async () => {
  const record = recordOf()
  await say(label(record.id, 1), label(record.id, 1), label(record.id, 0, { row: 1 }))
  await say(label(record.id, 0))
  await say(label(record.id, 0), label(record.id, 0, { row: 1 }))
  // Of several the one that changes counts, also where only its time does.
  const corrected = label(record.id, 0, { knownAtMs: 5 })
  await say(corrected, label(record.id, 0, { row: 1 }))
  await expect(say(label('x', 1))).rejects.toThrow()
  const rows = (await auditOf(ctx)).filter(({ action }) => action === 'labels.put')
  expect(rows.map(({ data }) => (data as { rows: number }).rows)).toEqual([2, 1, 1])
  expect(rows[2]!.data).toEqual({ rows: 1, digest: digestValue([corrected]) })
  expect(new Set(rows.map(({ data }) => (data as { digest: string }).digest)).size).toBe(3) // as it was put
})

test('recordLabels() names every id that is none', async () => {
  await expect(say(label('x', 1), label(recordOf().id, 1), label('a\0b', 1))).rejects.toMatchObject({
    kind: 'invalid',
    code: 'monitoring.bad_prediction_id',
    details: { faults: [{ pointer: '/labels/0/prediction' }, { pointer: '/labels/2/prediction' }] },
  })
  expect(await waiting()).toBe(0)
})

test('recordLabels() refuses labels that contradict each other, and names each', async () => {
  const [one, two] = [recordOf().id, recordOf().id]
  const labels = [label(one, 1), label(two, 0), label(one, 0), label(one, 1), label(two, 1), label(one, 0, { row: 1 })]
  await expect(say(...labels)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'monitoring.contradicting_labels',
    details: { faults: [{ pointer: '/labels/2/label' }, { pointer: '/labels/4/label' }] },
  })
  expect(await waiting()).toBe(0)
})

test('labels of one project find no prediction of another', async () => {
  const record = recordOf({ project: 'second' })
  await shipSegment(ctx, blobs, [record])
  await say(label(record.id, 1))
  expect(await joinLabels(ctx, blobs)).toBe(0)
})

test('readLive() counts by arm and hour, and judges by the labels that came back', async () => {
  await addRoute(ctx)
  expect(await live()).toMatchObject({ predictions: 0, arms: [], hours: [], gateways: [] })
  const scores = [0.1, 0.2, 0.8, 0.9]
  const champion = scores.map((score) => recordOf({ outputs: { p: [score] } }))
  const challenger = recordOf({
    arm: 'challenger',
    release: 'rel_2',
    artifact: digestOf('two'),
    atMs: AT_MS + 3_600_000,
  })
  await shipSegment(ctx, blobs, [...champion, challenger, recordOf({ route: 'other' })])
  await say(...champion.map((record, index) => label(record.id, index > 1 ? 1 : 0)))
  await joinLabels(ctx, blobs)
  const again = champion[0]!
  await shipSegment(ctx, blobs, [recordOf({ atMs: again.atMs + 3_600_000, outputs: { p: [0.5] } })], { sequence: 1 })
  const gateway = { boot: 'boot_1', epoch: 3, state: 'ready', spooled_bytes: 0n, latency: '{}', seen_at: new Date(0) }
  const refused = JSON.stringify({ epoch: 4, reason: 'no signature' })
  await ctx.db
    .insertInto('gateway_status')
    .values([
      { gateway: 'a', refused, ...gateway },
      { gateway: 'b', refused: null, ...gateway },
    ])
    .execute()
  const view = await live()
  expect(view).toMatchObject({ predictions: 6, rows: 6, labelled: 4 })
  expect(view.gateways).toMatchObject([
    { gateway: 'a', refused: { epoch: 4 } },
    { gateway: 'b', refused: null },
  ])
  expect(view.hours.map((hour) => hour.predictions)).toEqual([4, 2])
  const [first, second] = [...view.arms].sort((a, b) => (a.arm < b.arm ? 1 : -1))
  expect(first).toMatchObject({ arm: 'champion', release: 'rel_1', predictions: 5, labelled: 4, auc: 1 })
  expect(first!.brier).toBeCloseTo(0.025, 12)
  expect(second).toMatchObject({
    arm: 'challenger',
    artifact: digestOf('two'),
    labelled: 0,
    auc: null,
    brier: null,
    logLoss: null,
  })
  await expect(readLive(ctx, { route: 'absent', environment: 'production' })).rejects.toMatchObject({
    code: 'delivery.route_not_found',
  })
})

test('the routes take labels and answer with what they mean', async () => {
  await addRoute(ctx)
  const record = recordOf()
  await shipSegment(ctx, blobs, [record])
  const post = (labels: object[]) => api.call('POST', '/api/v1/labels', { labels })
  expect(await post([{ prediction: record.id, label: 1, knownAtMs: AT_MS }])).toMatchObject({
    status: 200,
    json: { received: 1 },
  })
  expect((await api.call('GET', '/api/v1/routes/delay/live')).json).toMatchObject({ predictions: 1, labelled: 1 })
  expect(await post([{ prediction: 'x', label: 1, knownAtMs: AT_MS }])).toMatchObject({
    status: 400,
    json: { code: 'monitoring.bad_prediction_id' },
  })
  const bad = [
    { row: 2 ** 31 },
    { row: -1 },
    { knownAtMs: 1e300 },
    { knownAtMs: 1.7e9 },
    { knownAtMs: 1.7e15 },
    { label: 'late' },
  ]
  for (const change of bad)
    expect((await post([{ prediction: record.id, label: 1, knownAtMs: AT_MS, ...change }])).status).toBe(400)
  expect((await post([])).status).toBe(400)
  const contradicting = [0, 1].map((value) => ({ prediction: record.id, label: value, knownAtMs: AT_MS }))
  expect(await post(contradicting)).toMatchObject({ status: 400, json: { code: 'monitoring.contradicting_labels' } })
})

test('a label that no measure can take leaves the live figures readable', async () => {
  await addRoute(ctx)
  const record = recordOf()
  await shipSegment(ctx, blobs, [record])
  const labels = [{ prediction: record.id, label: 1e300, knownAtMs: AT_MS }]
  expect(await api.call('POST', '/api/v1/labels', { labels })).toMatchObject({ status: 200 })
  expect(await api.call('GET', '/api/v1/routes/delay/live')).toMatchObject({
    status: 200,
    json: { labelled: 1, arms: [{ labelled: 1, auc: null, brier: null }] },
  })
})
