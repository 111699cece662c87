import { type RawBuilder, sql } from 'kysely'
import { type Context, databaseClock, givenRows, type Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { ensureExperiment, requireExperiment } from './experiment.ts'
import { insertRun, NAME_TAG, type RunStatus } from './run.ts'

export interface StepRun {
  readonly id: string
  /** Name; the experiment is made when it is absent. */
  readonly experiment: string
  readonly name: string
  readonly startMs: bigint
  readonly tags: ReadonlyMap<string, string>
}

const USER = 'plimsoll'

/** Makes the tracked run of a pipeline step. @throws precondition tracking.experiment_deleted */
export async function startTrackedRun(tx: Tx, { id, experiment, name, startMs, tags }: StepRun): Promise<void> {
  const place = await requireExperiment(tx, await ensureExperiment(tx, experiment))
  if (place.lifecycle !== 'active')
    throw new PlimsollError(
      'precondition',
      'tracking.experiment_deleted',
      `Cannot track the step: experiment "${experiment}", which holds the tracked runs of its pipeline, is deleted`,
      { action: `Restore it: mlflow experiments restore --experiment-id ${place.id}` },
    )
  await insertRun(tx, place, { id, name, user: USER, startMs, tags: new Map([[NAME_TAG, name], ...tags]) })
}

export interface RunEnd {
  readonly id: string
  readonly status: RunStatus
}

/**
 * A part of a `with`, `ended_run (id)`, that ends the tracked runs of `rows`, a query of `project`, `id` and `status`; also
 * one that is deleted meanwhile, which may be restored. Start and end are the database's time, as of the step itself: the
 * clock of the platform may be that of a replay.
 */
export function endingTrackedRuns(rows: RawBuilder<unknown>, now: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    ended_run as (
      update tracked_run r set status = d.status, end_ms = greatest(r.start_ms, floor(extract(epoch from ${now}) * 1000)::bigint) from (${rows}) d
      where r.project = d.project and r.id = d.id returning r.id)`
}

/** Ends tracked runs of the project of `ctx`. */
export async function endTrackedRuns(ctx: Context, ends: readonly RunEnd[]): Promise<void> {
  if (ends.length === 0) return
  const given = givenRows('d', { id: 'text', status: 'text' }, ends)
  const rows = sql`select ${ctx.project}::text as project, d.* from ${given}`
  await sql`with ${endingTrackedRuns(rows, databaseClock())} select 1`.execute(ctx.db)
}
