import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { addServable, releaseAs, retireAs, rollbackAs } from '../delivery.fixture.ts'
import { findUnrecordedRelease, findUnreleasedAssignment } from './index.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(async () => {
  await database.clear()
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await releaseAs(ctx, one!)
  await releaseAs(ctx, two!)
  await rollbackAs(ctx)
  await retireAs(ctx)
  await releaseAs(ctx, two!)
})
afterAll(() => database.close())

test('what was done by its own way is found whole', async () => {
  expect([await findUnrecordedRelease(ctx), await findUnreleasedAssignment(ctx)]).toEqual([undefined, undefined])
})

test.each([
  `actor = 'eve'`,
  `proof = 'token:tok_x'`,
  'is_self_approved = not is_self_approved',
  `reason = 'another'`,
  `artifact = 'sha256:x'`,
  `passport = 'sha256:x'`,
  `from_artifact = 'sha256:x'`,
  'version = version + 1',
  'epoch = 9',
  `action = 'retire'`,
  `route = 'other'`,
  `id = 'rel_x'`,
])('a release with %s is named', async (change) => {
  await sql`update release set ${sql.raw(change)} where epoch = 3`.execute(ctx.db)
  expect(await findUnrecordedRelease(ctx)).toMatchObject({
    position: null,
    where: 'audit',
    row: { kind: 'release', seq: expect.stringMatching(/^rel_/) },
  })
})

test('a release that was slipped in is named', async () => {
  await sql`insert into release (id, project, environment, route, epoch, action, model, version, artifact, passport, actor, proof, is_self_approved, reason)
    select 'rel_x', project, environment, route, 6, action, model, version, artifact, passport, actor, proof, is_self_approved, reason
    from release where epoch = 5`.execute(ctx.db)
  expect(await findUnrecordedRelease(ctx)).toMatchObject({
    row: { kind: 'release', seq: 'rel_x', subject: 'production/delay epoch 6 by ben' },
  })
})

test.each([
  `artifact = 'sha256:x'`,
  `passport = 'sha256:x'`,
  `signature = '{}'`,
  'version = 1',
  'epoch = 1',
  `(release, epoch, version, artifact, passport) = (select id, epoch, version, artifact, passport from release where epoch = 1)`,
])('a route that serves something else, as by %s, is named', async (change) => {
  await sql`update assignment set ${sql.raw(change)}`.execute(ctx.db)
  expect(await findUnreleasedAssignment(ctx)).toMatchObject({
    where: 'audit',
    row: { kind: 'assignment', subject: expect.stringContaining('production/delay') },
  })
})
