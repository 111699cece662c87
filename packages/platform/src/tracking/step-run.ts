import { type RawBuilder, sql } from 'kysely'
import { type Context, givenRows, type Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { randomHex } from '../kernel/ids.ts'
import { ensureExperiment, nowMs, requireExperiment } from './experiment.ts'
import { checkKey, LIMITS } from './limits.ts'
import { NAME_TAG } from './run.ts'
import { refuseLonger } from './surface/fields.ts'

export interface StepRun {
  /** From `newTrackedRunId`. */
  readonly id: string
  readonly experiment: string
  readonly name: string
  readonly tags: Readonly<Record<string, string>>
}

const USER = 'plimsoll'

/**
 * A new id of a tracked run, where a statement makes one for each of several names. The embedded database opens a file for
 * each random number of its own.
 */
export function newTrackedRunIdFor(name: RawBuilder<unknown>): RawBuilder<string> {
  return sql`substr(encode(sha256(convert_to(${randomHex(16)} || ${name}, 'UTF8')), 'hex'), 1, 32)`
}

/** True where an experiment of that name takes runs. */
export function hasActiveExperiment(project: RawBuilder<unknown>, name: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`exists (select from experiment e where e.project = ${project} and e.name = ${name} and e.lifecycle = 'active')`
}

/**
 * Parts of a `with` that make the tracked runs of `rows`, a query of `project`, `id`, `experiment`, `name` and `tags`
 * (jsonb). Those whose experiment is absent or deleted are left out; `made_run (no, id)` has the others.
 */
export function makingTrackedRuns(ctx: Context, rows: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    new_run as (${rows}),
    made_run as (
      insert into tracked_run (project, id, experiment, name, user_id, status, start_ms, artifact_uri, lifecycle)
      select d.project, d.id, e.id, d.name, ${USER}, 'RUNNING', ${nowMs(ctx)}::bigint,
        e.artifact_location || '/' || d.id || '/artifacts', 'active'
      from new_run d join experiment e on e.project = d.project and e.name = d.experiment and e.lifecycle = 'active'
      returning no, id),
    made_tag as (
      insert into tracked_tag (project, run_no, key, value) select d.project, r.no, t.key, t.value
      from made_run r join new_run d on d.id = r.id
      cross join lateral (select ${NAME_TAG}::text as key, d.name as value union all select * from jsonb_each_text(d.tags)) t)`
}

/**
 * A part of a `with`, `ended_run`, that ends the tracked runs of `rows`, a query of `project`, `id` and `status`; also one
 * that is deleted meanwhile, which may be restored.
 */
export function endingTrackedRuns(ctx: Context, rows: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    ended_run as (
      update tracked_run r set status = d.status, end_ms = ${nowMs(ctx)}::bigint from (${rows}) d
      where r.project = d.project and r.id = d.id)`
}

/** Runs whose experiment is there and active, with their tags, in one statement. Returns the ids that were made. */
async function insertRuns(tx: Tx, runs: readonly StepRun[]): Promise<Set<string>> {
  const given = givenRows('d', { id: 'text', experiment: 'text', name: 'text', tags: 'jsonb' }, runs)
  const made = await sql<{ id: string }>`
    with ${makingTrackedRuns(tx, sql`select ${tx.project}::text as project, d.* from ${given}`)}
    select id from made_run`.execute(tx.db)
  return new Set(made.rows.map((row) => row.id))
}

export function newTrackedRunId(): string {
  return randomHex(16)
}

/**
 * The tracked runs of pipeline steps, each in the experiment of its name (made when absent).
 * @throws precondition tracking.experiment_deleted
 */
export async function startTrackedRuns(tx: Tx, runs: readonly StepRun[]): Promise<void> {
  if (runs.length === 0) return
  for (const { name, tags } of runs)
    for (const [key, value] of Object.entries({ ...tags, [NAME_TAG]: name })) {
      checkKey(key, 'tags')
      refuseLonger(value, LIMITS.runTagValue, 'tags')
    }
  const made = await insertRuns(tx, runs)
  const left = runs.filter(({ id }) => !made.has(id))
  for (const name of new Set(left.map((run) => run.experiment))) {
    const { id, lifecycle } = await requireExperiment(tx, await ensureExperiment(tx, name))
    if (lifecycle !== 'active')
      throw new PlimsollError(
        'precondition',
        'tracking.experiment_deleted',
        `Cannot start the step: experiment "${name}", which holds the tracked runs of its pipeline, is deleted`,
        { action: `Restore it: mlflow experiments restore --experiment-id ${id}` },
      )
  }
  if (left.length > 0) await insertRuns(tx, left)
}
