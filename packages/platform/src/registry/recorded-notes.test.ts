import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { suiteWith } from '../../../../tests/servers.ts'
import { up as tellNotes } from '../../migrations/0210-notes-in-audit.ts'
import { openPostgres } from '../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../adapters/postgres/cluster.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { findUnrecordedNotes, undeclareModel } from './index.ts'
import { createModel, deleteModel, describeModel, renameModel } from './model-edit.ts'
import { addModel, addVersion, modelOf } from './registry.fixture.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(async () => {
  await database.clear()
  await addModel(ctx, modelOf('delay', { approvals: { production: 2 } }))
  await describeModel(ctx, 'delay', 'late flights')
  await createModel(ctx, { name: 'plain', description: 'a plain one' })
})
afterAll(() => database.close())

test('findUnrecordedNotes() follows what is said, taken back, renamed, deleted and made again under a name', async () => {
  await addModel(ctx.as({ project: 'other' }), modelOf('delay', { owner: 'eve' }))
  await renameModel(ctx, 'plain', 'fancy')
  await describeModel(ctx, 'fancy', 'fancier')
  await addVersion(ctx, 'silent', 'one')
  expect(await findUnrecordedNotes(ctx)).toBe(undefined)
  await deleteModel(ctx, 'fancy')
  await addVersion(ctx, 'fancy', 'two')
  await ctx.transaction((tx) => undeclareModel(tx, 'delay'))
  expect(await findUnrecordedNotes(ctx)).toBe(undefined)
})

test('findUnrecordedNotes() takes notes that were kept before the audit told of them', async () => {
  await addVersion(ctx, 'old', 'one')
  await sql`update registered_model set description = 'a plain one' where name = 'old'`.execute(ctx.db)
  await sql`insert into model_notes (project, model, revision, notes, digest, changed_by)
    select project, 'old', 1, notes, digest, 'system' from model_notes where model = 'plain'`.execute(ctx.db)
  expect(await findUnrecordedNotes(ctx)).toMatchObject({ row: { kind: 'model-notes' } })
  await tellNotes(ctx.db as never)
  expect(await findUnrecordedNotes(ctx)).toBe(undefined)
})

const AS_EMPTY = `notes = (select notes from model_notes where model = 'plain'), digest = (select digest from model_notes where model = 'plain')`

test.each([
  ['whose words were changed', `update model_notes set notes = '{"owner": "eve"}' where revision = 2`, 'model-notes'],
  ['that are those of another', `update model_notes set ${AS_EMPTY} where revision = 2`, 'model-notes'],
  ['in another name', `update model_notes set changed_by = 'eve' where revision = 2`, 'model-notes'],
  ['of another time', `update model_notes set changed_at = '2020-01-01' where revision = 2`, 'model-notes'],
  [
    'that were slipped in',
    `insert into model_notes (project, model, revision, notes, digest, changed_by)
      select project, model, 3, notes, digest, changed_by from model_notes where revision = 2`,
    'model-notes',
  ],
  ['that a description contradicts', `update registered_model set description = 'x' where name = 'plain'`, 'model'],
  ['that a definition contradicts', `update registered_model set definition = null where name = 'delay'`, 'model'],
  [
    'whose model asks for fewer approvals',
    `update registered_model set definition = jsonb_set(definition, '{approvals}', '{}') where name = 'delay'`,
    'model',
  ],
  [
    'whose model has lost its definition',
    `update registered_model set definition = null, definition_digest = null, description = 'late flights' where name = 'delay'`,
    'model',
  ],
  ['whose model was taken away', `update registered_model set deleted_at = now() where name = 'delay'`, 'model'],
])('findUnrecordedNotes() names notes %s', async (_what, change, kind) => {
  await sql.raw(change).execute(ctx.db)
  expect(await findUnrecordedNotes(ctx)).toMatchObject({ position: null, where: 'audit', row: { kind } })
})

test('findUnrecordedNotes() names a model that is gone, which could come back with fewer approvals', async () => {
  const { owner: _, ...bare } = modelOf('bare', { intent: {}, approvals: { production: 2 } })
  await addModel(ctx, bare)
  expect(await findUnrecordedNotes(ctx)).toBe(undefined)
  await sql`delete from registered_model where name = 'bare'`.execute(ctx.db)
  expect(await findUnrecordedNotes(ctx)).toMatchObject({ reason: 'Model "bare" is gone' })
})

test('findUnrecordedNotes() names a revision that is gone', async () => {
  await sql`delete from model_notes where revision = 2`.execute(ctx.db)
  expect(await findUnrecordedNotes(ctx)).toMatchObject({ reason: 'Revision 2 of the notes of model "delay" is gone' })
})

test('findUnrecordedNotes() is blinded by no number of a transaction that is yet to come', async () => {
  await sql`update registered_model set description = 'forged' where name = 'plain'`.execute(ctx.db)
  await sql`alter table audit disable trigger user`.execute(ctx.db)
  await sql`update audit set xid = '900000000'::xid8`.execute(ctx.db)
  await sql`alter table audit enable trigger user`.execute(ctx.db)
  expect(await findUnrecordedNotes(ctx)).toMatchObject({ row: { kind: 'model', subject: 'plain' } })
})

const LOOKS = 15

/** What is found while models are made, said of, renamed and taken away beside. */
async function lookMeanwhile(ctx: Context): Promise<unknown[]> {
  let isOn = true
  const work = [0, 1, 2].map(async (maker) => {
    for (let count = 0; isOn; count++) {
      const [name, next] = [`made-${maker}-${count}`, `renamed-${maker}-${count}`]
      await createModel(ctx, { name, description: 'a new one' })
      await renameModel(ctx, name, next)
      if (count % 2 === 0) await deleteModel(ctx, next)
    }
  })
  const found: unknown[] = []
  for (let looks = 0; looks < LOOKS; looks++) found.push(await findUnrecordedNotes(ctx))
  isOn = false
  await Promise.all(work)
  return [...found, await findUnrecordedNotes(ctx)]
}

test('findUnrecordedNotes() takes no model that is worked on meanwhile for one that was changed behind the audit', async () => {
  expect(await lookMeanwhile(ctx)).toEqual(Array(LOOKS + 1).fill(undefined))
})

suiteWith('postgres', 'notes and the audit on PostgreSQL', (initdb) => {
  let cluster: TestCluster
  let onServer: TestDatabase
  beforeAll(async () => {
    cluster = await startCluster(initdb)
    onServer = await migrateTestDatabase(await openPostgres({ url: await cluster.createDatabase() }))
  })
  afterAll(async () => {
    await onServer?.close()
    await cluster?.close()
  })
  test('findUnrecordedNotes() takes no model that is worked on meanwhile for one that was changed', async () => {
    expect(await lookMeanwhile(onServer.ctx)).toEqual(Array(LOOKS + 1).fill(undefined))
  })
})
