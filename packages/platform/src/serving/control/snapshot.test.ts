import type { Snapshot } from '@plimsoll/sdk/wire'
import { snapshot as snapshotSchema } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { addRoute, addServable, BEN, releaseAs, rollbackAs, routeOf } from '../../delivery/delivery.fixture.ts'
import { createToken, revokeToken } from '../../kernel/auth/index.ts'
import { hashToken, newSigningKey, type SigningKey, verifyBytes } from '../../kernel/auth/verify/index.ts'
import { realClock } from '../../kernel/clock.ts'
import { settings } from '../../kernel/config/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { placeEvents } from '../../kernel/events/index.ts'
import { openTestApi, type TestApi } from '../../kernel/http/http.fixture.ts'
import { drainHttp, listenHttp, mountEndpoints, openHttp } from '../../kernel/http/index.ts'
import { silentLog } from '../../kernel/log.ts'
import { addVersion, approveAs, boundOf, digestOf, person } from '../../registry/registry.fixture.ts'
import { publishSnapshot, routeFault, type SnapshotDeps, servingEndpoints } from './index.ts'
import { openSnapshotPublisher } from './publisher.ts'
import { findSnapshot } from './snapshot.ts'

const signingKey = newSigningKey()
const deps: SnapshotDeps = { signingKey, replay: undefined, inflightMax: 8, payloadRate: 0.5, requireToken: false }
let database: TestDatabase
let ctx: Context
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
  api = openTestApi(servingEndpoints({ ...deps, blobs: undefined as never }), () => ctx) // no endpoint used here reads a blob
})
beforeEach(() => database.clear())
afterAll(async () => {
  await api.close()
  await database.close()
})

const publish = (change: Partial<SnapshotDeps> = {}) =>
  ctx.transaction((tx) => publishSnapshot(tx, { ...deps, ...change }))
async function newest(key: SigningKey = signingKey): Promise<Snapshot> {
  const signed = (await findSnapshot(ctx, -1))!
  expect(signed.keyId).toBe(key.keyId)
  expect(verifyBytes(key.publicKey, Buffer.from(signed.payload), signed.signature)).toBe(true)
  return snapshotSchema.parse(JSON.parse(signed.payload))
}
const epochsOfEvents = async () =>
  (await database.events())
    .filter((event) => event.type === 'serving.snapshot_published')
    .map((event) => (event.data as { epoch: number }).epoch)

test('publishSnapshot() signs what should serve: signature, approvals and columns of each assignment', async () => {
  const [one] = await addServable(ctx, ['one'])
  const record = await releaseAs(ctx, one!)
  expect(await publish()).toBe(1)
  const { routes, versions, clock, epoch } = await newest()
  expect({ clock, epoch }).toEqual({ clock: null, epoch: 1 })
  expect(routes).toEqual([
    {
      project: 'default',
      environment: 'production',
      name: 'delay',
      definition: expect.stringMatching(/^sha256:/),
      epoch: 1,
      release: record.id,
      sloMs: 50,
      inputs: { distance: { type: 'int32', nullable: false } },
      columns: routeOf().columns,
      features: null,
      arms: [{ arm: 'champion', artifact: digestOf('one'), version: 'default/production/delay/1', weight: 1 }],
      payloadRate: 0.5,
      redacted: [],
      inflightMax: 8,
    },
  ])
  expect(versions).toEqual([
    {
      key: 'default/production/delay/1',
      artifact: digestOf('one'),
      sizeBytes: 100,
      passport: record.passport,
      model: 'delay',
      version: one,
      approvals: [{ by: 'ada', artifact: digestOf('one'), passport: record.passport }],
      labels: {},
      columns: null,
    },
  ])
})

test('epochs count up without gaps, and equal content gives no new one', async () => {
  expect(await publish()).toBe(1)
  expect(await publish()).toBe(1)
  const [one, two] = await addServable(ctx, ['one', 'two'])
  expect(await publish()).toBe(1)
  await releaseAs(ctx, one!)
  expect([await publish(), await publish()]).toEqual([2, 2])
  await releaseAs(ctx, two!)
  const broken = ctx.transaction(async (tx) => {
    await publishSnapshot(tx, deps)
    throw new Error('after it')
  })
  await expect(broken).rejects.toThrow('after it')
  expect((await newest()).epoch).toBe(2)
  await rollbackAs(ctx)
  expect(await Promise.all([publish(), publish()])).toEqual([3, 3])
  expect(await epochsOfEvents()).toEqual([1, 2, 3])
})

test('an approval, another key and a replay clock each give a new snapshot; a declared route gives none', async () => {
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  await publish()
  await addRoute(ctx, routeOf({ environment: 'staging' }))
  expect(await publish()).toBe(1)
  await approveAs(ctx, person('cleo'), { model: 'delay', version: one! })
  expect(await publish()).toBe(2)
  expect((await newest()).versions[0]!.approvals.map((approval) => approval.by)).toEqual(['ada', 'cleo'])
  const other = newSigningKey()
  expect(await publish({ signingKey: other })).toBe(3)
  await newest(other)
  const replay = { originMs: 1_000, startedAtMs: 2_000, rate: 60 }
  expect(await publish({ signingKey: other, replay })).toBe(4)
  expect((await newest(other)).clock).toEqual(replay)
})

test('a release of before its signature was bound takes the route’s own', async () => {
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  await ctx.db.updateTable('assignment').set({ signature: null }).execute()
  await publish()
  expect((await newest()).routes[0]).toMatchObject({ columns: routeOf().columns, features: null })
})

test('what a route says of its payloads holds without another release', async () => {
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  await publish()
  await addRoute(ctx, routeOf({ payloads: { rate: 0, redact: ['distance'] } }))
  expect(await publish()).toBe(2)
  expect((await newest()).routes[0]).toMatchObject({ payloadRate: 0, redacted: ['distance'], epoch: 1 })
})

test('a route that cannot be made ready keeps what it served, or is left out, and the others go on', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  await publish()
  const before = await newest()
  await addRoute(ctx, routeOf({ name: 'fresh' }))
  await releaseAs(ctx, one!, { route: 'fresh' })
  await addRoute(ctx, routeOf({ name: 'good' }))
  await releaseAs(ctx, one!, { route: 'good' })
  await releaseAs(ctx, two!)
  // Releases of before a signature was bound, whose routes now ask for a service that is gone.
  await ctx.db.updateTable('assignment').set({ signature: null }).where('route', '!=', 'good').execute()
  for (const name of ['delay', 'fresh'])
    await ctx.db
      .updateTable('route')
      .set({ definition: JSON.stringify(routeOf({ name, features: 'gone' })) })
      .where('name', '=', name)
      .execute()
  expect(await publish()).toBe(2)
  const after = await newest()
  expect(after.routes).toEqual([before.routes[0], expect.objectContaining({ name: 'good' })])
  expect(after.versions).toEqual(before.versions)
  const fault = (route: string) => routeFault(ctx, { environment: 'production', route })
  expect(await fault('delay')).toContain('gone')
  expect([await fault('good'), await fault('none')]).toEqual([null, null])
  await ctx.db
    .updateTable('route')
    .set({ definition: JSON.stringify(routeOf()) })
    .where('name', '=', 'delay')
    .execute()
  expect(await publish()).toBe(3)
  expect((await newest()).routes.map(({ name, arms }) => [name, arms[0]!.artifact])).toEqual([
    ['delay', digestOf('two')],
    ['good', digestOf('one')],
  ])
})

test('a gateway that asks again and again makes nothing be compiled until something has happened', async () => {
  let compiled = 0
  const counted: SnapshotDeps = {
    ...deps,
    get payloadRate() {
      compiled++ // read once for each route
      return 0.5
    },
  }
  const refresh = openSnapshotPublisher(counted)
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  await Promise.all([refresh(ctx), refresh(ctx)])
  expect(JSON.parse((await findSnapshot(ctx, -1))!.payload)).toMatchObject({ epoch: 1 })
  const atFirst = compiled
  for (let ask = 0; ask < 20; ask++) await refresh(ctx)
  await ctx.transaction((tx) =>
    tx.emit({ type: 'pipelines.run_cancelling', subject: 'x', data: { state: 'cancelled' } }),
  )
  await refresh(ctx)
  expect(compiled).toBe(atFirst)
  await placeEvents(ctx) // a place in the order of delivery is no news
  await refresh(ctx)
  expect(compiled).toBe(atFirst)
  await releaseAs(ctx, two!)
  await refresh(ctx)
  expect(compiled).toBeGreaterThan(atFirst)
  expect((await newest()).routes[0]!.arms[0]!.artifact).toBe(digestOf('two'))
})

test('where tokens are asked for, a snapshot says which are live, and follows each that is made or revoked', async () => {
  const refresh = openSnapshotPublisher({ ...deps, requireToken: true })
  const hashes = async () => (await newest()).callers?.map(({ hash }) => hash)
  await refresh(ctx)
  expect(await hashes()).toEqual([])
  const own = await createToken(ctx, {
    principal: 'ada',
    name: 'ada',
    role: 'viewer',
    days: 1,
    allProjects: false,
  })
  await refresh(ctx)
  expect((await newest()).callers).toEqual([
    { hash: hashToken(own.token), project: 'default', expiresAtMs: own.expiresAt.getTime() },
  ])
  expect((await findSnapshot(ctx, -1))!.payload).not.toContain(own.token)
  await revokeToken(ctx, own.id)
  await refresh(ctx)
  expect(await hashes()).toEqual([])
  expect(await publish()).toBe(4)
  expect(await newest()).not.toHaveProperty('callers')
})

test('a snapshot holds every project, each version once, in the order of its names', async () => {
  const other = ctx.as({ project: 'other' })
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  const [same] = await addServable(other, ['one'], { name: 'elsewhere' })
  await releaseAs(other, same!, { route: 'elsewhere' })
  await addRoute(ctx, routeOf({ name: 'again' }))
  const { outputs, ...signature } = boundOf('two').signature!
  const labelled = outputs.map((output) => ({ ...output, labels: ['on time'] }))
  const named = await addVersion(ctx, 'delay', 'two', {
    signature: { ...signature, outputs: labelled, columns: ['distance'] },
  })
  await approveAs(ctx, person('ada'), { model: 'delay', version: named })
  await releaseAs(ctx, named, { route: 'again' })
  await publish()
  const { routes, versions } = await newest()
  expect(routes.map((route) => `${route.project}/${route.name}`)).toEqual([
    'default/again',
    'default/delay',
    'other/elsewhere',
  ])
  // Equal bytes of two projects are two versions: each route answers under its own name.
  expect(versions.map(({ key, artifact }) => [key, artifact])).toEqual([
    ['default/production/delay/1', digestOf('one')],
    ['default/production/delay/2', digestOf('two')],
    ['other/production/delay/1', digestOf('one')],
  ])
  expect(routes.map((route) => route.arms[0]!.version)).toEqual([
    'default/production/delay/2',
    'default/production/delay/1',
    'other/production/delay/1',
  ])
  expect(versions.map(({ columns, labels }) => [columns, labels])).toEqual([
    [null, {}],
    [['distance'], { p: ['on time'] }],
    [null, {}],
  ])
})

test('the newest 1,000 snapshots are kept', async () => {
  await publish()
  await ctx.db.updateTable('serving_snapshot').set({ epoch: 5, content_digest: 'other' }).execute()
  await ctx.db
    .insertInto('serving_snapshot')
    .values({ epoch: 1_004, content_digest: 'other', payload: '', signature: '', key_id: '' })
    .execute()
  expect(await publish()).toBe(1_005)
  expect(
    (await ctx.db.selectFrom('serving_snapshot').select('epoch').orderBy('epoch').execute()).map((row) => row.epoch),
  ).toEqual([1_004, 1_005])
})

test('the route of the snapshot answers at once with what should serve now, and waits when that is known', async () => {
  const ask = async (query: string) => (await api.call('GET', `/api/v1/serving/snapshot?${query}`)).json.snapshot
  const read = async (query: string) => JSON.parse((await ask(query)).payload) as Snapshot
  expect(await read('')).toMatchObject({ epoch: 1, routes: [] })
  expect(await ask('after=1')).toBeNull()
  expect(await ask('after=1&wait_ms=1')).toBeNull()
  const [one, two] = await addServable(ctx.as({ principal: BEN }), ['one', 'two'])
  await releaseAs(ctx, one!)
  expect(await read('after=1&wait_ms=5000')).toMatchObject({ epoch: 2, versions: [{ version: one }] })
  expect(await ask('after=1')).toEqual(await ask(''))
  // A gateway that cannot take epoch 2 asks for it again, and must hear of what was released meanwhile.
  await releaseAs(ctx, two!)
  expect(await read('after=1')).toMatchObject({ epoch: 3, versions: [{ version: two }] })
  expect((await api.call('GET', '/api/v1/serving/snapshot?wait_ms=30001')).status).toBe(400)
})

test('a gateway that waits for a snapshot is answered when the server drains, while the database is still there', async () => {
  const { http } = settings.parse({})
  const host = '127.0.0.1'
  const app = openHttp({ http, host, publicHosts: [], behindProxy: false, clock: realClock, log: silentLog })
  mountEndpoints(app, servingEndpoints({ ...deps, blobs: undefined as never }), { authorise: async () => ctx }) // no endpoint used here reads a blob
  const { url } = await listenHttp(app, host, 0)
  const ask = (query: string) => fetch(`${url}/api/v1/serving/snapshot?${query}`)
  let isAnswered = false
  const waiting = ask('after=1000&wait_ms=30000').finally(() => {
    isAnswered = true
  })
  for (let turn = 0; turn < 5; turn++) await ask('')
  expect(isAnswered).toBe(false)
  await drainHttp(app, 20_000)
  const answer = await waiting
  expect([answer.status, await answer.json()]).toEqual([200, { snapshot: null }])
})
