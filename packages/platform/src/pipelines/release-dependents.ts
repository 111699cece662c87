import type { StepState } from '@plimsoll/sdk/wire'
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
  let wave: readonly EndedStep[] = ended
  let closed = ended.length
  while (wave.length > 0) {
    const counted = await countDown(tx, run, wave)
    wave = counted.filter((row) => row.state === 'upstream_failed').map(({ key }) => ({ run, key, isFailure: true }))
    closed += wave.length
  }
  const failed = ended.filter((step) => step.isFailure).length
  const counts = await tx.db
    .updateTable('pipeline_run')
    .set((eb) => ({ open: eb('open', '-', closed), failed: eb('failed', '+', failed) }))
    .where('id', '=', run)
    .returning(['open', 'failed', 'state'])
    .executeTakeFirstOrThrow()
  if (counts.open > 0) return
  const state = nextOfRun(counts.open, counts.failed, counts.state === 'cancelling')
  await tx.db
    .updateTable('pipeline_run')
    .set({ state, finished_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', run)
    .execute()
  await tx.emit({ type: 'pipelines.run_finished', subject: run, data: { state } })
}

async function countDown(
  tx: Tx,
  run: string,
  wave: readonly EndedStep[],
): Promise<{ key: string; state: StepState }[]> {
  const ended = JSON.stringify(wave.map(({ key, isFailure }) => ({ key, bad: isFailure })))
  const counted = await sql<{ key: string; state: StepState }>`
    with ended as (select * from jsonb_to_recordset(${ended}::jsonb) as e(key text, bad boolean)),
    gone as materialized (
      select edge.dst, count(*)::int as n, count(*) filter (where ended.bad)::int as bad
      from edge join ended on ended.key = edge.src
      where edge.run = ${run} and edge.src in (${sql.join(wave.map((step) => step.key))}) group by edge.dst),
    locked as materialized (
      select s.key from step s join gone on gone.dst = s.key
      where s.run = ${run} and s.state = 'blocked' order by s.key for update of s)
    update step s set waiting = s.waiting - gone.n, up_failed = s.up_failed + gone.bad,
      state = case when s.waiting > gone.n then s.state when s.up_failed + gone.bad > 0 then 'upstream_failed' else 'ready' end,
      eligible_at = case when s.waiting > gone.n then s.eligible_at else clock_timestamp() end,
      finished_at = case when s.waiting <= gone.n and s.up_failed + gone.bad > 0 then clock_timestamp() else s.finished_at end
    from gone, locked where s.run = ${run} and s.key = gone.dst and locked.key = s.key
    returning s.key, s.state`.execute(tx.db)
  return counted.rows
}
