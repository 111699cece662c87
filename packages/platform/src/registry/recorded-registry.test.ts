import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { deleteAlias, findUnrecordedRegistry, moveAlias } from './index.ts'
import { deleteModel, renameModel } from './model-edit.ts'
import { addModel, addVersion, modelOf } from './registry.fixture.ts'
import { deleteVersion } from './version-edit.ts'

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
  await addVersion(ctx, 'delay', 'two')
  await moveAlias(ctx, { model: 'delay', alias: 'best', version: 1 })
})
afterAll(() => database.close())

const named = (kind: string, subject: string) => ({ position: null, where: 'audit', row: { kind, subject } })

test('findUnrecordedRegistry() follows what is moved, renamed, deleted and made again under a name', async () => {
  expect(await findUnrecordedRegistry(ctx)).toBe(undefined)
  await moveAlias(ctx, { model: 'delay', alias: 'best', version: 2 })
  await moveAlias(ctx, { model: 'delay', alias: 'other', version: 1 })
  await deleteAlias(ctx, { model: 'delay', alias: 'other' })
  await addVersion(ctx.as({ project: 'other' }), 'delay', 'three')
  await addVersion(ctx, 'plain', 'four')
  await moveAlias(ctx, { model: 'plain', alias: 'best', version: 1 })
  await renameModel(ctx, 'plain', 'fancy')
  await addVersion(ctx, 'plain', 'five')
  expect(await findUnrecordedRegistry(ctx)).toBe(undefined)
  await moveAlias(ctx, { model: 'fancy', alias: 'best', version: 1 })
  await deleteVersion(ctx, { model: 'delay', version: 2 })
  await deleteModel(ctx, 'fancy')
  await addVersion(ctx, 'fancy', 'six')
  await moveAlias(ctx, { model: 'fancy', alias: 'best', version: 2 })
  expect(await findUnrecordedRegistry(ctx)).toBe(undefined)
})

test.each([
  ['artifact', `artifact = 'sha256:x'`],
  ['digest of the passport', `passport_digest = 'sha256:x', passport = '{}'`],
  ['passport', `passport = jsonb_set(passport, '{metrics}', '{"auc": 1}')`],
  ['run', `run = 'run_x'`],
  ['source', `source = 'runs:/x'`],
  ['maker', `created_by = 'eve'`],
])('findUnrecordedRegistry() names a version whose %s was changed', async (_what, change) => {
  await sql`update model_version set ${sql.raw(change)} where version = 2`.execute(ctx.db)
  expect(await findUnrecordedRegistry(ctx)).toMatchObject(named('model-version', 'delay/2'))
})

test('findUnrecordedRegistry() names a version and an alias that were slipped in', async () => {
  await sql`insert into model_alias (project, model, alias, version) values ('default', 'delay', 'sly', 1)`.execute(
    ctx.db,
  )
  expect(await findUnrecordedRegistry(ctx)).toMatchObject(named('model-alias', 'delay@sly'))
  await sql`insert into model_version (project, model, version, source, artifact, passport, passport_digest, created_by)
    select project, model, 3, source, artifact, passport, passport_digest, created_by
    from model_version where version = 1`.execute(ctx.db)
  expect(await findUnrecordedRegistry(ctx)).toMatchObject(named('model-version', 'delay/3'))
})

test('findUnrecordedRegistry() names an alias that was pointed at another version', async () => {
  await sql`update model_alias set version = 2`.execute(ctx.db)
  expect(await findUnrecordedRegistry(ctx)).toMatchObject(named('model-alias', 'delay@best'))
})
