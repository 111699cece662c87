import { type RawBuilder, sql } from 'kysely'
import { type DatabaseClock, givenRows } from '../kernel/db/index.ts'
import { endingTrackedRuns, type RunEnd, type RunStatus } from '../tracking/index.ts'
import type { FinishedAttempt } from './finish.ts'
import { lockedRuns, type MovedRun, releasing } from './release-dependents.ts'
import { type NextStep, nextOfStep } from './transition.ts'

/** What an attempt became that still held its fence. */
export interface EndedAttempt {
  readonly state: NextStep['state']
  readonly delayMs: number
  /** Its tracked run, when the program made it while the step was ended: too late for the statement to see it. */
  readonly lateRun: RunEnd | undefined
  readonly isCacheEntryNew: boolean
  /** Its run, when the step has ended. */
  readonly moved: MovedRun | undefined
}

const REASON_CHARS_MAX = 4_000
const MESSAGE_CHARS_MAX = 4_096

const COLUMNS = {
  run: 'text',
  key: 'text',
  fence: 'int8',
  state: 'text',
  reason: 'text',
  delay_ms: 'int4',
  attempts: 'int4',
  infra: 'int4',
  spec: 'jsonb',
  inputs: 'jsonb',
  outputs: 'jsonb',
  attempt_state: 'text',
  exit_code: 'int4',
  signal: 'text',
  failure_class: 'text',
  message: 'text',
  log_digest: 'text',
  log_bytes: 'int8',
  usage: 'jsonb',
  cache_key: 'text',
  pipeline: 'text',
  components: 'jsonb',
} as const

export function cacheKeyOfAttempt(done: FinishedAttempt): string | undefined {
  return (done.isCacheable && done.components && done.step.verdict?.key) || undefined
}

/** What the attempt makes of its step as long as nobody cancels the run. */
function nextOf(done: FinishedAttempt): NextStep {
  const { definition, attemptsUsed, infraUsed } = done.step
  return nextOfStep(done.end, { retries: definition.retries, attemptsUsed, infraUsed }, false)
}

function rowOf(done: FinishedAttempt, next: NextStep) {
  const { step, end } = done
  const isRetry = next.state === 'ready'
  const isSuccess = next.state === 'succeeded'
  const cacheKey = isSuccess ? cacheKeyOfAttempt(done) : undefined
  return {
    run: step.run,
    key: step.key,
    fence: step.fence,
    state: next.state,
    reason: end.message?.slice(0, REASON_CHARS_MAX) ?? null,
    delay_ms: isRetry ? next.delayMs : 0,
    attempts: isRetry && next.budget === 'user' ? 1 : 0,
    infra: isRetry && next.budget === 'infra' ? 1 : 0,
    spec: done.spec,
    inputs: done.inputs,
    outputs: isSuccess ? done.outputs : null,
    attempt_state: isSuccess || next.state === 'cancelled' ? next.state : end.outcome === 'lost' ? 'lost' : 'failed',
    exit_code: end.exitCode ?? null,
    signal: end.signal ?? null,
    failure_class: end.failureClass ?? null,
    message: end.message?.slice(0, MESSAGE_CHARS_MAX) ?? null,
    log_digest: done.log?.digest ?? null,
    log_bytes: done.log?.sizeBytes ?? null,
    usage: done.usage ?? null,
    cache_key: cacheKey ?? null,
    pipeline: step.pipeline,
    components: cacheKey === undefined ? null : done.components,
  }
}

/**
 * Ends the steps whose attempts still hold their fence, once their runs are locked, in order: so two writers never wait
 * for each other. A run that is being cancelled lets a success stand, and nothing else.
 *
 * Here and below, what a row must be is asked in one breath with what it is joined to (`or d.run is null`, which is never
 * so): asked of the row alone, a plan that was made while there were few rows reads them all instead of looking up a key.
 */
function endingSteps(items: readonly FinishedAttempt[], now: RawBuilder<Date>): RawBuilder<unknown> {
  const isRetry = sql`(d.state = 'ready' and r.state <> 'cancelling')`
  return sql`
    ${lockedRuns(items.map(({ step }) => step))},
    s as (
      update step s set lease_owner = null, lease_expires_at = null, outputs = d.outputs,
        state = case when r.state = 'cancelling' and d.state <> 'succeeded' then 'cancelled' else d.state end,
        fence = case when ${isRetry} then null else s.fence end,
        reason = case when ${isRetry} then s.reason else d.reason end,
        finished_at = case when ${isRetry} then null else ${now} end,
        eligible_at = case when ${isRetry} then ${now} + make_interval(secs => d.delay_ms / 1000.0) else s.eligible_at end,
        attempts_used = s.attempts_used + case when ${isRetry} then d.attempts else 0 end,
        infra_used = s.infra_used + case when ${isRetry} then d.infra else 0 end,
        spec = case when ${isRetry} then s.spec else d.spec end,
        inputs = case when ${isRetry} then s.inputs else d.inputs end
      from r join d on d.run = r.id where s.run = d.run and s.key = d.key and s.fence = d.fence and (s.state = 'running' or d.run is null)
      returning s.project, s.run, s.key, d.fence, s.state, d.delay_ms, s.tracked_run),
    ended as (select run, key, state <> 'succeeded' as is_failure from s where state <> 'ready')`
}

/** An attempt that has ended already keeps its end: its commit may be repeated when the first answer was lost. */
const attemptsEnding = (now: RawBuilder<Date>) => sql`
  a as (
    update attempt a set finished_at = ${now}, exit_code = d.exit_code, signal = d.signal,
      failure_class = d.failure_class, message = d.message, log_digest = d.log_digest, log_bytes = d.log_bytes, usage = d.usage,
      state = case when s.fence is null then 'superseded' when s.state = 'cancelled' then 'cancelled' else d.attempt_state end
    from d left join s on s.fence = d.fence where a.fence = d.fence and (a.finished_at is null or d.fence is null))`

const CACHE_ENTRIES = sql`
  e as (
    insert into cache_entry (project, key, pipeline, step, components, outputs, source_run, source_step)
    select s.project, d.cache_key, d.pipeline, d.key, d.components, d.outputs, d.run, d.key
    from d join s on s.fence = d.fence where d.cache_key is not null and s.state = 'succeeded'
    on conflict (project, key) do nothing returning source_run, source_step)`

const STATUS_OF_STEP = {
  succeeded: 'FINISHED',
  cancelled: 'KILLED',
  failed: 'FAILED',
} as const satisfies Record<Exclude<NextStep['state'], 'ready'>, RunStatus>

const TRACKED_ENDING = sql`
  select project, tracked_run as id, ${sql.lit(JSON.stringify(STATUS_OF_STEP))}::jsonb ->> state as status
  from s where state <> 'ready' and tracked_run is not null`

interface EndRow extends MovedRun {
  fence: bigint
  state: NextStep['state']
  delay_ms: number
  late_run: string | null
  is_new: boolean
}

/**
 * Ends attempts of one project in one statement, since the embedded database takes as long to begin a statement as to
 * write three rows: attempts, steps, what waited for them, their runs, tracked runs and new cache entries. Gives what
 * the steps became; an attempt that had lost its fence changes nothing but itself.
 */
export function endingAttempts(items: readonly FinishedAttempt[], clock: DatabaseClock): RawBuilder<EndRow> {
  const now = clock()
  const rows = items.map((done) => rowOf(done, nextOf(done)))
  return sql<EndRow>`
    with d as materialized (select * from ${givenRows('d', COLUMNS, rows)}), ${endingSteps(items, now)}, ${attemptsEnding(now)},
      ${endingTrackedRuns(TRACKED_ENDING, now)}, ${CACHE_ENTRIES}, ${releasing(clock)}
    select s.fence, s.state, s.delay_ms, e.source_run is not null as is_new, s.run, moved.open, moved.cascaded,
      case when ended_run.id is null then s.tracked_run end as late_run
    from s left join ended_run on ended_run.id = s.tracked_run
      left join e on e.source_run = s.run and e.source_step = s.key left join moved on moved.run = s.run`
}

/** By the fence. */
export function toEnded(rows: readonly EndRow[]): Map<bigint, EndedAttempt> {
  return new Map(
    rows.map((row) => [
      row.fence,
      {
        state: row.state,
        delayMs: row.delay_ms,
        lateRun:
          row.late_run === null || row.state === 'ready'
            ? undefined
            : { id: row.late_run, status: STATUS_OF_STEP[row.state] },
        isCacheEntryNew: row.is_new,
        moved: row.state === 'ready' ? undefined : row,
      },
    ]),
  )
}
