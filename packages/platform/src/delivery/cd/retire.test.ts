import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import { type Context, SYSTEM_PRINCIPAL } from '../../kernel/db/index.ts'
import { openTestApi } from '../../kernel/http/http.fixture.ts'
import { auditOf, digestOf } from '../../registry/registry.fixture.ts'
import { deleteVersion } from '../../registry/version-edit.ts'
import { addRoute, addServable, BEN, openArtifacts, releaseAs, retireAs, rollbackAs } from '../delivery.fixture.ts'
import { deliveryEndpoints, findAssignment, listAssignments, listReleases, removeRoute } from './index.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(() => database.clear())
afterAll(() => database.close())

const PRODUCTION = { environment: 'production', route: 'delay' }

test('retire() ends what serves, with one row of history, one event and one audit row by its principal', async () => {
  const [one] = await addServable(ctx, ['one'])
  const released = await releaseAs(ctx, one!)
  const [emitted, audited] = [(await database.events()).length, (await auditOf(ctx)).length]
  const retired = await retireAs(ctx)
  expect(retired).toMatchObject({
    ...PRODUCTION,
    epoch: 2,
    action: 'retire',
    version: one,
    artifact: digestOf('one'),
    fromArtifact: digestOf('one'),
    actor: 'ben',
    reason: 'replaced',
  })
  expect(await listAssignments(ctx)).toEqual([])
  const data = {
    release: retired.id,
    epoch: 2,
    model: 'delay',
    version: one,
    artifact: digestOf('one'),
    passport: released.passport,
    from: digestOf('one'),
  }
  expect((await database.events()).slice(emitted)).toEqual([
    { type: 'registry.alias_deleted', subject: 'delay@champion', data: {} },
    { type: 'delivery.retired', subject: 'production/delay', data },
  ])
  expect((await auditOf(ctx)).slice(audited)).toMatchObject([
    { actor: 'ben', action: 'alias.delete', subject: 'delay@champion', data: { from: one } },
    { actor: 'ben', action: 'release.retire', data: { ...data, reason: 'replaced' } },
  ])
  expect((await listReleases(ctx, PRODUCTION, { limit: 9 })).map(({ action }) => action)).toEqual(['retire', 'release'])
})

test('retire() needs a named principal, and something that serves', async () => {
  const [one] = await addServable(ctx, ['one'])
  const refused = { kind: 'precondition', code: 'delivery.nothing_serves' }
  await expect(retireAs(ctx)).rejects.toMatchObject(refused)
  await releaseAs(ctx, one!)
  await expect(retireAs(ctx, { by: SYSTEM_PRINCIPAL })).rejects.toMatchObject({
    code: 'delivery.named_principal_needed',
  })
  await expect(retireAs(ctx, { route: 'other' })).rejects.toMatchObject({ code: 'delivery.route_not_found' })
  await retireAs(ctx)
  await expect(retireAs(ctx)).rejects.toMatchObject(refused)
  // There is nothing to return from: a release decides anew.
  await expect(rollbackAs(ctx)).rejects.toMatchObject(refused)
})

test('a retired route serves again by a release; a rollback after it passes over the retirement', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  await retireAs(ctx)
  expect(await releaseAs(ctx, two!, { expected: null })).toMatchObject({ epoch: 3, fromArtifact: null })
  expect(await rollbackAs(ctx)).toMatchObject({ epoch: 4, version: one })
  expect(await findAssignment(ctx, PRODUCTION)).toMatchObject({ epoch: 4, version: one })
})

test('a retired route may be taken away, its version deleted, and its epochs go on when it comes back', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  const remove = () => ctx.transaction((tx) => removeRoute(tx, { environment: 'production', name: 'delay' }))
  await expect(remove()).rejects.toMatchObject({
    code: 'delivery.route_serves',
    details: { action: 'Retire it first: plimsoll retire delay --reason WHY --token-file APPROVER.token' },
  })
  await retireAs(ctx)
  await remove()
  await deleteVersion(ctx, { model: 'delay', version: one! })
  await addRoute(ctx)
  expect((await releaseAs(ctx, two!)).epoch).toBe(3)
})

test('the endpoint retires, and the route then shows nothing that serves', async () => {
  const artifacts = await openArtifacts([])
  const api = openTestApi(deliveryEndpoints(artifacts), () => ctx.as({ principal: BEN }))
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  const post = (body: object) => api.call('POST', '/api/v1/routes/delay/retire', body)
  expect((await post({ reason: '' })).status).toBe(400)
  expect(await post({ reason: 'r' })).toMatchObject({ status: 200, json: { action: 'retire', epoch: 2 } })
  expect(await post({ reason: 'r' })).toMatchObject({ status: 412, json: { code: 'delivery.nothing_serves' } })
  expect((await api.call('GET', '/api/v1/routes/delay')).json.assignment).toBeNull()
  await api.close()
  await artifacts.close()
})

test('the time since which a version serves is that of its own release', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  const first = (await findAssignment(ctx, PRODUCTION))!.updated_at
  await releaseAs(ctx, two!)
  expect((await findAssignment(ctx, PRODUCTION))!.updated_at.getTime()).toBeGreaterThan(first.getTime())
})
