import type { Selectable } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { randomHex } from '../kernel/ids.ts'
import { nowMs, type Pair, refuseRunPrincipal, requireActiveExperiment } from './experiment.ts'
import { missing, refusal } from './failure.ts'
import { checkKey, refuseReservedTags, withoutReserved } from './limits.ts'
import { lockWritableRun, ownerRunOf } from './run.ts'
import { refuseLonger } from './surface/fields.ts'
import type { LoggedModelRow } from './tables.ts'

export const LOGGED_MODEL_STATUS = {
  LOGGED_MODEL_PENDING: 1,
  LOGGED_MODEL_READY: 2,
  LOGGED_MODEL_UPLOAD_FAILED: 3,
} as const
export type LoggedModelStatus = keyof typeof LOGGED_MODEL_STATUS

export interface ModelMetric {
  readonly key: string
  readonly value: number
  readonly is_nan: boolean
  readonly ts_ms: bigint
  readonly step: bigint
  readonly run: string
  readonly dataset_name: string | null
  readonly dataset_digest: string | null
}
export type LoggedModel = Selectable<LoggedModelRow> & { params: Pair[]; tags: Pair[]; metrics: ModelMetric[] }

export interface NewLoggedModel {
  readonly experiment: string
  readonly name?: string | undefined
  readonly modelType?: string | undefined
  readonly sourceRun?: string | undefined
  readonly params: readonly Pair[]
  readonly tags: readonly Pair[]
}

export async function createLoggedModel(ctx: Context, wanted: NewLoggedModel): Promise<LoggedModel> {
  if (wanted.name !== undefined) refuseLonger(wanted.name, 500, 'name')
  if (/[/:.%"']/.test(wanted.name ?? '')) {
    throw refusal(
      `Invalid model name (${wanted.name}) provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '"', "'")`,
    )
  }
  return ctx.transaction(async (tx) => {
    const experiment = await requireActiveExperiment(tx, wanted.experiment)
    const owner = ownerRunOf(tx)
    if (wanted.sourceRun && owner !== undefined) await lockWritableRun(tx, wanted.sourceRun)
    const id = `m-${randomHex(16)}`
    const now = nowMs(tx)
    await tx.db
      .insertInto('logged_model')
      .values({
        project: tx.project,
        id,
        experiment: experiment.id,
        name: wanted.name || `model-${id.slice(2, 10)}`,
        model_type: wanted.modelType ?? null,
        source_run: wanted.sourceRun ?? null,
        artifact_uri: `${experiment.artifact_location}/models/${id}/artifacts`,
        status: 'LOGGED_MODEL_PENDING',
        status_message: null,
        lifecycle: 'active',
        owner_run: owner ?? null,
        created_ms: now,
        updated_ms: now,
      })
      .execute()
    await insertParams(tx, id, wanted.params)
    await upsertTags(tx, id, withoutReserved(wanted.tags))
    return requireLoggedModel(tx, id)
  })
}

async function lockOwn(tx: Tx, id: string, options: { anyState?: boolean } = {}): Promise<void> {
  const row = await tx.db
    .selectFrom('logged_model')
    .select(['owner_run', 'lifecycle'])
    .where('project', '=', tx.project)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (!row || (row.lifecycle !== 'active' && !options.anyState))
    throw missing('model_not_found', `Logged model with ID '${id.slice(0, 100)}' not found.`)
  const owner = ownerRunOf(tx)
  if (owner !== undefined && row.owner_run !== owner) {
    throw new PlimsollError(
      'forbidden',
      'tracking.run_scope',
      `Permission denied: this token may write the models of run ${owner} only`,
    )
  }
}

/** Values have no bound of their own here or upstream: the request's body has one. */
async function insertParams(tx: Tx, model: string, params: readonly Pair[]): Promise<void> {
  if (params.length === 0) return
  const last = new Map<string, string>()
  for (const { key, value } of params) {
    checkKey(key, 'key')
    last.set(key, value)
  }
  await tx.db
    .insertInto('logged_model_param')
    .values([...last].map(([key, value]) => ({ project: tx.project, model, key, value })))
    .onConflict((conflict) =>
      conflict.columns(['project', 'model', 'key']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })),
    )
    .execute()
}

async function upsertTags(tx: Tx, model: string, tags: readonly Pair[]): Promise<void> {
  if (tags.length === 0) return
  const last = new Map<string, string>()
  for (const { key, value } of tags) {
    checkKey(key, 'key')
    last.set(key, value)
  }
  await tx.db
    .insertInto('logged_model_tag')
    .values([...last].map(([key, value]) => ({ project: tx.project, model, key, value })))
    .onConflict((conflict) =>
      conflict.columns(['project', 'model', 'key']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })),
    )
    .execute()
}

export async function requireLoggedModel(
  ctx: Context,
  id: string,
  options: { allowDeleted?: boolean | undefined } = {},
): Promise<LoggedModel> {
  const row = await ctx.db
    .selectFrom('logged_model')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row || (row.lifecycle !== 'active' && !options.allowDeleted)) {
    throw missing('model_not_found', `Logged model with ID '${id.slice(0, 100)}' not found.`)
  }
  return (await withModelData(ctx, [row]))[0]!
}

export async function withModelData(ctx: Context, rows: readonly Selectable<LoggedModelRow>[]): Promise<LoggedModel[]> {
  if (rows.length === 0) return []
  const ids = rows.map((row) => row.id)
  const params = await ctx.db
    .selectFrom('logged_model_param')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', 'in', ids)
    .orderBy('key')
    .execute()
  const tags = await ctx.db
    .selectFrom('logged_model_tag')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', 'in', ids)
    .orderBy('key')
    .execute()
  const metrics = await ctx.db
    .selectFrom('tracked_metric as m')
    .innerJoin('tracked_run as r', 'r.no', 'm.run_no')
    .select([
      'm.model',
      'm.key',
      'm.value',
      'm.is_nan',
      'm.ts_ms',
      'm.step',
      'r.id as run',
      'm.dataset_name',
      'm.dataset_digest',
    ])
    .distinctOn(['m.model', 'm.key', 'r.id', 'm.dataset_name', 'm.dataset_digest'])
    .where('m.project', '=', ctx.project)
    .where('m.model', 'in', ids)
    .orderBy('m.model')
    .orderBy('m.key')
    .orderBy('r.id')
    .orderBy('m.dataset_name')
    .orderBy('m.dataset_digest')
    .orderBy('m.step', 'desc')
    .orderBy('m.ts_ms', 'desc')
    .execute()
  const pair = ({ key, value }: Pair) => ({ key, value })
  return rows.map((row) => ({
    ...row,
    params: params.filter((param) => param.model === row.id).map(pair),
    tags: tags.filter((tag) => tag.model === row.id).map(pair),
    metrics: metrics.filter((metric) => metric.model === row.id),
  }))
}

/** May be called again, also from ready to failed. */
export async function finalizeLoggedModel(ctx: Context, id: string, status: LoggedModelStatus): Promise<LoggedModel> {
  return ctx.transaction(async (tx) => {
    await lockOwn(tx, id)
    await tx.db
      .updateTable('logged_model')
      .set({ status, updated_ms: nowMs(tx) })
      .where('project', '=', tx.project)
      .where('id', '=', id)
      .execute()
    return requireLoggedModel(tx, id)
  })
}

/** Free when it is deleted already. */
export async function deleteLoggedModel(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'delete a logged model')
    await lockOwn(tx, id, { anyState: true })
    const gone = await tx.db
      .updateTable('logged_model')
      .set({ lifecycle: 'deleted', updated_ms: nowMs(tx) })
      .where('project', '=', tx.project)
      .where('id', '=', id)
      .where('lifecycle', '=', 'active')
      .executeTakeFirst()
    if (gone.numUpdatedRows === 0n) return
    await tx.audit({ action: 'logged_model.delete', subject: `logged-model/${id}` })
  })
}

export async function setLoggedModelTags(ctx: Context, id: string, tags: readonly Pair[]): Promise<LoggedModel> {
  refuseReservedTags(tags)
  return ctx.transaction(async (tx) => {
    await lockOwn(tx, id)
    await upsertTags(tx, id, tags)
    return requireLoggedModel(tx, id)
  })
}

export async function deleteLoggedModelTag(ctx: Context, id: string, key: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    await lockOwn(tx, id)
    const gone = await tx.db
      .deleteFrom('logged_model_tag')
      .where('project', '=', tx.project)
      .where('model', '=', id)
      .where('key', '=', key)
      .executeTakeFirst()
    if (gone.numDeletedRows === 0n)
      throw missing('tag_not_found', `No tag with key '${key}' found for logged model with ID '${id}'.`)
  })
}

export async function logModelParams(ctx: Context, id: string, params: readonly Pair[]): Promise<void> {
  await ctx.transaction(async (tx) => {
    await lockOwn(tx, id)
    await insertParams(tx, id, params)
  })
}

/** Notes on the logged model that a version was registered from it; the text is compared byte for byte by clients. */
export async function noteModelVersion(tx: Tx, id: string, version: { name: string; version: number }): Promise<void> {
  const key = 'mlflow.modelVersions'
  const row = await tx.db
    .selectFrom('logged_model_tag')
    .select('value')
    .where('project', '=', tx.project)
    .where('model', '=', id)
    .where('key', '=', key)
    .executeTakeFirst()
  const known = row ? (JSON.parse(row.value) as { name: string; version: number }[]) : [] // written here only
  const printed = [...known, version].map((one) => `{"name": ${JSON.stringify(one.name)}, "version": ${one.version}}`)
  await upsertTags(tx, id, [{ key, value: `[${printed.join(', ')}]` }])
}
