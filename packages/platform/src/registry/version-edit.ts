import { sql } from 'kysely'
import { unpinBlobs } from '../kernel/blob/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { checkDescription } from './model-edit.ts'
import { isChampion, refuseServed, unmetForRelease } from './protected-alias.ts'
import { lockModelVersion, requireModelVersion, versionOwner } from './version.ts'
import './events.ts'

export const STAGES = ['None', 'Staging', 'Production', 'Archived'] as const
export type Stage = (typeof STAGES)[number]

interface VersionKey {
  readonly model: string
  readonly version: number
}

/** @throws invalid registry.bad_stage */
export function parseStage(text: string): Stage {
  const stage = STAGES.find((name) => name.toLowerCase() === text.toLowerCase())
  if (!stage)
    throw new PlimsollError(
      'invalid',
      'registry.bad_stage',
      `Invalid Model Version stage: ${text.slice(0, 100)}. Value must be one of ${STAGES.join(', ')}.`,
    )
  return stage
}

export async function describeVersion(ctx: Context, key: VersionKey, description: string): Promise<void> {
  checkDescription(description)
  await ctx.transaction(async (tx) => {
    await requireModelVersion(tx, key)
    await tx.db
      .updateTable('model_version')
      .set({ description, updated_at: sql<Date>`clock_timestamp()` })
      .where('project', '=', tx.project)
      .where('model', '=', key.model)
      .where('version', '=', key.version)
      .execute()
    await tx.audit({ action: 'version.describe', subject: `${key.model}/${key.version}`, data: { description } })
  })
}

/** Keeps a tombstone; its aliases go. A version that a route serves is refused. */
export async function deleteVersion(ctx: Context, key: VersionKey): Promise<void> {
  await ctx.transaction(async (tx) => {
    if (tx.principal.kind === 'run')
      throw new PlimsollError(
        'forbidden',
        'registry.run_scope',
        'Permission denied: the token of a run may not delete a version',
      )
    await lockModelVersion(tx, key, 'update')
    await refuseServed(tx, 'delete', key)
    await tx.db
      .deleteFrom('model_alias')
      .where('project', '=', tx.project)
      .where('model', '=', key.model)
      .where('version', '=', key.version)
      .execute()
    await tx.db
      .deleteFrom('model_tag')
      .where('project', '=', tx.project)
      .where('model', '=', key.model)
      .where('version', '=', key.version)
      .execute()
    await tx.db
      .updateTable('model_version')
      .set({ deleted_at: sql<Date>`clock_timestamp()` })
      .where('project', '=', tx.project)
      .where('model', '=', key.model)
      .where('version', '=', key.version)
      .execute()
    await unpinBlobs(tx, versionOwner(key))
    await tx.emit({ type: 'registry.version_deleted', subject: `${key.model}/${key.version}`, data: {} })
    await tx.audit({ action: 'version.delete', subject: `${key.model}/${key.version}` })
  })
}

/**
 * Stages are MLflow's labels: they decide nothing here, and `Production` is read from what serves, so it is not set either.
 * @throws forbidden registry.stage_protected
 */
export async function transitionStage(
  ctx: Context,
  key: VersionKey,
  stage: Stage,
  options: { isArchiving: boolean },
): Promise<void> {
  if (options.isArchiving && stage !== 'Staging' && stage !== 'Production') {
    throw new PlimsollError(
      'invalid',
      'registry.bad_stage',
      `Model version transition cannot archive existing model versions because '${stage}' is not an Active stage. Valid stages are Staging and Production`,
    )
  }
  await ctx.transaction(async (tx) => {
    await requireModelVersion(tx, key)
    const isServing = await isChampion(tx, key)
    if (isServing !== (stage === 'Production'))
      throw new PlimsollError(
        'forbidden',
        'registry.stage_protected',
        `Permission denied: stage 'Production' ${await unmetForRelease(tx, key)}`,
        { action: 'Release the version: plimsoll release ROUTE VERSION --reason WHY' },
      )
    if (isServing) return
    const rows = tx.db
      .updateTable('model_version')
      .where('project', '=', tx.project)
      .where('model', '=', key.model)
      .where('deleted_at', 'is', null)
    if (options.isArchiving) {
      await rows
        .set({ stage: 'Archived', updated_at: sql<Date>`clock_timestamp()` })
        .where('stage', '=', stage)
        .where('version', '!=', key.version)
        .execute()
    }
    await rows.set({ stage, updated_at: sql<Date>`clock_timestamp()` }).where('version', '=', key.version).execute()
    await tx.audit({
      action: 'version.stage',
      subject: `${key.model}/${key.version}`,
      data: { stage, archiveOthers: options.isArchiving },
    })
  })
}
