import type { CacheVerdict, PipelineStep } from '@plimsoll/sdk/wire'
import { type RawBuilder, sql } from 'kysely'
import type { Json } from '../kernel/canonical.ts'
import { type Context, givenRows } from '../kernel/db/index.ts'
import {
  hasActiveExperiment,
  makingTrackedRuns,
  newTrackedRunId,
  newTrackedRunIdFor,
  startTrackedRuns,
} from '../tracking/index.ts'
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
  /** Made at the first attempt, kept over retries. */
  readonly trackedRun: string | null
  readonly attemptsUsed: number
  readonly infraUsed: number
  readonly pipeline: string
  readonly pipelineDigest: string
}

export const LEASE_SECONDS = 30
const EXECUTOR = 'local-process'
/** Tags of a step's tracked run. */
const TAG = { run: 'plimsoll.run', step: 'plimsoll.step', pipeline: 'plimsoll.pipeline' } as const
/** Pipeline of a run that has none of its own. */
const AD_HOC = 'ad-hoc'

export interface ClaimedRow {
  project: string
  run: string
  key: string
  definition: PipelineStep
  fence: bigint
  spec: Json | null
  inputs: NamedOutputs | null
  verdict: CacheVerdict | null
  tracked_run: string | null
  attempts_used: number
  infra_used: number
  pipeline: string
  pipeline_digest: string
  /** What the run's plan found in the cache still holds. */
  is_known: boolean
}

function toClaimed(row: ClaimedRow): ClaimedStep {
  const { tracked_run, attempts_used, infra_used, pipeline_digest, is_known, ...same } = row
  return {
    ...same,
    verdict: is_known ? same.verdict : null,
    trackedRun: tracked_run,
    attemptsUsed: attempts_used,
    infraUsed: infra_used,
    pipelineDigest: pipeline_digest,
  }
}

const CLAIMED = sql`s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict as verdict, s.tracked_run,
  s.attempts_used, s.infra_used`

export function toClaimedSteps(rows: readonly ClaimedRow[]): ClaimedStep[] {
  return rows.map(toClaimed)
}

/** Who claims, and where its attempts work. */
export interface Claimant {
  readonly owner: string
  /** Directory of all work directories. */
  readonly runsDir: string
}

/** How many steps there is room for, and how many of each run go on. */
export interface Wanted {
  readonly limit: number
  readonly running: ReadonlyMap<string, number>
}

/**
 * Takes ready steps, of runs with the fewest running steps first, so that a wide run cannot starve a small one. One
 * statement: lease, fence, attempt, and the tracked run of a step whose verdict is known: found when the run was planned,
 * and not overtaken by an entry of its key since. The fence comes from one sequence; time is the database's.
 */
export function claimingSteps(
  ctx: Context,
  { owner, runsDir }: Claimant,
  { limit, running }: Wanted,
): RawBuilder<ClaimedRow> {
  const fresh = sql`
    select project, tracked_run as id, pipeline as experiment, key as name,
      jsonb_build_object(${sql.lit(TAG.run)}, run, ${sql.lit(TAG.step)}, key, ${sql.lit(TAG.pipeline)}, pipeline_digest) as tags
    from taken where is_fresh`
  return sql<ClaimedRow>`
    with turn as materialized (
      select s.run, s.key, coalesce(r.pipeline, ${AD_HOC}) as pipeline, r.pipeline_digest
      from pipeline_run r
      left join unnest(${[...running.keys()]}::text[], ${[...running.values()]}::int4[]) as live(run, running) on live.run = r.id
      cross join lateral (
        select run, key, eligible_at, row_number() over (order by eligible_at, key) as place from step
        where run = r.id and state = 'ready' and eligible_at <= clock_timestamp() order by eligible_at, key limit ${limit}) s
      where r.state = 'running'
      order by s.place + coalesce(live.running, 0), s.eligible_at, s.run, s.key limit ${limit}),
    c as materialized (
      select turn.*, s.started_at is not null as is_again, k.is_known, s.tracked_run is null and k.is_known
        and ${hasActiveExperiment(sql`s.project`, sql`turn.pipeline`)} as is_fresh
      from step s join turn on turn.run = s.run and turn.key = s.key
      cross join lateral (select s.cache_verdict is not null and (s.tracked_run is not null or not exists (
        select from cache_entry e where e.project = s.project and e.key = s.cache_key)) as is_known) k
      where s.state = 'ready' order by s.run, s.key for update of s skip locked),
    taken as (
      update step s set state = 'running', fence = nextval('fence_seq'), lease_owner = ${owner}, progress = null,
        lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}),
        started_at = coalesce(s.started_at, clock_timestamp()),
        tracked_run = case when c.is_fresh then ${newTrackedRunIdFor(sql`s.run || ' ' || s.key`)} else s.tracked_run end
      from c where s.run = c.run and s.key = c.key
      returning ${CLAIMED}, c.pipeline, c.pipeline_digest, c.is_again, c.is_fresh, c.is_known),
    tried as (
      insert into attempt (project, fence, run, key, number, state, executor, work_dir)
      select project, fence, run, key, case when is_again then (
          select count(*) + 1 from attempt a where a.run = taken.run and a.key = taken.key) else 1 end,
        'running', ${EXECUTOR}, ${runsDir}::text || '/' || run || '/' || fence from taken),
    ${makingTrackedRuns(ctx, fresh)}
    select * from taken`
}

/** Makes running steps this owner's: all of them, or those whose lease has run out. */
export async function takeOver(ctx: Context, owner: string, isOnlyExpired: boolean): Promise<ClaimedStep[]> {
  const due = sql`state = 'running' and (not ${isOnlyExpired}::boolean or lease_expires_at < clock_timestamp())`
  const taken = await sql<ClaimedRow>`
    with r as materialized (
      select id, pipeline, pipeline_digest from pipeline_run where id in (select run from step where ${due}) order by id for update)
    update step s set lease_owner = ${owner}, lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
    from r where r.id = s.run and ${due}
    returning ${CLAIMED}, coalesce(r.pipeline, ${AD_HOC}) as pipeline, r.pipeline_digest, true as is_known`.execute(
    ctx.db,
  )
  return toClaimedSteps(taken.rows)
}

/** Keeps this owner's leases; returns the fences that are still its own, and which of their runs are being cancelled. */
export async function renewLeases(
  ctx: Context,
  owner: string,
  held: readonly Pick<ClaimedStep, 'run' | 'fence'>[],
): Promise<Map<bigint, boolean>> {
  if (held.length === 0) return new Map()
  const fences = held.map(({ fence }) => fence)
  const kept = await sql<{ fence: bigint; is_cancelling: boolean }>`
    with ${lockedRuns(held)}
    update step s set lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
    from r where r.id = s.run and s.lease_owner = ${owner} and s.state = 'running' and s.fence = any(${fences}::int8[])
    returning s.fence, r.state = 'cancelling' as is_cancelling`.execute(ctx.db)
  return new Map(kept.rows.map((row) => [row.fence, row.is_cancelling]))
}

const RECORDED_COLUMNS = {
  run: 'text',
  key: 'text',
  fence: 'int8',
  tracked_run: 'text',
  verdict: 'jsonb',
  cache_key: 'text',
} as const

/** Records of claimed steps of one project what was not known when they were claimed: verdict and tracked run. Returns the latter. */
export async function recordSteps(ctx: Context, steps: readonly ClaimedStep[]): Promise<string[]> {
  return ctx.as({ project: steps[0]!.project }).transaction(async (tx) => {
    const ids = steps.map((step) => step.trackedRun ?? newTrackedRunId())
    const rows = steps.map(({ run, key, fence, verdict }, index) => ({
      run,
      key,
      fence,
      tracked_run: ids[index]!,
      verdict,
      cache_key: verdict?.key ?? null,
    }))
    await startTrackedRuns(
      tx,
      steps.flatMap((step, index) =>
        step.trackedRun !== null
          ? []
          : [
              {
                id: ids[index]!,
                experiment: step.pipeline,
                name: step.key,
                tags: { [TAG.run]: step.run, [TAG.step]: step.key, [TAG.pipeline]: step.pipelineDigest },
              },
            ],
      ),
    )
    await sql`
      with ${lockedRuns(steps)}
      update step s set tracked_run = d.tracked_run, cache_verdict = d.verdict, cache_key = d.cache_key
      from ${givenRows('d', RECORDED_COLUMNS, rows)} join r on r.id = d.run
      where s.run = d.run and s.key = d.key and s.fence = d.fence`.execute(tx.db)
    return ids
  })
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
