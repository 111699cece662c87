import type { CacheVerdict, PipelineStep } from '@plimsoll/sdk/wire'
import { type RawBuilder, sql } from 'kysely'
import type { Json } from '../kernel/canonical.ts'
import { type Context, type DatabaseClock, givenRows } from '../kernel/db/index.ts'
import type { StepProgress } from './attempt-files.ts'
import { lockedRuns } from './release-dependents.ts'
import type { NamedOutputs } from './tables.ts'

/** A step that this scheduler holds under a fence. */
export interface ClaimedStep {
  readonly project: string
  readonly run: string
  readonly key: string
  readonly definition: PipelineStep
  readonly fence: bigint
  readonly spec: Json | null
  readonly inputs: NamedOutputs | null
  readonly verdict: CacheVerdict | null
  readonly attemptsUsed: number
  readonly infraUsed: number
  readonly pipeline: string
}

export const LEASE_SECONDS = 30
const EXECUTOR = 'local-process'
/** Pipeline of a run that has none of its own. */
export const AD_HOC = 'ad-hoc'

export interface ClaimedRow {
  project: string
  run: string
  key: string
  definition: PipelineStep
  fence: bigint
  spec: Json | null
  inputs: NamedOutputs | null
  verdict: CacheVerdict | null
  attempts_used: number
  infra_used: number
  pipeline: string
  /** What the run's plan found in the cache still holds. */
  is_known: boolean
}

function toClaimed(row: ClaimedRow): ClaimedStep {
  const { attempts_used, infra_used, is_known, ...same } = row
  return {
    ...same,
    verdict: is_known ? same.verdict : null,
    attemptsUsed: attempts_used,
    infraUsed: infra_used,
  }
}

const CLAIMED = sql`s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict as verdict,
  s.attempts_used, s.infra_used`

export function toClaimedSteps(rows: readonly ClaimedRow[]): ClaimedStep[] {
  return rows.map(toClaimed)
}

/** Who claims, and where its attempts work. */
export interface Claimant {
  readonly owner: string
  /** Directory of all work directories. */
  readonly runsDir: string
  /** Of leases, and of when a step may start. */
  readonly clock: DatabaseClock
}

/** How many steps there is room for, and how many of each run go on. */
export interface Wanted {
  readonly limit: number
  readonly running: ReadonlyMap<string, number>
}

/**
 * Takes ready steps, of runs with the fewest running steps first, so that a wide run cannot starve a small one. One
 * statement: lease, fence and attempt. A step's verdict holds that was found when its run was planned, unless an entry of
 * its key has been made before the first attempt that counted. The fence comes from one sequence; time is the database's.
 */
export function claimingSteps({ owner, runsDir, clock }: Claimant, { limit, running }: Wanted): RawBuilder<ClaimedRow> {
  const now = clock()
  return sql<ClaimedRow>`
    with turn as materialized (
      select s.run, s.key, coalesce(r.pipeline, ${AD_HOC}) as pipeline
      from pipeline_run r
      left join unnest(${[...running.keys()]}::text[], ${[...running.values()]}::int4[]) as live(run, running) on live.run = r.id
      cross join lateral (
        select run, key, eligible_at, row_number() over (order by eligible_at, key) as place from step
        where run = r.id and state = 'ready' and eligible_at <= ${now} order by eligible_at, key limit ${limit}) s
      where r.state = 'running'
      order by s.place + coalesce(live.running, 0), s.eligible_at, s.run, s.key limit ${limit}),
    c as materialized (
      select turn.*, s.started_at is not null as is_again, s.cache_verdict is not null and (s.attempts_used + s.infra_used > 0 or not exists (
        select from cache_entry e where e.project = s.project and e.key = s.cache_key)) as is_known
      from step s join turn on turn.run = s.run and turn.key = s.key
      where s.state = 'ready' order by s.run, s.key for update of s skip locked),
    taken as (
      update step s set state = 'running', fence = nextval('fence_seq'), lease_owner = ${owner}, progress = null,
        lease_expires_at = ${now} + make_interval(secs => ${LEASE_SECONDS}),
        started_at = coalesce(s.started_at, ${now})
      from c where s.run = c.run and s.key = c.key
      returning ${CLAIMED}, c.pipeline, c.is_again, c.is_known),
    tried as (
      insert into attempt (project, fence, run, key, number, state, executor, work_dir)
      select project, fence, run, key, case when is_again then (
          select count(*) + 1 from attempt a where a.run = taken.run and a.key = taken.key) else 1 end,
        'running', ${EXECUTOR}, ${runsDir}::text || '/' || run || '/' || fence from taken)
    select * from taken`
}

/** Makes running steps this owner's: all of them, or those whose lease has run out. */
export async function takeOver(
  ctx: Context,
  { owner, clock }: Pick<Claimant, 'owner' | 'clock'>,
  isOnlyExpired: boolean,
): Promise<ClaimedStep[]> {
  const due = sql`state = 'running' and (not ${isOnlyExpired}::boolean or lease_expires_at < ${clock()})`
  const taken = await sql<ClaimedRow>`
    with r as materialized (
      select id, pipeline from pipeline_run where id in (select run from step where ${due}) order by id for update)
    update step s set lease_owner = ${owner}, lease_expires_at = ${clock()} + make_interval(secs => ${LEASE_SECONDS})
    from r where r.id = s.run and ${due}
    returning ${CLAIMED}, coalesce(r.pipeline, ${AD_HOC}) as pipeline, true as is_known`.execute(ctx.db)
  return toClaimedSteps(taken.rows)
}

/** Keeps this owner's leases; returns the fences that are still its own, and which of their runs are being cancelled. */
export async function renewLeases(
  ctx: Context,
  { owner, clock }: Pick<Claimant, 'owner' | 'clock'>,
  held: readonly Pick<ClaimedStep, 'run' | 'fence'>[],
): Promise<Map<bigint, boolean>> {
  if (held.length === 0) return new Map()
  const fences = held.map(({ fence }) => fence)
  const kept = await sql<{ fence: bigint; is_cancelling: boolean }>`
    with ${lockedRuns(held)}
    update step s set lease_expires_at = ${clock()} + make_interval(secs => ${LEASE_SECONDS})
    from r where r.id = s.run and s.lease_owner = ${owner} and s.state = 'running' and s.fence = any(${fences}::int8[])
    returning s.fence, r.state = 'cancelling' as is_cancelling`.execute(ctx.db)
  return new Map(kept.rows.map((row) => [row.fence, row.is_cancelling]))
}

const RECORDED_COLUMNS = { run: 'text', key: 'text', fence: 'int8', verdict: 'jsonb', cache_key: 'text' } as const

/** Records the verdicts of claimed steps that were not known when they were claimed. */
export async function recordVerdicts(ctx: Context, steps: readonly ClaimedStep[]): Promise<void> {
  const rows = steps.map(({ run, key, fence, verdict }) => ({
    run,
    key,
    fence,
    verdict,
    cache_key: verdict?.key ?? null,
  }))
  await sql`
    with ${lockedRuns(steps)}
    update step s set cache_verdict = d.verdict, cache_key = d.cache_key
    from ${givenRows('d', RECORDED_COLUMNS, rows)} join r on r.id = d.run
    where s.run = d.run and s.key = d.key and s.fence = d.fence`.execute(ctx.db)
}

export async function setProgress(ctx: Context, step: ClaimedStep, progress: StepProgress): Promise<void> {
  await ctx.db
    .updateTable('step')
    .set({ progress: JSON.stringify(progress) })
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .where('fence', '=', step.fence)
    .execute()
}
