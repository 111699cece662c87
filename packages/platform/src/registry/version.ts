import { type PassportBound, passportBound } from '@plimsoll/sdk/wire'
import { type Selectable, sql } from 'kysely'
import { alsoPin } from '../kernel/blob/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { appendLedger } from '../kernel/ledger/index.ts'
import { shellWord } from '../kernel/shell-word.ts'
import { ensureModel, requireModel } from './model.ts'
import type { ModelVersionRow } from './tables.ts'
import './events.ts'

export interface ModelVersion {
  readonly model: string
  readonly version: number
  readonly description: string
  readonly source: string
  readonly artifact: Digest | null
  readonly sizeBytes: number
  readonly bound: PassportBound
  readonly passport: Digest
  readonly run: string | null
  readonly step: string | null
  readonly trackedRun: string | null
  readonly createdBy: string
  readonly createdAt: Date
}

export interface NewModelVersion {
  readonly model: string
  readonly source: string
  readonly bound: PassportBound
  readonly description?: string
  readonly trackedRun?: string | null
  readonly loggedModel?: string | null
  readonly runLink?: string
  /** A client that asks for a version gets a new one, also of an equal passport. */
  readonly isAlwaysNew?: boolean
}

/** Who holds the blobs that a version's passport names. */
export function versionOwner(key: { model: string; version: number }): string {
  return `model-version:${key.model}/${key.version}`
}

/** Model, what it was derived from, data and lock: what it takes to serve the version and to explain it. */
export function digestsOfPassport({ artifact, parents, data, environment }: PassportBound): string[] {
  const named = [artifact.digest, ...parents, environment?.lock ?? null, ...data.map((part) => part.digest)]
  return named.filter((digest) => digest !== null)
}

function toVersion(row: Selectable<ModelVersionRow>): ModelVersion {
  return {
    model: row.model,
    version: row.version,
    description: row.description,
    source: row.source,
    artifact: row.artifact as Digest | null, // written by registerModelVersion
    sizeBytes: Number(row.size_bytes),
    bound: row.passport,
    passport: row.passport_digest as Digest, // likewise
    run: row.run,
    step: row.step,
    trackedRun: row.tracked_run,
    createdBy: row.created_by,
    createdAt: row.created_at,
  }
}

/**
 * Registers a version: the next number, never one that was used. Never refused for a gap in its passport. The same
 * passport again gives the version that has it.
 */
export async function registerModelVersion(
  tx: Tx,
  next: NewModelVersion,
): Promise<{ model: string; version: number; passport: Digest; isNew: boolean }> {
  const { model } = next
  const bound = passportBound.parse(next.bound)
  const passport = digestValue(bound)
  await ensureModel(tx, model)
  await tx.db
    .selectFrom('registered_model')
    .select('name')
    .where('project', '=', tx.project)
    .where('name', '=', model)
    .forUpdate()
    .execute()
  const same = await tx.db
    .selectFrom('model_version')
    .select('version')
    .where('project', '=', tx.project)
    .where('model', '=', model)
    .where('passport_digest', '=', passport)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (same && bound.artifact.digest !== null && !next.isAlwaysNew)
    return { model, version: same.version, passport, isNew: false }
  const { last_version: version } = await tx.db
    .updateTable('registered_model')
    .set((eb) => ({ last_version: eb('last_version', '+', 1), updated_at: sql<Date>`clock_timestamp()` }))
    .where('project', '=', tx.project)
    .where('name', '=', model)
    .returning('last_version')
    .executeTakeFirstOrThrow()
  await tx.db
    .insertInto('model_version')
    .values({
      project: tx.project,
      model,
      version,
      description: next.description ?? '',
      source: next.source,
      artifact: bound.artifact.digest,
      size_bytes: BigInt(bound.artifact.sizeBytes),
      passport: JSON.stringify(bound),
      passport_digest: passport,
      run: bound.origin.run,
      step: bound.origin.step,
      tracked_run: next.trackedRun ?? bound.origin.trackedRun,
      logged_model: next.loggedModel ?? null,
      run_link: next.runLink ?? '',
      created_by: tx.principal.id,
      deleted_at: null,
    })
    .execute()
  await alsoPin(tx, { owner: versionOwner({ model, version }), digests: digestsOfPassport(bound) })
  await tx.emit({
    type: 'registry.version_registered',
    subject: `${model}/${version}`,
    data: { artifact: bound.artifact.digest, passport },
  })
  await tx.audit({
    action: 'version.register',
    subject: `${model}/${version}`,
    data: { artifact: bound.artifact.digest, passport, run: bound.origin.run, source: next.source },
  })
  // The audit row has its digest; the journal outside the database shall have what it says.
  await appendLedger(tx, { kind: 'registry.version', subject: `${model}/${version}`, data: bound })
  return { model, version, passport, isNew: true }
}

export async function findModelVersion(
  ctx: Context,
  key: { model: string; version: number },
): Promise<ModelVersion | undefined> {
  const row = await ctx.db
    .selectFrom('model_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', '=', key.model)
    .where('version', '=', key.version)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return row && toVersion(row)
}

function versionNotFound(key: { model: string; version: number }): PlimsollError {
  return new PlimsollError(
    'not_found',
    'registry.version_not_found',
    `Cannot find version ${key.version} of model "${key.model.slice(0, 250)}"`,
    { action: `List them with plimsoll model versions ${shellWord(key.model)}` },
  )
}

/**
 * Keeps the version as it is until this transaction ends: `share` for who points at it, `update` for who takes it away.
 * @throws not_found registry.version_not_found also when it was taken away while this waited
 */
export async function lockModelVersion(
  tx: Tx,
  key: { model: string; version: number },
  strength: 'share' | 'update',
): Promise<void> {
  const live = tx.db
    .selectFrom('model_version')
    .select('version')
    .where('project', '=', tx.project)
    .where('model', '=', key.model)
    .where('version', '=', key.version)
    .where('deleted_at', 'is', null)
  const row = await (strength === 'share' ? live.forShare() : live.forUpdate()).executeTakeFirst()
  if (!row) throw versionNotFound(key)
}

/** The same for every version of a model. */
export async function lockModelVersions(tx: Tx, model: string): Promise<void> {
  await tx.db
    .selectFrom('model_version')
    .select('version')
    .where('project', '=', tx.project)
    .where('model', '=', model)
    .orderBy('version')
    .forUpdate()
    .execute()
}

/** @throws not_found registry.version_not_found · registry.model_not_found */
export async function requireModelVersion(
  ctx: Context,
  key: { model: string; version: number },
): Promise<ModelVersion> {
  const version = await findModelVersion(ctx, key)
  if (version) return version
  await requireModel(ctx, key.model)
  throw versionNotFound(key)
}

/** Versions with this artifact, newest first. */
export async function versionsOfArtifact(ctx: Context, artifact: string): Promise<ModelVersion[]> {
  const rows = await ctx.db
    .selectFrom('model_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('artifact', '=', artifact)
    .where('deleted_at', 'is', null)
    .orderBy('created_at', 'desc')
    .limit(100)
    .execute()
  return rows.map(toVersion)
}

/** Which of these pipeline runs a version came from. */
export async function runsOfVersions(ctx: Context, runs: readonly string[]): Promise<Set<string>> {
  if (runs.length === 0) return new Set()
  const rows = await ctx.db
    .selectFrom('model_version')
    .select('run')
    .distinct()
    .where('project', '=', ctx.project)
    .where('run', 'in', [...runs])
    .where('deleted_at', 'is', null)
    .execute()
  return new Set(rows.flatMap((row) => (row.run === null ? [] : [row.run])))
}

/** Versions of a model, newest first. */
export async function listModelVersions(
  ctx: Context,
  model: string,
  page: { before?: number | undefined; limit: number },
): Promise<ModelVersion[]> {
  let query = ctx.db
    .selectFrom('model_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', '=', model)
    .where('deleted_at', 'is', null)
  if (page.before !== undefined) query = query.where('version', '<', page.before)
  return (await query.orderBy('version', 'desc').limit(page.limit).execute()).map(toVersion)
}
