import { sql } from 'kysely'
import { movePins, unpinBlobs } from '../kernel/blob/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { isLonger } from '../tracking/index.ts'
import { ensureModel, findModel, type RegisteredModel, requireModel } from './model.ts'
import { recordNotes } from './model-notes.ts'
import { refuseServed } from './protected-alias.ts'
import { lockModelVersions, versionOwner } from './version.ts'
import './events.ts'

const NAME_MAX = 256
/** MLflow has none; this is what a tag may have there. */
const DESCRIPTION_MAX = 100_000

/** @throws invalid registry.bad_name */
export function checkModelName(name: string): void {
  if (name.trim() === '')
    throw new PlimsollError('invalid', 'registry.bad_name', 'Registered model name cannot be empty')
  if (/[/:]|\p{Cc}/u.test(name) || [...name].length > NAME_MAX) {
    throw new PlimsollError(
      'invalid',
      'registry.bad_name',
      `Invalid registered model name '${name.slice(0, 100)}': it holds "/", ":" or control characters, or is longer than ${NAME_MAX}`,
    )
  }
}

export function checkDescription(description: string): void {
  if (isLonger(description, DESCRIPTION_MAX)) {
    throw new PlimsollError(
      'invalid',
      'registry.description_too_long',
      `'description' exceeds the maximum length of ${DESCRIPTION_MAX} characters`,
    )
  }
}

function nameTaken(name: string): PlimsollError {
  return new PlimsollError('conflict', 'registry.model_exists', `Registered Model (name=${name}) already exists.`)
}

/** @throws conflict registry.model_exists */
export async function createModel(ctx: Context, wanted: { name: string; description: string }): Promise<void> {
  checkModelName(wanted.name)
  checkDescription(wanted.description)
  await ctx.transaction(async (tx) => {
    if (await findModel(tx, wanted.name)) throw nameTaken(wanted.name)
    await ensureModel(tx, wanted.name)
    if (wanted.description !== '') await setDescription(tx, wanted.name, wanted.description)
  })
}

async function setDescription(tx: Tx, name: string, description: string): Promise<void> {
  await tx.db
    .updateTable('registered_model')
    .set({ description, updated_at: sql<Date>`clock_timestamp()` })
    .where('project', '=', tx.project)
    .where('name', '=', name)
    .execute()
  await recordNotes(tx, name)
}

export async function describeModel(ctx: Context, name: string, description: string): Promise<void> {
  checkDescription(description)
  await ctx.transaction(async (tx) => {
    await requireModel(tx, name)
    await setDescription(tx, name, description)
    await tx.audit({ action: 'model.describe', subject: name, data: { description } })
  })
}

/** A project that declares a model would take it for unchanged. */
function refuseDeclared(verb: 'rename' | 'delete', model: RegisteredModel): void {
  if (model.definition === null) return
  throw new PlimsollError(
    'precondition',
    'registry.declared',
    `Cannot ${verb} model ${model.name}: a project declares it`,
    { action: `${verb === 'rename' ? 'Rename' : 'Delete'} it in the project and run plimsoll apply` },
  )
}

/** Versions, tags, aliases and approvals follow. A model that a project declares keeps its declared name. */
export async function renameModel(ctx: Context, name: string, next: string): Promise<void> {
  checkModelName(next)
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'rename a model')
    const model = await requireModel(tx, name)
    refuseDeclared('rename', model)
    await lockModelVersions(tx, name)
    await refuseServed(tx, 'rename', { model: name })
    const taken = await tx.db
      .selectFrom('registered_model')
      .select('name')
      .where('project', '=', tx.project)
      .where('name', '=', next)
      .executeTakeFirst()
    if (taken) throw nameTaken(next)
    await tx.db
      .updateTable('registered_model')
      .set({ name: next, updated_at: sql<Date>`clock_timestamp()` })
      .where('project', '=', tx.project)
      .where('name', '=', name)
      .execute()
    for (const version of await versionNumbers(tx, next))
      await movePins(tx, versionOwner({ model: name, version }), versionOwner({ model: next, version }))
    await tx.emit({ type: 'registry.model_renamed', subject: next, data: { from: name } })
    await tx.audit({ action: 'model.rename', subject: next, data: { from: name } })
  })
}

async function versionNumbers(tx: Tx, model: string): Promise<number[]> {
  const rows = await tx.db
    .selectFrom('model_version')
    .select('version')
    .where('project', '=', tx.project)
    .where('model', '=', model)
    .execute()
  return rows.map((row) => row.version)
}

/** @throws forbidden registry.run_scope */
function refuseRunPrincipal({ principal }: Context, what: string): void {
  if (principal.kind === 'run')
    throw new PlimsollError('forbidden', 'registry.run_scope', `Permission denied: the token of a run may not ${what}`)
}

/** Takes the model with its versions, tags and aliases away. Tombstones stay, so that no number is given twice. */
export async function deleteModel(ctx: Context, name: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'delete a model')
    refuseDeclared('delete', await requireModel(tx, name))
    await lockModelVersions(tx, name)
    await refuseServed(tx, 'delete', { model: name })
    await tx.db.deleteFrom('model_alias').where('project', '=', tx.project).where('model', '=', name).execute()
    await tx.db.deleteFrom('model_tag').where('project', '=', tx.project).where('model', '=', name).execute()
    await tx.db
      .updateTable('model_version')
      .set({ deleted_at: sql<Date>`clock_timestamp()` })
      .where('project', '=', tx.project)
      .where('model', '=', name)
      .where('deleted_at', 'is', null)
      .execute()
    await tx.db
      .updateTable('registered_model')
      .set({ deleted_at: sql<Date>`clock_timestamp()`, definition: null, definition_digest: null })
      .where('project', '=', tx.project)
      .where('name', '=', name)
      .execute()
    await recordNotes(tx, name)
    const owners = (await versionNumbers(tx, name)).map((version) => versionOwner({ model: name, version }))
    await unpinBlobs(tx, ...owners)
    await tx.emit({ type: 'registry.model_deleted', subject: name, data: {} })
    await tx.audit({ action: 'model.delete', subject: name })
  })
}
