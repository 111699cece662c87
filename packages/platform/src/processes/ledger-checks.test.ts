import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ADA, addServable, releaseAs } from '../delivery/delivery.fixture.ts'
import { auditEndpoints } from '../kernel/auth/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { openTestApi, type TestApi } from '../kernel/http/http.fixture.ts'
import { sealLedger } from '../kernel/ledger/index.ts'
import { addVersion } from '../registry/registry.fixture.ts'
import { LEDGER_CHECKS } from './domains.ts'

let database: TestDatabase
let api: TestApi
beforeAll(async () => {
  database = await openTestDatabase()
  const journal = join(import.meta.dirname, 'no-journal', 'ledger.log') // rows that were just sealed wait for it
  api = openTestApi(auditEndpoints(journal, LEDGER_CHECKS), () => database.ctx)
})
beforeEach(async () => {
  await database.clear()
  const [one] = await addServable(database.ctx, ['one'])
  await releaseAs(database.ctx, one!)
})
afterAll(async () => {
  await api.close()
  await database.close()
})

async function verify() {
  await sealLedger(database.ctx)
  return (await api.call('POST', '/api/v1/audit/verify')).json
}

test('verify finds approvals, releases and what routes serve as the audit tells of them', async () => {
  expect(await verify()).toMatchObject({ ok: true, pending: 0 })
})

test('an approval that was slipped in neither opens the gate of releases nor passes for whole', async () => {
  const { ctx } = database
  const version = await addVersion(ctx, 'delay', 'two')
  await sql`insert into approval (id, project, model, version, environment, artifact, passport, approver, proof, comment, is_self_approved)
    select 'apr_x', project, model, version, 'production', artifact, passport_digest, ${ADA.id}, ${ADA.proof}, 'looks right', false
    from model_version where version = ${version}`.execute(ctx.db)
  await expect(releaseAs(ctx, version)).rejects.toMatchObject({
    code: 'delivery.passport_gaps',
    details: { faults: [{ pointer: 'approvals' }] },
  })
  expect(await verify()).toMatchObject({
    ok: false,
    broken: { where: 'audit', row: { kind: 'approval', seq: 'apr_x', subject: 'delay/2 for production by ada' } },
  })
})

test.each([
  ['release', `update release set actor = 'eve'`],
  ['assignment', `update assignment set artifact = 'sha256:x'`],
])('a changed %s does not pass for whole', async (kind, change) => {
  await sql.raw(change).execute(database.ctx.db)
  expect(await verify()).toMatchObject({ ok: false, broken: { position: null, where: 'audit', row: { kind } } })
})

test('a rebuild says which row does not fit still, since the journal holds no releases', async () => {
  const rebuild = async () => (await api.call('POST', '/api/v1/audit/rebuild', { reason: 'a test' })).json
  expect(await rebuild()).toEqual({ restored: 0, records: 0, kept: null })
  await sql.raw(`update release set actor = 'eve'`).execute(database.ctx.db)
  expect(await rebuild()).toMatchObject({ restored: 0, broken: { where: 'audit', row: { kind: 'release' } } })
})
