import { sql } from 'kysely'
import { givenRows, type Tx } from '../kernel/db/index.ts'
import { randomHex } from '../kernel/ids.ts'
import { ensureExperiment, nowMs, requireActiveExperiment } from './experiment.ts'
import { checkRunTag, NAME_TAG, type RunStatus } from './run.ts'

export interface StepRun {
  readonly experiment: string
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
}

const USER = 'plimsoll'

interface NewRow extends StepRun {
  readonly id: string
}

/** Runs whose experiment is there and active, with their tags, in one statement. Returns the ids that were made. */
async function insertRuns(tx: Tx, runs: readonly NewRow[]): Promise<Set<string>> {
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

/**
 * The tracked runs of pipeline steps, each in the experiment of its name (made when absent). Returns their ids in order.
 * @throws precondition tracking.experiment_deleted
 */
export async function startTrackedRuns(tx: Tx, wanted: readonly StepRun[]): Promise<string[]> {
  const runs = wanted.map((run): NewRow => ({ ...run, id: randomHex(16), tags: { ...run.tags, [NAME_TAG]: run.name } }))
  for (const { tags } of runs) for (const [key, value] of Object.entries(tags)) checkRunTag({ key, value }, 'tags')
  const made = runs.length === 0 ? new Set() : await insertRuns(tx, runs)
  const left = runs.filter(({ id }) => !made.has(id))
  for (const name of new Set(left.map((run) => run.experiment)))
    await requireActiveExperiment(tx, await ensureExperiment(tx, name))
  if (left.length > 0) await insertRuns(tx, left)
  return runs.map(({ id }) => id)
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
