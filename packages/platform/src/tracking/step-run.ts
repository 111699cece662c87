import { sql } from 'kysely'
import { givenRows, type Tx } from '../kernel/db/index.ts'
import { randomHex } from '../kernel/ids.ts'
import { ensureExperiment, nowMs, requireActiveExperiment } from './experiment.ts'
import { checkRunTag, NAME_TAG, type RunStatus } from './run.ts'

export interface StepRun {
  /** From `newTrackedRunId`. */
  readonly id: string
  readonly experiment: string
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
}

const USER = 'plimsoll'

/** Runs whose experiment is there and active, with their tags, in one statement. Returns the ids that were made. */
async function insertRuns(tx: Tx, runs: readonly StepRun[]): Promise<Set<string>> {
  const rows = givenRows('d', { id: 'text', experiment: 'text', name: 'text' }, runs)
  const tags = runs.flatMap(({ id, tags }) => Object.entries(tags).map(([key, value]) => ({ id, key, value })))
  const made = await sql<{ id: string }>`
    with r as (
      insert into tracked_run (project, id, experiment, name, user_id, status, start_ms, artifact_uri, lifecycle)
      select ${tx.project}, d.id, e.id, d.name, ${USER}, 'RUNNING', ${nowMs(tx)}::bigint,
        e.artifact_location || '/' || d.id || '/artifacts', 'active'
      from ${rows}
      join experiment e on e.project = ${tx.project} and e.name = d.experiment and e.lifecycle = 'active'
      returning no, id),
    t as (
      insert into tracked_tag (project, run_no, key, value) select ${tx.project}, r.no, d.key, d.value
      from ${givenRows('d', { id: 'text', key: 'text', value: 'text' }, tags)} join r on r.id = d.id)
    select id from r`.execute(tx.db)
  return new Set(made.rows.map((row) => row.id))
}

export function newTrackedRunId(): string {
  return randomHex(16)
}

/**
 * The tracked runs of pipeline steps, each in the experiment of its name (made when absent).
 * @throws precondition tracking.experiment_deleted
 */
export async function startTrackedRuns(tx: Tx, wanted: readonly StepRun[]): Promise<void> {
  if (wanted.length === 0) return
  const runs = wanted.map((run): StepRun => ({ ...run, tags: { ...run.tags, [NAME_TAG]: run.name } }))
  for (const { tags } of runs) for (const [key, value] of Object.entries(tags)) checkRunTag({ key, value }, 'tags')
  const made = await insertRuns(tx, runs)
  const left = runs.filter(({ id }) => !made.has(id))
  for (const name of new Set(left.map((run) => run.experiment)))
    await requireActiveExperiment(tx, await ensureExperiment(tx, name))
  if (left.length > 0) await insertRuns(tx, left)
}

/** Ends tracked runs; one that is deleted meanwhile is left as it is. */
export async function finishTrackedRuns(
  tx: Tx,
  ended: readonly { readonly id: string; readonly status: RunStatus }[],
): Promise<void> {
  if (ended.length === 0) return
  await sql`
    update tracked_run r set status = d.status, end_ms = ${nowMs(tx)}::bigint
    from ${givenRows('d', { id: 'text', status: 'text' }, ended)}
    where r.project = ${tx.project} and r.id = d.id and r.lifecycle = 'active'`.execute(tx.db)
}
