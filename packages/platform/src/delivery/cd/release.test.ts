import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { listAliases } from '../../registry/index.ts'
import {
  addModel,
  addVersion,
  approveAs,
  auditOf,
  boundOf,
  digestOf,
  modelOf,
  person,
} from '../../registry/registry.fixture.ts'
import { deleteVersion } from '../../registry/version-edit.ts'
import { ADA, addRoute, addServable, BEN, releaseAs, retireAs, rollbackAs, routeOf } from '../delivery.fixture.ts'
import { findAssignment, findRelease, listAssignments, listReleases, release } from './index.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(() => database.clear())
afterAll(() => database.close())

const PRODUCTION = { environment: 'production', route: 'delay' }
const served = async (key = PRODUCTION) => (await findAssignment(ctx, key))?.artifact
const epochs = async () => (await listReleases(ctx, PRODUCTION, { limit: 100 })).map((record) => record.epoch)

test('release() assigns, moves champion, writes the release, one event and one audit row', async () => {
  const [one] = await addServable(ctx, ['one'])
  const [emitted, audited] = [(await database.events()).length, (await auditOf(ctx)).length]
  const record = await releaseAs(ctx, one!)
  expect(record).toMatchObject({
    ...PRODUCTION,
    epoch: 1,
    action: 'release',
    model: 'delay',
    version: 1,
    artifact: digestOf('one'),
    fromArtifact: null,
    actor: 'ben',
    isSelfApproved: false,
    reason: 'better',
  })
  expect(await findRelease(ctx, record.id)).toEqual(record)
  expect(await findAssignment(ctx, PRODUCTION)).toMatchObject({
    release: record.id,
    epoch: 1,
    passport: record.passport,
  })
  expect(await listAliases(ctx, 'delay')).toEqual([{ model: 'delay', alias: 'champion', version: 1 }])
  expect((await database.events()).slice(emitted)).toEqual([
    { type: 'registry.alias_moved', subject: 'delay@champion', data: { from: null, to: 1 } },
    {
      type: 'delivery.assigned',
      subject: 'production/delay',
      data: {
        release: record.id,
        epoch: 1,
        model: 'delay',
        version: 1,
        artifact: digestOf('one'),
        passport: record.passport,
        from: null,
      },
    },
  ])
  expect((await auditOf(ctx)).slice(audited)).toMatchObject([
    { actor: 'ben', action: 'alias.move' },
    { actor: 'ben', action: 'release.create', subject: 'production/delay', data: { epoch: 1, reason: 'better' } },
  ])
})

test('release() leaves nothing behind when its transaction throws', async () => {
  const [one] = await addServable(ctx, ['one'])
  const before = await database.events()
  const audited = await auditOf(ctx)
  const broken = ctx.as({ principal: BEN }).transaction(async (tx) => {
    await release(tx, { ...PRODUCTION, version: one!, reason: 'better' })
    throw new Error('after the release')
  })
  await expect(broken).rejects.toThrow('after the release')
  expect(await served()).toBeUndefined()
  expect(await epochs()).toEqual([])
  expect(await listAliases(ctx, 'delay')).toEqual([])
  expect(await database.events()).toEqual(before)
  expect(await auditOf(ctx)).toEqual(audited)
})

test('release() and rollback() need a named principal', async () => {
  const [one] = await addServable(ctx, ['one'])
  const by = { ...BEN, named: false, id: 'anonymous' }
  const refused = {
    kind: 'forbidden',
    code: 'delivery.named_principal_needed',
    details: { action: expect.any(String) },
  }
  await expect(releaseAs(ctx, one!, { by })).rejects.toMatchObject(refused)
  await expect(rollbackAs(ctx, { by })).rejects.toMatchObject(refused)
})

test('release() names a route or version that is not there', async () => {
  const [one] = await addServable(ctx, ['one'])
  await expect(releaseAs(ctx, one!, { route: 'other' })).rejects.toMatchObject({ code: 'delivery.route_not_found' })
  await expect(releaseAs(ctx, one!, { environment: 'staging' })).rejects.toMatchObject({
    kind: 'not_found',
    code: 'delivery.route_not_found',
  })
  await expect(releaseAs(ctx, 9)).rejects.toMatchObject({ code: 'registry.version_not_found' })
  await expect(rollbackAs(ctx, { route: 'other' })).rejects.toMatchObject({ code: 'delivery.route_not_found' })
})

test('release() lists every gap of the passport with the command that fills it', async () => {
  await addRoute(ctx)
  const version = await addVersion(ctx, 'delay', 'one', { code: null, data: [], environment: null, metrics: {} })
  const refusal = await releaseAs(ctx, version).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ kind: 'precondition', code: 'delivery.passport_gaps' })
  const { faults } = (refusal as { details: { faults: { pointer: string; detail: string }[] } }).details
  expect(faults.map((fault) => fault.pointer)).toEqual([
    'code.commit',
    'data',
    'environment.lock',
    'metrics',
    'notes.owner',
    'notes.intendedUse',
    'notes.limitations',
    'approvals',
  ])
  for (const fault of faults) expect(fault.detail).toContain('; to fill it: ')
  expect(faults[0]!.detail).toContain('to fill it: git commit')
  expect(await served()).toBeUndefined()
})

test('release() asks for the approvals of the environment, and those bind what the version is', async () => {
  await addModel(ctx, modelOf('delay', { approvals: { production: 2, staging: 0 } }))
  await addRoute(ctx)
  await addRoute(ctx, routeOf({ environment: 'staging' }))
  const version = await addVersion(ctx, 'delay', 'one')
  expect(await releaseAs(ctx, version, { environment: 'staging' })).toMatchObject({ isSelfApproved: true })
  await approveAs(ctx, ADA, { model: 'delay', version })
  await approveAs(ctx, ADA, { model: 'delay', version })
  await approveAs(ctx, BEN, { model: 'delay', version, environment: 'staging' })
  const gap = {
    code: 'delivery.passport_gaps',
    details: { faults: [{ pointer: 'approvals', detail: expect.stringContaining('needs 2, it has 1') }] },
  }
  await expect(releaseAs(ctx, version)).rejects.toMatchObject(gap)
  await approveAs(ctx, BEN, { model: 'delay', version })
  expect(await releaseAs(ctx, version)).toMatchObject({ epoch: 1, isSelfApproved: false })
  await ctx.db
    .updateTable('model_version')
    .set({ passport_digest: digestOf('another passport') })
    .execute()
  await expect(releaseAs(ctx, version)).rejects.toMatchObject({ code: 'delivery.passport_gaps' })
})

test('release() serves nothing of a version whose row has lost its artifact', async () => {
  await addModel(ctx, modelOf('delay', { approvals: { production: 0 } }))
  await addRoute(ctx)
  const version = await addVersion(ctx, 'delay', 'one')
  await ctx.db.updateTable('model_version').set({ artifact: null }).execute()
  await expect(releaseAs(ctx, version)).rejects.toMatchObject({
    kind: 'internal',
    code: 'delivery.no_artifact',
    message: 'Cannot release delay 1: its row has no artifact, though its passport names one',
  })
})

test('release() by the only approver is recorded as self-approved', async () => {
  const [one] = await addServable(ctx, ['one'])
  expect((await releaseAs(ctx, one!, { by: ADA })).isSelfApproved).toBe(true)
  expect((await releaseAs(ctx, one!, { by: BEN })).isSelfApproved).toBe(false)
})

test('release() with `expected` refuses when something else serves', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await expect(releaseAs(ctx, one!, { expected: digestOf('one') })).rejects.toMatchObject({
    kind: 'precondition',
    code: 'delivery.route_moved',
    details: { expected: digestOf('one'), actual: null },
  })
  await releaseAs(ctx, one!, { expected: null })
  await expect(releaseAs(ctx, two!, { expected: null })).rejects.toMatchObject({
    code: 'delivery.route_moved',
    details: { expected: null, actual: digestOf('one') },
  })
  expect(await releaseAs(ctx, two!, { expected: digestOf('one') })).toMatchObject({
    epoch: 2,
    fromArtifact: digestOf('one'),
  })
})

test('of two releases at once that expect the same, one wins', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  const ends = await Promise.allSettled([
    releaseAs(ctx, one!, { expected: null }),
    releaseAs(ctx, two!, { expected: null }),
  ])
  expect(ends.map((end) => end.status).sort()).toEqual(['fulfilled', 'rejected'])
  expect(ends.find((end) => end.status === 'rejected')).toMatchObject({ reason: { code: 'delivery.route_moved' } })
  expect(await epochs()).toEqual([1])
})

test('releases of an environment stay in it: their own epochs, their own champion', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await addRoute(ctx, routeOf({ environment: 'staging' }))
  await releaseAs(ctx, one!)
  expect((await releaseAs(ctx, two!, { environment: 'staging' })).epoch).toBe(1)
  expect(await served()).toBe(digestOf('one'))
  expect(await listAliases(ctx, 'delay')).toEqual([
    { model: 'delay', alias: 'champion', version: one },
    { model: 'delay', alias: 'champion@staging', version: two },
  ])
  expect((await listAssignments(ctx)).map(({ environment, version }) => [environment, version])).toEqual([
    ['production', one],
    ['staging', two],
  ])
})

test('release() of another project sees nothing of this one', async () => {
  const [one] = await addServable(ctx, ['one'])
  const record = await releaseAs(ctx, one!)
  const other = ctx.as({ project: 'other' })
  expect(await findRelease(other, record.id)).toBeUndefined()
  expect(await findAssignment(other, PRODUCTION)).toBeUndefined()
  expect(await listReleases(other, PRODUCTION, { limit: 10 })).toEqual([])
  await expect(releaseAs(other, one!)).rejects.toMatchObject({ code: 'delivery.route_not_found' })
})

test('release() refuses a name under which another project serves, since gateways know routes by name', async () => {
  const [mine] = await addServable(ctx, ['one'])
  await releaseAs(ctx, mine!)
  const other = ctx.as({ project: 'other' })
  const [theirs] = await addServable(other, ['one'])
  await expect(releaseAs(other, theirs!)).rejects.toMatchObject({
    kind: 'precondition',
    code: 'delivery.route_name_taken',
  })
  const [staged] = await addServable(other, ['two'], { environment: 'staging' })
  expect((await releaseAs(other, staged!, { environment: 'staging' })).route).toBe('delay')
})

test('of two rollbacks or retirements of what both saw, the second is refused', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  for (const version of [one, two, three]) await releaseAs(ctx, version!)
  const expected = digestOf('three')
  const moved = { code: 'delivery.route_moved', details: { expected, actual: digestOf('two') } }
  const ends = await Promise.allSettled([rollbackAs(ctx, { expected }), rollbackAs(ctx, { expected, by: ADA })])
  expect(ends).toMatchObject([
    { status: 'fulfilled', value: { version: two } },
    { status: 'rejected', reason: moved },
  ])
  await expect(retireAs(ctx, { expected })).rejects.toMatchObject(moved)
  expect(await retireAs(ctx, { expected: digestOf('two') })).toMatchObject({ action: 'retire', version: two })
})

test('rollback() refuses where nothing has served, or nothing else', async () => {
  const [one] = await addServable(ctx, ['one'])
  const refused = { kind: 'precondition', code: 'delivery.nothing_before' }
  const details = {
    action: 'Let a version serve: plimsoll release delay VERSION --reason WHY --token-file APPROVER.token',
  }
  const empty = 'Cannot roll delay back: nothing has served on it yet'
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ ...refused, message: empty, details })
  await releaseAs(ctx, one!)
  await releaseAs(ctx, one!)
  const message = 'Cannot roll delay back: it serves delay/1, and nothing that is still there served before that'
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ ...refused, message, details })
})

test('rollback() that finds nothing says what serves, what has served, and how to choose', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  for (const version of [one, two]) await releaseAs(ctx, version!)
  await rollbackAs(ctx)
  const refused = (served: string) => ({
    message: 'Cannot roll delay back: it serves delay/1, and nothing that is still there served before that',
    details: {
      action: `Its history has ${served} too. Let a version serve: plimsoll release delay VERSION --reason WHY --token-file APPROVER.token`,
    },
  })
  await expect(rollbackAs(ctx)).rejects.toMatchObject(refused('delay/2'))
  await releaseAs(ctx, three!)
  await rollbackAs(ctx)
  await expect(rollbackAs(ctx)).rejects.toMatchObject(refused('delay/3, delay/2'))
})

test('rollback() returns to what served before, without a new approval, and says so', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  await releaseAs(ctx, two!)
  await ctx.db.deleteFrom('approval').execute()
  const record = await rollbackAs(ctx)
  expect(record).toMatchObject({
    epoch: 3,
    action: 'rollback',
    version: one,
    artifact: digestOf('one'),
    fromArtifact: digestOf('two'),
    isSelfApproved: false,
    reason: 'worse',
  })
  expect(await served()).toBe(digestOf('one'))
  expect(await listAliases(ctx, 'delay')).toMatchObject([{ alias: 'champion', version: one }])
  expect((await auditOf(ctx)).at(-1)).toMatchObject({ action: 'release.rollback', data: { epoch: 3, reason: 'worse' } })
})

test('rollback() again goes further back, never forward to what was rolled back from', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  for (const version of [one, two, three]) await releaseAs(ctx, version!)
  expect((await rollbackAs(ctx)).version).toBe(two)
  expect((await rollbackAs(ctx)).version).toBe(one)
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ code: 'delivery.nothing_before' })
  await releaseAs(ctx, three!)
  expect((await rollbackAs(ctx)).version).toBe(one)
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ code: 'delivery.nothing_before' })
})

test('rollback() passes over versions that were deleted since', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  for (const version of [one, two, three]) await releaseAs(ctx, version!)
  await deleteVersion(ctx, { model: 'delay', version: two! })
  expect((await rollbackAs(ctx)).version).toBe(one)
})

test('rollback() returns to the columns of before when only those were changed', async () => {
  const [one] = await addServable(ctx, ['one'])
  await releaseAs(ctx, one!)
  await addRoute(
    ctx,
    routeOf({
      inputs: { miles: { type: 'int32', nullable: false } },
      columns: [{ name: 'distance', source: { from: 'input', input: 'miles' } }],
    }),
  )
  await releaseAs(ctx, one!)
  await rollbackAs(ctx)
  const [assigned] = await listAssignments(ctx)
  expect(Object.keys(assigned!.signature!.inputs)).toEqual(['distance'])
})

test('two rollbacks at once take turns', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  for (const version of [one, two, three]) await releaseAs(ctx, version!)
  const records = await Promise.all([rollbackAs(ctx), rollbackAs(ctx)])
  expect(records.map((record) => record.epoch).sort()).toEqual([4, 5])
  expect(await served()).toBe(digestOf('one'))
})

test('listReleases() pages from the newest', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  for (const version of [one, two, one]) await releaseAs(ctx, version!)
  expect(await epochs()).toEqual([3, 2, 1])
  const page = await listReleases(ctx, PRODUCTION, { beforeEpoch: 3, limit: 1 })
  expect(page.map((record) => record.epoch)).toEqual([2])
})

test('release() of a version that was made without running it is refused, whatever else it has', async () => {
  await addServable(ctx, [])
  const version = await addVersion(ctx, 'delay', 'one', { signature: null })
  await approveAs(ctx, person('cleo'), { model: 'delay', version })
  await expect(releaseAs(ctx, version)).rejects.toMatchObject({
    details: { faults: [{ pointer: 'signature' }] },
  })
  const hollow = await addVersion(ctx, 'delay', 'two', { artifact: { ...boundOf('two').artifact, digest: null } })
  await expect(releaseAs(ctx, hollow)).rejects.toMatchObject({
    details: { faults: [{ pointer: 'artifact' }, { pointer: 'approvals' }] },
  })
})
