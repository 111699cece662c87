import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { up } from '../../migrations/0191-model-notes.ts'
import { openTestDatabase } from '../kernel/db/database.fixture.ts'
import { findNotesRevision, notesOf } from './model-notes.ts'
import { addModel, modelOf } from './registry.fixture.ts'

test('notes of models that were there before are kept as their first revision, by the digest that they have', async () => {
  const database = await openTestDatabase()
  onTestFinished(() => database.close())
  const { ctx } = database
  const intent = { intendedUse: 'a "quoted" \\ text\n\u0001\u007fé 😀 / \u2028', limitations: 'none' }
  await addModel(ctx, { ...modelOf('whole'), intent })
  await addModel(ctx, modelOf('short'))
  await ctx.transaction(async (tx) => {
    await sql`update registered_model set description = 'tab\there' where name = 'short'`.execute(tx.db)
    await sql`insert into registered_model (project, name) values ('default', 'silent')`.execute(tx.db)
    await sql`drop table model_notes`.execute(tx.db)
    await up(tx.db as never) // any dialect of the database
  })
  for (const model of ['whole', 'short']) {
    const notes = await notesOf(ctx, model)
    expect(await findNotesRevision(ctx, model, notes), model).toMatchObject({ revision: 1, by: 'system' })
    const row = await ctx.db
      .selectFrom('model_notes')
      .select('notes')
      .where('model', '=', model)
      .executeTakeFirstOrThrow()
    expect(row.notes).toEqual(notes)
  }
  const rows = await ctx.db.selectFrom('model_notes').select('model').execute()
  expect(rows.map(({ model }) => model).sort()).toEqual(['short', 'whole'])
})
