import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { listApprovals } from './approval.ts'
import { approvalsOf, findUnrecordedApproval, passportGaps } from './index.ts'
import { renameModel } from './model-edit.ts'
import { addModel, addVersion, approveAs, digestOf, modelOf, person } from './registry.fixture.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(async () => {
  await database.clear()
  await addModel(ctx, modelOf('delay'))
  await addVersion(ctx, 'delay', 'one')
})
afterAll(() => database.close())

const KEY = { model: 'delay', version: 1, environment: 'production' }
const fields = async () => (await passportGaps(ctx, KEY)).map((gap) => gap.field)
const named = (kind: string, subject: string) => ({
  position: null,
  where: 'audit',
  row: { kind, subject, seq: expect.stringMatching(/^apr_/) },
})

/** An approval as whoever may write to the database puts it there. */
async function forge(by: string): Promise<void> {
  await sql`insert into approval (id, project, model, version, environment, artifact, passport, approver, proof, comment, is_self_approved)
    select ${`apr_${by}`}, project, model, version, 'production', artifact, passport_digest, ${by}, 'token:tok_x', '', false
    from model_version where model = 'delay' and version = 1`.execute(ctx.db)
}

test('an approval that the audit does not tell of fills no gap, and is named', async () => {
  await forge('eve')
  expect(await approvalsOf(ctx, KEY)).toEqual([])
  expect(await listApprovals(ctx, KEY)).toMatchObject([{ by: 'eve', isValid: false }])
  expect(await fields()).toEqual(['approvals'])
  expect(await findUnrecordedApproval(ctx)).toMatchObject(named('approval', 'delay/1 for production by eve'))
  await approveAs(ctx, person('ada'), KEY)
  expect((await approvalsOf(ctx, KEY)).map((approval) => approval.by)).toEqual(['ada'])
  expect(await fields()).toEqual([])
  expect(await findUnrecordedApproval(ctx)).toMatchObject(named('approval', 'delay/1 for production by eve'))
  await expect(approveAs(ctx, person('eve'), KEY)).rejects.toMatchObject({
    kind: 'precondition',
    code: 'registry.approval_unrecorded',
  })
})

test.each([
  ['approver', `approver = 'eve'`],
  ['proof', `proof = 'token:tok_x'`],
  ['environment', `environment = 'staging'`],
  ['self-approval', `is_self_approved = not is_self_approved`],
  ['comment', `comment = 'another'`],
  ['artifact', `artifact = '${digestOf('two')}'`],
  ['passport', `passport = '${digestOf('two')}'`],
  ['version', 'version = 2'],
])('an approval whose %s was changed does not count, and is named', async (_, change) => {
  await addVersion(ctx, 'delay', 'two')
  await sql`update model_version set artifact = one.artifact, passport_digest = one.passport_digest
    from model_version one where one.version = 1`.execute(ctx.db) // the same, under another number
  await approveAs(ctx, person('ada'), KEY)
  expect([await fields(), await findUnrecordedApproval(ctx)]).toEqual([[], undefined])
  await sql`update approval set ${sql.raw(change)}`.execute(ctx.db)
  for (const version of [1, 2])
    for (const environment of ['production', 'staging'])
      expect(await approvalsOf(ctx, { model: 'delay', version, environment })).toEqual([])
  expect(await findUnrecordedApproval(ctx)).toMatchObject({ where: 'audit', row: { kind: 'approval' } })
})

test('an approval follows the names of its model, and no other', async () => {
  await addVersion(ctx, 'old', 'one')
  const { isNew: _, ...approval } = await approveAs(ctx, person('ada'), { ...KEY, model: 'old' })
  await renameModel(ctx, 'old', 'newer')
  await renameModel(ctx, 'newer', 'newest')
  expect(await approvalsOf(ctx, { ...KEY, model: 'newest' })).toEqual([approval])
  expect(await findUnrecordedApproval(ctx)).toBeUndefined()
  await sql`update approval set model = 'delay'`.execute(ctx.db)
  expect(await approvalsOf(ctx, KEY)).toEqual([])
  expect(await findUnrecordedApproval(ctx)).toMatchObject(named('approval', 'delay/1 for production by ada'))
})
