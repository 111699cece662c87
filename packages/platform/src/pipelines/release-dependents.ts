import { type RawBuilder, sql } from 'kysely'
import { type DatabaseClock, emittingEvents, givenRows, type Tx } from '../kernel/db/index.ts'
import './events.ts'

export interface EndedStep {
  readonly run: string
  readonly key: string
  readonly isFailure: boolean
}

/** A run after some of its steps have ended. */
export interface MovedRun {
  readonly run: string
  /** Steps that have not ended; without any, the run has. */
  readonly open: number
  /** Steps that failed because of these: the next wave. */
  readonly cascaded: readonly string[]
}

/**
 * A part of a `with`, `r (id, state)`, that locks runs, in order: whoever writes several steps locks their runs first, so
 * no two writers wait for each other.
 */
export function lockedRuns(steps: readonly { readonly run: string }[]): RawBuilder<unknown> {
  const runs = [...new Set(steps.map(({ run }) => run))]
  return sql`r as materialized (select id, state from pipeline_run where id = any(${runs}::text[]) order by id for update)`
}

/**
 * Parts of a `with` after a part `ended (run, key, is_failure)`, steps that have just ended: counts down what waited for
 * them, counts them in their runs, and ends those of which nothing is open. `moved` has the rows of `MovedRun`. The states
 * are those of `nextOfBlocked` and `nextOfRun`, written in SQL so that one statement does it; a test holds them together.
 * Whoever uses this holds the locks of the runs: only so are waiting steps changed in any order.
 */
export function releasing(clock: DatabaseClock): RawBuilder<unknown> {
  const now = clock()
  return sql`
  gone as materialized (
    select e.run, e.dst, count(*)::int as n, count(*) filter (where ended.is_failure)::int as bad
    from ended join edge e on e.run = ended.run and e.src = ended.key group by e.run, e.dst),
  counted as (
    update step s set waiting = s.waiting - gone.n, up_failed = s.up_failed + gone.bad,
      state = case when s.up_failed + gone.bad > 0 then 'upstream_failed' when s.waiting > gone.n then s.state else 'ready' end,
      eligible_at = case when s.waiting > gone.n then s.eligible_at else ${now} end,
      finished_at = case when s.up_failed + gone.bad > 0 then ${now} else s.finished_at end
    from gone where s.run = gone.run and s.key = gone.dst and (s.state = 'blocked' or gone.run is null)
    returning s.run, s.key, s.state),
  tally as (select run, count(*)::int as n, count(*) filter (where is_failure)::int as bad from ended group by run),
  moved as (
    update pipeline_run r set open = r.open - tally.n, failed = r.failed + tally.bad,
      state = case when r.open > tally.n then r.state when r.state = 'cancelling' then 'cancelled'
        when r.failed + tally.bad > 0 then 'failed' else 'succeeded' end,
      finished_at = case when r.open > tally.n then r.finished_at else ${now} end
    from tally where r.id = tally.run
    returning r.project, r.id as run, r.open, r.state as run_state,
      array(select key from counted c where c.run = r.id and c.state = 'upstream_failed') as cascaded),
  ${emittingEvents(
    'pipelines.run_finished',
    sql`select project, run, jsonb_build_object('state', run_state) from moved where open = 0`,
  )}`
}

/** Cascades failures of a run, wave by wave; it ends when nothing of it is open. */
export async function cascade(tx: Tx, moved: MovedRun, clock: DatabaseClock): Promise<void> {
  let now = moved
  while (now.cascaded.length > 0) {
    const wave = now.cascaded.map((key) => ({ run: moved.run, key, isFailure: true }))
    const { rows } = await sql<MovedRun>`
      with ended as (${endedRows(wave)}), ${releasing(clock)} select run, open, cascaded from moved`.execute(tx.db)
    now = rows[0]! // the run is there: its steps are
  }
  if (now.open === 0) tx.emitted()
}

/** Steps as the rows that `releasing` reads. */
export function endedRows(ended: readonly EndedStep[]): RawBuilder<unknown> {
  const rows = ended.map(({ run, key, isFailure }) => ({ run, key, failures: isFailure ? 1 : 0 }))
  return sql`select run, key, failures > 0 as is_failure from ${givenRows('d', { run: 'text', key: 'text', failures: 'int4' }, rows)}`
}
