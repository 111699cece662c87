import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { missing, refusal } from './failure.ts'
import { checkExperimentId, checkKey, LIMITS, refuseReservedTags, withoutReserved } from './limits.ts'
import { refuseLonger } from './surface/fields.ts'
import type { ExperimentRow } from './tables.ts'

export interface Pair {
  readonly key: string
  readonly value: string
}
export type Experiment = ExperimentRow & { tags: Pair[] }

export function nowMs(ctx: Context): bigint {
  return BigInt(Math.floor(ctx.clock.nowMs()))
}

/** Every project has experiment `0`, `Default`; it is made when it is first asked for. */
export async function ensureDefaultExperiment(ctx: Context): Promise<void> {
  const present = await ctx.db
    .selectFrom('experiment')
    .select('id')
    .where('project', '=', ctx.project)
    .where('id', '=', '0')
    .executeTakeFirst()
  if (present) return
  const now = nowMs(ctx)
  await ctx.db
    .insertInto('experiment')
    .values({
      project: ctx.project,
      number: 0n,
      id: '0',
      name: 'Default',
      artifact_location: 'mlflow-artifacts:/0',
      lifecycle: 'active',
      created_ms: now,
      updated_ms: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Whoever makes an experiment waits here for those that make one. */
async function lockNames(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`experiment ${tx.project}`}, 0))`.execute(tx.db)
}

/**
 * Creates an experiment and returns its id, a decimal number as text. Names stay taken by deleted experiments.
 * @throws conflict tracking.experiment_exists
 */
export async function createExperiment(
  ctx: Context,
  wanted: { name: string; artifactLocation?: string | undefined; tags?: readonly Pair[] | undefined },
): Promise<string> {
  refuseLonger(wanted.name, LIMITS.experimentName, 'name')
  checkArtifactLocation(wanted.artifactLocation)
  const tags = withoutReserved(wanted.tags)
  for (const tag of tags) checkExperimentTag(tag)
  return ctx.transaction(async (tx) => {
    await lockNames(tx)
    await ensureDefaultExperiment(tx)
    const { next } = await tx.db
      .selectFrom('experiment')
      .select((eb) => eb(eb.fn.max('number'), '+', 1n).as('next'))
      .where('project', '=', tx.project)
      .executeTakeFirstOrThrow()
    const id = String(next)
    const now = nowMs(tx)
    const inserted = await tx.db
      .insertInto('experiment')
      .values({
        project: tx.project,
        number: BigInt(id),
        id,
        name: wanted.name,
        artifact_location: wanted.artifactLocation || `mlflow-artifacts:/${id}`,
        lifecycle: 'active',
        created_ms: now,
        updated_ms: now,
      })
      .onConflict((conflict) => conflict.columns(['project', 'name']).doNothing())
      .returning('id')
      .executeTakeFirst()
    if (!inserted) throw await nameTaken(tx, wanted.name)
    for (const tag of tags) await upsertTag(tx, id, tag)
    return id
  })
}

async function nameTaken(ctx: Context, name: string): Promise<PlimsollError> {
  const holder = await findExperimentByName(ctx, name)
  const message =
    holder?.lifecycle === 'deleted'
      ? `Experiment '${name}' already exists in deleted state. You can restore the experiment, or permanently delete the experiment from the .trash folder (under tracking server's root folder) in order to use this experiment name again.`
      : `Experiment(name=${name}) already exists.`
  return new PlimsollError('conflict', 'tracking.experiment_exists', message)
}

const DECODE_ROUNDS_MAX = 8

/** True when a segment is `..`, now or after decoding once more; what never stops decoding is taken for such. */
function leadsUpwards(location: string): boolean {
  let decoded = location
  for (let round = 0; round < DECODE_ROUNDS_MAX; round++) {
    if (decoded.split('/').includes('..')) return true
    let next: string
    try {
      next = decodeURIComponent(decoded)
    } catch {
      return false // a literal % that encodes nothing
    }
    if (next === decoded) return false
    decoded = next
  }
  return true
}

function checkArtifactLocation(location: string | undefined): void {
  if (!location) return
  refuseLonger(location, 2_048, 'artifact_location')
  if (/[#;?\\]/.test(location) || location.startsWith('runs:') || leadsUpwards(location)) {
    throw refusal(
      `Invalid value ${JSON.stringify(location.slice(0, 200))} for parameter 'artifact_location' supplied: it has a fragment, params, a step upwards or the scheme "runs"`,
    )
  }
}

function checkExperimentTag(tag: Pair): void {
  checkKey(tag.key, 'key')
  refuseLonger(tag.value, LIMITS.experimentTagValue, 'value')
}

async function withTags(ctx: Context, rows: readonly ExperimentRow[]): Promise<Experiment[]> {
  if (rows.length === 0) return []
  const ids = rows.map((row) => row.id)
  const tags = await ctx.db
    .selectFrom('experiment_tag')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('experiment', 'in', ids)
    .orderBy('key')
    .execute()
  return rows.map((row) => ({
    ...row,
    tags: tags.filter((tag) => tag.experiment === row.id).map(({ key, value }) => ({ key, value })),
  }))
}

export { withTags as withExperimentTags }

/** @throws not_found tracking.experiment_not_found */
export async function requireExperiment(ctx: Context, id: string): Promise<Experiment> {
  checkExperimentId(id)
  if (id === '0') await ensureDefaultExperiment(ctx)
  const rows = await ctx.db
    .selectFrom('experiment')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .execute()
  const [found] = await withTags(ctx, rows)
  if (!found) throw missing('experiment_not_found', `No Experiment with id=${id} exists`)
  return found
}

export async function findExperimentByName(ctx: Context, name: string): Promise<Experiment | undefined> {
  if (name === 'Default') await ensureDefaultExperiment(ctx)
  const rows = await ctx.db
    .selectFrom('experiment')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('name', '=', name)
    .execute()
  return (await withTags(ctx, rows))[0]
}

/** The experiment of this name, made when it is absent. */
export async function ensureExperiment(tx: Tx, name: string): Promise<string> {
  const known = await findExperimentByName(tx, name)
  if (known) return known.id
  await lockNames(tx)
  return (await findExperimentByName(tx, name))?.id ?? createExperiment(tx, { name })
}

/** @throws precondition tracking.experiment_deleted */
export async function requireActiveExperiment(ctx: Context, id: string): Promise<Experiment> {
  const found = await requireExperiment(ctx, id)
  if (found.lifecycle !== 'active') {
    throw refusal(`The experiment ${id} must be in the 'active' state. Current state is deleted.`)
  }
  return found
}

export async function renameExperiment(ctx: Context, id: string, name: string): Promise<void> {
  refuseLonger(name, LIMITS.experimentName, 'new_name')
  refuseRunPrincipal(ctx, 'rename an experiment')
  await ctx.transaction(async (tx) => {
    const current = await requireActiveExperiment(tx, id)
    if (current.name === name) return
    if (await findExperimentByName(tx, name)) throw await nameTaken(tx, name)
    await tx.db
      .updateTable('experiment')
      .set({ name, updated_ms: nowMs(tx) })
      .where('project', '=', tx.project)
      .where('id', '=', id)
      .execute()
  })
}

/** Deletes or restores an experiment with its runs. Runs that were deleted by hand before stay deleted at a restore. */
export async function setExperimentLifecycle(ctx: Context, id: string, lifecycle: 'active' | 'deleted'): Promise<void> {
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'delete or restore an experiment')
    const current = await requireExperiment(tx, id)
    const from = lifecycle === 'deleted' ? 'active' : 'deleted'
    if (current.lifecycle !== from) {
      throw missing(
        'experiment_not_found',
        `No ${from === 'active' ? 'active' : 'deleted'} Experiment with id=${id} exists`,
      )
    }
    await tx.db
      .updateTable('experiment')
      .set({ lifecycle, updated_ms: nowMs(tx) })
      .where('project', '=', tx.project)
      .where('id', '=', id)
      .execute()
    const runs = tx.db.updateTable('tracked_run').where('project', '=', tx.project).where('experiment', '=', id)
    if (lifecycle === 'deleted') {
      await runs.set({ lifecycle, deleted_with_experiment: true }).where('lifecycle', '=', 'active').execute()
    } else {
      await runs
        .set({ lifecycle, deleted_with_experiment: false })
        .where('deleted_with_experiment', '=', true)
        .execute()
    }
    await tx.audit({
      action: lifecycle === 'deleted' ? 'experiment.delete' : 'experiment.restore',
      subject: `experiment/${id}`,
    })
  })
}

export function refuseRunPrincipal(ctx: Context, what: string): void {
  if (ctx.principal.kind === 'run') {
    throw new PlimsollError('forbidden', 'tracking.run_scope', `Permission denied: the token of a run may not ${what}`)
  }
}

async function upsertTag(tx: Tx, experiment: string, tag: Pair): Promise<void> {
  await tx.db
    .insertInto('experiment_tag')
    .values({ project: tx.project, experiment, ...tag })
    .onConflict((conflict) => conflict.columns(['project', 'experiment', 'key']).doUpdateSet({ value: tag.value }))
    .execute()
}

export async function setExperimentTag(ctx: Context, id: string, tag: Pair): Promise<void> {
  refuseReservedTags([tag])
  checkExperimentTag(tag)
  await ctx.transaction(async (tx) => {
    await requireActiveExperiment(tx, id)
    await upsertTag(tx, id, tag)
  })
}

export async function deleteExperimentTag(ctx: Context, id: string, key: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    await requireActiveExperiment(tx, id)
    const result = await tx.db
      .deleteFrom('experiment_tag')
      .where('project', '=', tx.project)
      .where('experiment', '=', id)
      .where('key', '=', key)
      .executeTakeFirst()
    if (result.numDeletedRows === 0n)
      throw missing('tag_not_found', `No tag with name: ${key} in experiment with id ${id}`)
  })
}
