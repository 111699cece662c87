import type { Selectable } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { randomBelow, randomHex } from '../kernel/ids.ts'
import { type Experiment, nowMs, type Pair, refuseRunPrincipal, requireActiveExperiment } from './experiment.ts'
import { missing, refusal } from './failure.ts'
import { checkInstant, checkKey, checkRunId, cutText, LIMITS, refuseReservedTags, withoutReserved } from './limits.ts'
import { type RunData, readRunData } from './run-data.ts'
import type { TrackedRunRow } from './tables.ts'

export const RUN_STATUS = { RUNNING: 1, SCHEDULED: 2, FINISHED: 3, FAILED: 4, KILLED: 5 } as const
export type RunStatus = keyof typeof RUN_STATUS
export type RunRow = Selectable<TrackedRunRow>
export type TrackedRun = RunRow & RunData

export const NAME_TAG = 'mlflow.runName'
const ADJECTIVES = [
  'calm',
  'brisk',
  'steady',
  'keen',
  'deep',
  'bright',
  'fair',
  'swift',
  'bold',
  'quiet',
  'clear',
  'tidy',
]
const NOUNS = ['keel', 'mast', 'tide', 'gull', 'buoy', 'reef', 'helm', 'sail', 'wake', 'pier', 'swell', 'anchor']

function generatedName(): string {
  return `${ADJECTIVES[randomBelow(ADJECTIVES.length)]}-${NOUNS[randomBelow(NOUNS.length)]}-${randomBelow(1_000)}`
}

export interface NewRun {
  readonly experiment: string
  readonly user?: string | undefined
  readonly name?: string | undefined
  readonly startMs?: bigint | undefined
  readonly tags?: readonly Pair[] | undefined
}

/** The run that a step's token belongs to, or undefined for any other caller. */
export function ownerRunOf(ctx: Context): string | undefined {
  return ctx.principal.kind === 'run' ? ctx.principal.id.replace(/^run:/, '') : undefined
}

/** Creates a run in status RUNNING. Its name and the tag `mlflow.runName` are one value. */
export async function createRun(ctx: Context, wanted: NewRun): Promise<TrackedRun> {
  const accepted = (wanted.tags ?? []).map((tag, index) => acceptRunTag(tag, `tags[${index}].key`))
  const given = new Map(withoutReserved(accepted).map((tag) => [tag.key, tag.value]))
  const tagged = given.get(NAME_TAG)
  const named = cutText(wanted.name ?? '', LIMITS.runTagValue)
  if (tagged && named && tagged !== named) {
    throw refusal(
      `Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='${named}', mlflow.runName='${tagged}').`,
    )
  }
  const name = named || tagged || generatedName()
  given.set(NAME_TAG, name)
  if (wanted.startMs !== undefined) checkInstant(wanted.startMs, 'start_time')
  return ctx.transaction(async (tx) => {
    return insertRun(tx, await requireActiveExperiment(tx, wanted.experiment), {
      id: randomHex(16),
      name,
      user: wanted.user || given.get('mlflow.user') || 'unknown',
      startMs: wanted.startMs || nowMs(tx),
      tags: given,
    })
  })
}

/** Writes a run in status RUNNING, with its tags: the name's is among them. */
export async function insertRun(
  tx: Tx,
  experiment: Pick<Experiment, 'id' | 'artifact_location'>,
  run: { id: string; name: string; user: string; startMs: bigint; tags: ReadonlyMap<string, string> },
): Promise<TrackedRun> {
  const row = await tx.db
    .insertInto('tracked_run')
    .values({
      project: tx.project,
      id: run.id,
      experiment: experiment.id,
      name: run.name,
      user_id: run.user,
      status: 'RUNNING',
      start_ms: run.startMs,
      end_ms: null,
      artifact_uri: `${experiment.artifact_location}/${run.id}/artifacts`,
      lifecycle: 'active',
      owner_run: ownerRunOf(tx) ?? null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  const tags = [...run.tags].map(([key, value]) => ({ key, value }))
  await tx.db
    .insertInto('tracked_tag')
    .values(tags.map((tag) => ({ project: tx.project, run_no: row.no, ...tag })))
    .execute()
  return { ...row, params: [], metrics: [], tags, datasets: [], models: [] }
}

/** The tag as it is stored: a long value is cut. `path` names its key in a refusal. */
export function acceptRunTag(tag: Pair, path = 'key'): Pair {
  checkKey(tag.key, path)
  return { key: tag.key, value: cutText(tag.value, LIMITS.runTagValue) }
}

export async function findRunRow(ctx: Context, id: string, options = { lock: false }): Promise<RunRow | undefined> {
  const query = ctx.db.selectFrom('tracked_run').selectAll().where('project', '=', ctx.project).where('id', '=', id)
  return options.lock ? query.forUpdate().executeTakeFirst() : query.executeTakeFirst()
}

export async function requireRunRow(ctx: Context, id: string): Promise<RunRow> {
  checkRunId(id)
  const row = await findRunRow(ctx, id)
  if (!row) throw missing('run_not_found', `Run with id=${id} not found`)
  return row
}

/** A run with its params, latest metrics, tags, inputs and outputs. @throws not_found tracking.run_not_found */
export async function requireTrackedRun(ctx: Context, id: string): Promise<TrackedRun> {
  const row = await requireRunRow(ctx, id)
  const [run] = await readRunData(ctx, [row])
  return run!
}

/**
 * Locks the run for the rest of the transaction: writers of one run queue here. A run's own token reaches only the run
 * itself and the runs that it made.
 */
export async function lockWritableRun(tx: Tx, id: string, options: { anyState?: boolean } = {}): Promise<RunRow> {
  checkRunId(id)
  const row = await findRunRow(tx, id, { lock: true })
  const owner = ownerRunOf(tx)
  if (owner !== undefined && id !== owner && row?.owner_run !== owner) {
    throw new PlimsollError(
      'forbidden',
      'tracking.run_scope',
      `Permission denied: this token may write run ${owner} only, not ${id}`,
    )
  }
  if (!row) throw missing('run_not_found', `Run with id=${id} not found`)
  if (row.lifecycle !== 'active' && !options.anyState) {
    throw refusal(`The run ${id} must be in the 'active' state. Current state is deleted.`)
  }
  return row
}

export async function updateRun(
  ctx: Context,
  id: string,
  change: { status?: RunStatus | undefined; endMs?: bigint | undefined; name?: string | undefined },
): Promise<RunRow> {
  if (change.endMs !== undefined) checkInstant(change.endMs, 'end_time')
  const name = cutText(change.name ?? '', LIMITS.runTagValue)
  return ctx.transaction(async (tx) => {
    const row = await lockWritableRun(tx, id)
    if (name) await upsertTags(tx, row, [{ key: NAME_TAG, value: name }])
    const set = {
      ...(change.status ? { status: change.status } : {}),
      ...(change.endMs ? { end_ms: change.endMs } : {}),
      ...(name ? { name } : {}),
    }
    if (Object.keys(set).length === 0) return row
    return tx.db.updateTable('tracked_run').set(set).where('no', '=', row.no).returningAll().executeTakeFirstOrThrow()
  })
}

/** A flag, set as often as asked; the artifacts stay. */
export async function setRunLifecycle(ctx: Context, id: string, lifecycle: 'active' | 'deleted'): Promise<void> {
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'delete or restore a run')
    const row = await lockWritableRun(tx, id, { anyState: true })
    if (row.lifecycle === lifecycle) return
    await tx.db
      .updateTable('tracked_run')
      .set({ lifecycle, deleted_with_experiment: false })
      .where('no', '=', row.no)
      .execute()
    await tx.audit({
      action: lifecycle === 'deleted' ? 'tracked_run.delete' : 'tracked_run.restore',
      subject: `tracked-run/${id}`,
    })
  })
}

/** Last write wins. A tag on `mlflow.runName` renames the run. */
export async function upsertTags(tx: Tx, run: RunRow, tags: readonly Pair[]): Promise<void> {
  refuseReservedTags(tags)
  if (tags.length === 0) return
  const last = new Map(tags.map((tag) => [tag.key, tag.value]))
  await tx.db
    .insertInto('tracked_tag')
    .values([...last].map(([key, value]) => ({ project: tx.project, run_no: run.no, key, value })))
    .onConflict((conflict) =>
      conflict.columns(['run_no', 'key']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') })),
    )
    .execute()
  const name = last.get(NAME_TAG)
  if (name !== undefined && name !== run.name) {
    await tx.db.updateTable('tracked_run').set({ name }).where('no', '=', run.no).execute()
  }
}

export async function setRunTag(ctx: Context, id: string, tag: Pair): Promise<void> {
  const accepted = acceptRunTag(tag)
  await ctx.transaction(async (tx) => upsertTags(tx, await lockWritableRun(tx, id), [accepted]))
}

export async function deleteRunTag(ctx: Context, id: string, key: string): Promise<void> {
  refuseReservedTags([{ key }])
  await ctx.transaction(async (tx) => {
    const row = await lockWritableRun(tx, id)
    const gone = await tx.db
      .deleteFrom('tracked_tag')
      .where('run_no', '=', row.no)
      .where('key', '=', key)
      .executeTakeFirst()
    if (gone.numDeletedRows === 0n) throw missing('tag_not_found', `No tag with name: ${key} in run with id ${id}`)
  })
}
