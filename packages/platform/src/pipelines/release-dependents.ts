import { sql } from 'kysely'
import type { Tx } from '../kernel/db/index.ts'
import { nextOfRun } from './transition.ts'

export interface EndedStep {
  readonly run: string
  readonly key: string
  readonly isFailure: boolean
}

/**
 * Counts down what waited for these steps of one run, cascades failures, and moves the run. The state of a step that
 * waits for nothing more is `nextOfBlocked`, written in SQL so that one statement does it; a test holds the two together.
 * Steps are locked in the order of their keys.
 */
export async function releaseDependents(tx: Tx, run: string, ended: readonly EndedStep[]): Promise<void> {
  if (ended.length === 0) return
  const failed = ended.filter((step) => step.isFailure).length
  let counted = await countDown(tx, run, ended, { closed: ended.length, failed })
  while (counted.cascaded.length > 0) {
    const wave = counted.cascaded.map((key) => ({ run, key, isFailure: true }))
    counted = await countDown(tx, run, wave, { closed: 0, failed: 0 })
  }
  if (counted.open > 0) return
  const state = nextOfRun(counted.open, counted.failed, counted.state === 'cancelling')
  await tx.db
    .updateTable('pipeline_run')
    .set({ state, finished_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', run)
    .execute()
  await tx.emit({ type: 'pipelines.run_finished', subject: run, data: { state } })
}

interface Counted {
  /** Steps that failed because of these: the next wave. */
  readonly cascaded: readonly string[]
  readonly open: number
  readonly failed: number
  readonly state: string
}

/** One wave. The run loses `closed` open steps, and those that the wave closes. */
async function countDown(
  tx: Tx,
  run: string,
  wave: readonly EndedStep[],
  by: { closed: number; failed: number },
): Promise<Counted> {
  const failed = wave.filter((step) => step.isFailure).map((step) => step.key)
  const { rows } = await sql<Counted>`
    with gone as materialized (
      select dst, count(*)::int as n, count(*) filter (where src = any(${failed}::text[]))::int as bad
      from edge where run = ${run} and src in (${sql.join(wave.map((step) => step.key))}) group by dst),
    locked as materialized (
      select s.key from step s join gone on gone.dst = s.key
      where s.run = ${run} and s.state = 'blocked' order by s.key for update of s),
    counted as (
      update step s set waiting = s.waiting - gone.n, up_failed = s.up_failed + gone.bad,
        state = case when s.waiting > gone.n then s.state when s.up_failed + gone.bad > 0 then 'upstream_failed' else 'ready' end,
        eligible_at = case when s.waiting > gone.n then s.eligible_at else clock_timestamp() end,
        finished_at = case when s.waiting <= gone.n and s.up_failed + gone.bad > 0 then clock_timestamp() else s.finished_at end
      from gone, locked where s.run = ${run} and s.key = gone.dst and locked.key = s.key
      returning s.key, s.state),
    cascaded as (select key from counted where state = 'upstream_failed')
    update pipeline_run r set open = r.open - ${by.closed}::int - (select count(*)::int from cascaded),
      failed = r.failed + ${by.failed}::int
    where r.id = ${run}
    returning r.open, r.failed, r.state, array(select key from cascaded) as cascaded`.execute(tx.db)
  return rows[0]! // the run is there: its steps are
}
