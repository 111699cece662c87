import type { ModelDefinition } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import './events.ts'
import { recordNotes } from './model-notes.ts'
import './tables.ts'

export interface RegisteredModel {
  readonly name: string
  readonly description: string
  readonly definition: ModelDefinition | null
  readonly definitionDigest: string | null
  readonly lastVersion: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Makes the model so; repeating it is free. Versions that a client registered before keep their numbers. */
export async function declareModel(tx: Tx, definition: ModelDefinition): Promise<void> {
  const digest = digestValue(definition)
  const before = await findModel(tx, definition.name)
  if (before?.definitionDigest === digest) return
  const row = {
    description: definition.description ?? '',
    definition: JSON.stringify(definition),
    definition_digest: digest,
  }
  await tx.db
    .insertInto('registered_model')
    .values({ project: tx.project, name: definition.name, ...row })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'name'])
        .doUpdateSet({ ...row, deleted_at: null, updated_at: sql<Date>`clock_timestamp()` }),
    )
    .execute()
  await tx.emit({ type: 'registry.model_declared', subject: definition.name, data: { digest } })
  await tx.audit({ action: 'model.declare', subject: definition.name, data: { digest } })
  await recordNotes(tx, definition.name)
}

/** Makes a model of this name when there is none: a step that registers a version may be the first to name it. */
export async function ensureModel(tx: Tx, name: string): Promise<void> {
  const inserted = await tx.db
    .insertInto('registered_model')
    .values({ project: tx.project, name, definition: null, definition_digest: null })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'name'])
        .doUpdateSet({
          deleted_at: null,
          description: '',
          created_at: sql<Date>`clock_timestamp()`,
          updated_at: sql<Date>`clock_timestamp()`,
        })
        .where('registered_model.deleted_at', 'is not', null),
    )
    .executeTakeFirst()
  if (inserted.numInsertedOrUpdatedRows === 0n) return
  await tx.emit({ type: 'registry.model_created', subject: name, data: {} })
  await tx.audit({ action: 'model.create', subject: name })
}

/** Takes the definition away; the model and its versions stay. */
export async function undeclareModel(tx: Tx, name: string): Promise<void> {
  await tx.db
    .updateTable('registered_model')
    .set({ definition: null, definition_digest: null })
    .where('project', '=', tx.project)
    .where('name', '=', name)
    .execute()
  await tx.audit({ action: 'model.undeclare', subject: name })
  await recordNotes(tx, name)
}

export async function findModel(ctx: Context, name: string): Promise<RegisteredModel | undefined> {
  const row = await ctx.db
    .selectFrom('registered_model')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return (
    row && {
      name: row.name,
      description: row.description,
      definition: row.definition,
      definitionDigest: row.definition_digest,
      lastVersion: row.last_version,
      createdAt: row.created_at,
      updatedAt: row.updated_at,
    }
  )
}

/** @throws not_found registry.model_not_found */
export async function requireModel(ctx: Context, name: string): Promise<RegisteredModel> {
  const model = await findModel(ctx, name)
  if (!model)
    throw new PlimsollError(
      'not_found',
      'registry.model_not_found',
      `Cannot find registered model "${name.slice(0, 250)}"`,
    )
  return model
}

export async function listModels(
  ctx: Context,
  page: { after?: string | undefined; limit: number },
): Promise<RegisteredModel[]> {
  let query = ctx.db
    .selectFrom('registered_model')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('deleted_at', 'is', null)
  if (page.after !== undefined) query = query.where('name', '>', page.after)
  const rows = await query.orderBy('name').limit(page.limit).execute()
  return rows.map((row) => ({
    name: row.name,
    description: row.description,
    definition: row.definition,
    definitionDigest: row.definition_digest,
    lastVersion: row.last_version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }))
}
