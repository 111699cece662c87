import type { CacheVerdict, PipelineStep } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { Json } from '../kernel/canonical.ts'
import { type Context, givenRows, type Tx } from '../kernel/db/index.ts'
import { newTrackedRunId, startTrackedRuns } from '../tracking/index.ts'
import type { StepProgress } from './attempt-files.ts'
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
  readonly number: number
  readonly pipeline: string
  readonly pipelineDigest: string
}

export const LEASE_SECONDS = 30
const EXECUTOR = 'local-process'

interface ClaimedRow {
  project: string
  run: string
  key: string
  definition: PipelineStep
  fence: bigint
  spec: Json | null
  inputs: NamedOutputs | null
  cache_verdict: CacheVerdict | null
  tracked_run: string | null
  number: number
  pipeline: string | null
  pipeline_digest: string
}

function toClaimed(row: ClaimedRow): ClaimedStep {
  const { cache_verdict: verdict, tracked_run: trackedRun, pipeline, pipeline_digest: pipelineDigest, ...same } = row
  return { ...same, verdict, trackedRun, pipeline: pipeline ?? 'ad-hoc', pipelineDigest }
}

/**
 * Takes ready steps, at most `limit`, of runs with the fewest running steps first, so that a wide run cannot starve a
 * small one. One statement: lease, fence and attempt together. The fence comes from one sequence; time is the database's.
 */
export async function claimSteps(ctx: Context, owner: string, limit: number): Promise<ClaimedStep[]> {
  const claimed = await sql<ClaimedRow>`
    with live as (select run, count(*)::int as running from step where state = 'running' group by run),
    turn as materialized (
      select s.run, s.key, s.place + coalesce(live.running, 0) as place, s.eligible_at
      from pipeline_run r
      cross join lateral (
        select run, key, eligible_at, row_number() over (order by eligible_at, key) as place from step
        where run = r.id and state = 'ready' and eligible_at <= clock_timestamp() order by eligible_at, key limit ${limit}) s
      left join live on live.run = s.run
      where r.state = 'running'
      order by place, s.eligible_at, s.run, s.key limit ${limit}),
    c as materialized (
      select s.run, s.key from step s join turn on turn.run = s.run and turn.key = s.key
      where s.state = 'ready' order by s.run, s.key for update of s skip locked),
    taken as (
      update step s set state = 'running', fence = nextval('fence_seq'), lease_owner = ${owner}, progress = null,
        lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}),
        started_at = coalesce(s.started_at, clock_timestamp())
      from c where s.run = c.run and s.key = c.key
      returning s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict, s.tracked_run,
        (s.attempts_used + s.infra_used + 1)::int as number),
    tried as (
      insert into attempt (project, fence, run, key, number, state, executor)
      select project, fence, run, key, number, 'created', ${EXECUTOR} from taken)
    select taken.*, r.pipeline, r.pipeline_digest from taken join pipeline_run r on r.id = taken.run`.execute(ctx.db)
  return claimed.rows.map(toClaimed)
}

/** Makes running steps this owner's: all of them, or those whose lease has run out. */
export async function takeOver(ctx: Context, owner: string, isOnlyExpired: boolean): Promise<ClaimedStep[]> {
  const taken = await sql<ClaimedRow>`
    update step s set lease_owner = ${owner}, lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
    from attempt a, pipeline_run r
    where s.state = 'running' and (not ${isOnlyExpired}::boolean or s.lease_expires_at < clock_timestamp())
      and a.fence = s.fence and r.id = s.run
    returning s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict, s.tracked_run, a.number,
      r.pipeline, r.pipeline_digest`.execute(ctx.db)
  return taken.rows.map(toClaimed)
}

/** Keeps this owner's leases; returns the fences that are still its own, and which of their runs are being cancelled. */
export async function renewLeases(
  ctx: Context,
  owner: string,
  fences: readonly bigint[],
): Promise<Map<bigint, boolean>> {
  if (fences.length === 0) return new Map()
  const kept = await sql<{ fence: bigint; is_cancelling: boolean }>`
    update step s set lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
    from pipeline_run r where r.id = s.run and s.lease_owner = ${owner} and s.state = 'running' and s.fence = any(${[...fences]}::int8[])
    returning s.fence, r.state = 'cancelling' as is_cancelling`.execute(ctx.db)
  return new Map(kept.rows.map((row) => [row.fence, row.is_cancelling]))
}

/** What an attempt is started with. */
export interface Starting {
  readonly step: ClaimedStep
  readonly workDir: string
  /** Makes the token of the tracked run, in the same transaction. */
  readonly mintToken: (tx: Tx, trackedRun: string) => Promise<string | undefined>
}

export interface Started {
  readonly trackedRun: string
  readonly token: string | undefined
}

const STARTED_COLUMNS = {
  run: 'text',
  key: 'text',
  fence: 'int8',
  work_dir: 'text',
  tracked_run: 'text',
  verdict: 'jsonb',
  cache_key: 'text',
} as const

/** Records that attempts start, all of one project: tracked run, verdict, work directory. Before the process, never after. */
export async function startAttempts(ctx: Context, items: readonly Starting[]): Promise<Started[]> {
  return ctx.as({ project: items[0]!.step.project }).transaction(async (tx) => {
    const started: Started[] = []
    for (const { step, mintToken } of items) {
      const trackedRun = step.trackedRun ?? newTrackedRunId()
      started.push({ trackedRun, token: await mintToken(tx, trackedRun) })
    }
    const fresh = items.flatMap(({ step }, index) =>
      step.trackedRun !== null
        ? []
        : [
            {
              id: started[index]!.trackedRun,
              experiment: step.pipeline,
              name: step.key,
              tags: { 'plimsoll.run': step.run, 'plimsoll.step': step.key, 'plimsoll.pipeline': step.pipelineDigest },
            },
          ],
    )
    const rows = items.map(({ step, workDir }, index) => ({
      run: step.run,
      key: step.key,
      fence: step.fence,
      work_dir: workDir,
      tracked_run: started[index]!.trackedRun,
      verdict: step.verdict,
      cache_key: step.verdict?.key ?? null,
    }))
    await startTrackedRuns(tx, fresh)
    await sql`
      with d as (select * from ${givenRows('d', STARTED_COLUMNS, rows)}),
      a as (update attempt a set state = 'running', work_dir = d.work_dir from d
        where a.fence = d.fence and a.state = 'created')
      update step s set tracked_run = d.tracked_run, cache_verdict = d.verdict, cache_key = d.cache_key from d
      where s.run = d.run and s.key = d.key and s.fence = d.fence`.execute(tx.db)
    return started
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
