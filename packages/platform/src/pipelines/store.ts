import type { CacheVerdict, PipelineStep } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { type FileLocation, rememberLocations } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { StepKind, StepOutput } from '../kernel/step-kind.ts'
import { finishTrackedRun, startTrackedRun } from '../tracking/index.ts'
import type { CacheComponents } from './cache.ts'
import type { NamedOutputs } from './tables.ts'
import { type AttemptEnd, nextOfBlocked, nextOfRun, nextOfStep } from './transition.ts'

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
  readonly number: number
  readonly pipeline: string
  readonly pipelineDigest: string
}

export const LEASE_SECONDS = 30

/**
 * Takes ready steps, at most `limit`, of runs with the fewest running steps first, so that a wide run cannot starve a
 * small one. The fence comes from one sequence; time is the database's.
 */
export async function claimSteps(ctx: Context, owner: string, limit: number): Promise<ClaimedStep[]> {
  return ctx.transaction(async (tx) => {
    const claimed = await sql<{
      project: string
      run: string
      key: string
      definition: PipelineStep
      fence: bigint
      spec: Json | null
      inputs: NamedOutputs | null
      cache_verdict: CacheVerdict | null
      number: number
    }>`
      with live as (select run, count(*)::int as running from step where state = 'running' group by run),
      turn as materialized (
        select s.run, s.key, row_number() over (partition by s.run order by s.eligible_at, s.key) + coalesce(live.running, 0) as place, s.eligible_at
        from step s left join live on live.run = s.run
        where s.state = 'ready' and s.eligible_at <= clock_timestamp()
        order by place, s.eligible_at, s.run, s.key limit ${limit}),
      c as materialized (select s.run, s.key from step s join turn on turn.run = s.run and turn.key = s.key where s.state = 'ready' order by s.run, s.key for update of s skip locked)
      update step s set state = 'running', fence = nextval('fence_seq'), lease_owner = ${owner},
        lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}), started_at = coalesce(s.started_at, clock_timestamp()), progress = null
      from c where s.run = c.run and s.key = c.key
      returning s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict, (s.attempts_used + s.infra_used + 1)::int as number`.execute(
      tx.db,
    )
    if (claimed.rows.length === 0) return []
    const runs = await tx.db
      .selectFrom('pipeline_run')
      .select(['id', 'pipeline', 'pipeline_digest'])
      .where('id', 'in', [...new Set(claimed.rows.map((row) => row.run))])
      .execute()
    const byId = new Map(runs.map((run) => [run.id, run]))
    const steps = claimed.rows.map((row) => ({
      ...row,
      verdict: row.cache_verdict,
      pipeline: byId.get(row.run)!.pipeline ?? 'ad-hoc',
      pipelineDigest: byId.get(row.run)!.pipeline_digest,
    }))
    await tx.db
      .insertInto('attempt')
      .values(
        steps.map((step) => ({
          project: step.project,
          fence: step.fence,
          run: step.run,
          key: step.key,
          number: step.number,
          state: 'created' as const,
          executor: 'local-process',
          external_ref: null,
          work_dir: null,
          finished_at: null,
          exit_code: null,
          signal: null,
          failure_class: null,
          message: null,
          log_digest: null,
          log_bytes: null,
          usage: null,
        })),
      )
      .execute()
    return steps
  })
}

/** Makes running steps this owner's, with the handle under which the executor knows them: all, or those whose lease has run out. */
export async function takeOver(
  ctx: Context,
  owner: string,
  isOnlyExpired: boolean,
): Promise<(ClaimedStep & { handle: string | null })[]> {
  const taken = await sql<
    Omit<ClaimedStep, 'verdict' | 'pipeline' | 'pipelineDigest'> & {
      cache_verdict: CacheVerdict | null
      handle: string | null
      pipeline: string | null
      pipeline_digest: string
    }
  >`
    update step s set lease_owner = ${owner}, lease_expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
    from attempt a, pipeline_run r
    where s.state = 'running' and (not ${isOnlyExpired}::boolean or s.lease_expires_at < clock_timestamp()) and a.fence = s.fence and r.id = s.run
    returning s.project, s.run, s.key, s.definition, s.fence, s.spec, s.inputs, s.cache_verdict, a.number, a.external_ref as handle, r.pipeline, r.pipeline_digest`.execute(
    ctx.db,
  )
  return taken.rows.map(({ cache_verdict, pipeline, pipeline_digest, ...row }) => ({
    ...row,
    verdict: cache_verdict,
    pipeline: pipeline ?? 'ad-hoc',
    pipelineDigest: pipeline_digest,
  }))
}

/** Records that an attempt runs, and gives its step a tracked run, once. */
export async function markStarted(
  ctx: Context,
  step: ClaimedStep,
  started: { handle: string; workDir: string },
): Promise<void> {
  await ctx.transaction(async (tx) => {
    await tx.db
      .updateTable('attempt')
      .set({ state: 'running', external_ref: started.handle, work_dir: started.workDir })
      .where('fence', '=', step.fence)
      .where('state', '=', 'created')
      .execute()
  })
}

/** The tracked run of a step: made at its first attempt, kept over retries. */
export async function ensureTrackedRun(ctx: Context, step: ClaimedStep): Promise<string> {
  return ctx.transaction(async (tx) => {
    const row = await tx.db
      .selectFrom('step')
      .select('tracked_run')
      .where('run', '=', step.run)
      .where('key', '=', step.key)
      .forUpdate()
      .executeTakeFirstOrThrow()
    if (row.tracked_run !== null) return row.tracked_run
    const id = await startTrackedRun(tx, {
      experiment: step.pipeline,
      name: step.key,
      user: 'plimsoll',
      tags: { 'plimsoll.run': step.run, 'plimsoll.step': step.key, 'plimsoll.pipeline': step.pipelineDigest },
    })
    await tx.db
      .updateTable('step')
      .set({ tracked_run: id })
      .where('run', '=', step.run)
      .where('key', '=', step.key)
      .execute()
    return id
  })
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
    from pipeline_run r where r.id = s.run and s.lease_owner = ${owner} and s.state = 'running' and s.fence in (${sql.join(fences)})
    returning s.fence, r.state = 'cancelling' as is_cancelling`.execute(ctx.db)
  return new Map(kept.rows.map((row) => [row.fence, row.is_cancelling]))
}

/** Everything that finishing an attempt commits. Blobs are stored and verified before. */
export interface FinishedAttempt {
  readonly step: ClaimedStep
  readonly end: AttemptEnd & { readonly signal?: string | undefined; readonly message?: string | undefined }
  readonly usage?: Json | undefined
  readonly log?: { readonly digest: string; readonly sizeBytes: number } | undefined
  readonly outputs: NamedOutputs
  readonly json: Readonly<Record<string, Json>>
  readonly locations: readonly FileLocation[]
  readonly components?: CacheComponents | undefined
  readonly isCacheable: boolean
  readonly kind: StepKind | undefined
  readonly spec: Json
  readonly inputs: NamedOutputs
  readonly trackedRun: string | null
}

/** What a step becomes that was found in the cache when it was about to start. */
export type Adopted = {
  readonly step: ClaimedStep
  readonly verdict: CacheVerdict
  readonly outputs: NamedOutputs
  readonly result: Json | undefined
  readonly spec: Json
  readonly inputs: NamedOutputs
}

/**
 * The fenced transaction that finishes an attempt: only the holder of the fence may; outputs are adopted once. A step
 * kind's own `commit` runs inside. Returns false when the fence was lost.
 */
export async function finishAttempt(ctx: Context, done: FinishedAttempt): Promise<boolean> {
  return ctx.as({ project: done.step.project }).transaction(async (tx) => {
    const held = await lockHeld(tx, done.step)
    if (!held) {
      await closeAttempt(tx, done, 'superseded')
      return false
    }
    const next = nextOfStep(
      done.end,
      { retries: done.step.definition.retries, attemptsUsed: held.attempts_used, infraUsed: held.infra_used },
      held.run_state === 'cancelling',
    )
    await closeAttempt(
      tx,
      done,
      next.state === 'succeeded'
        ? 'succeeded'
        : next.state === 'cancelled'
          ? 'cancelled'
          : done.end.outcome === 'lost'
            ? 'lost'
            : 'failed',
    )
    if (next.state === 'ready') {
      await tx.db
        .updateTable('step')
        .set((eb) => ({
          state: 'ready',
          fence: null,
          lease_owner: null,
          lease_expires_at: null,
          eligible_at: sql<Date>`clock_timestamp() + make_interval(secs => ${next.delayMs / 1_000})`,
          ...(next.budget === 'user'
            ? { attempts_used: eb('attempts_used', '+', 1) }
            : { infra_used: eb('infra_used', '+', 1) }),
        }))
        .where('run', '=', done.step.run)
        .where('key', '=', done.step.key)
        .execute()
      await tx.emit({
        type: 'pipelines.step_retried',
        subject: done.step.run,
        data: { step: done.step.key, delayMs: next.delayMs },
      })
      return true
    }
    const result = next.state === 'succeeded' ? await commitSuccess(tx, done) : undefined
    await endStep(tx, done.step, next.state, {
      outputs: next.state === 'succeeded' ? done.outputs : null,
      result: result ?? null,
      reason: done.end.message ?? null,
      spec: done.spec,
      inputs: done.inputs,
    })
    if (done.trackedRun !== null)
      await finishTrackedRun(
        tx,
        done.trackedRun,
        next.state === 'succeeded' ? 'FINISHED' : next.state === 'cancelled' ? 'KILLED' : 'FAILED',
      )
    return true
  })
}

/** Ends a claimed step that the cache knew after all: no attempt is used. */
export async function adoptCached(ctx: Context, adopted: Adopted): Promise<boolean> {
  return ctx.as({ project: adopted.step.project }).transaction(async (tx) => {
    if (!(await lockHeld(tx, adopted.step))) return false
    await tx.db.deleteFrom('attempt').where('fence', '=', adopted.step.fence).execute()
    await tx.db
      .updateTable('step')
      .set({ cache_verdict: JSON.stringify(adopted.verdict), cache_key: adopted.verdict.key })
      .where('run', '=', adopted.step.run)
      .where('key', '=', adopted.step.key)
      .execute()
    await tx.db
      .updateTable('cache_entry')
      .set((eb) => ({ hits: eb('hits', '+', 1), last_hit_at: sql<Date>`clock_timestamp()` }))
      .where('project', '=', tx.project)
      .where('key', '=', adopted.verdict.key ?? '')
      .execute()
    await endStep(tx, adopted.step, 'cached', {
      outputs: adopted.outputs,
      result: adopted.result ?? null,
      reason: null,
      spec: adopted.spec,
      inputs: adopted.inputs,
    })
    return true
  })
}

async function lockHeld(tx: Tx, step: ClaimedStep) {
  // The run first, then its steps: every writer takes locks in this order.
  const run = await tx.db
    .selectFrom('pipeline_run')
    .select('state')
    .where('id', '=', step.run)
    .forUpdate()
    .executeTakeFirst()
  const held = await tx.db
    .selectFrom('step')
    .select(['attempts_used', 'infra_used'])
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .where('fence', '=', step.fence)
    .where('state', '=', 'running')
    .forUpdate()
    .executeTakeFirst()
  return held && run ? { ...held, run_state: run.state } : undefined
}

async function closeAttempt(
  tx: Tx,
  done: FinishedAttempt,
  state: 'succeeded' | 'failed' | 'lost' | 'cancelled' | 'superseded',
): Promise<void> {
  await tx.db
    .updateTable('attempt')
    .set({
      state,
      finished_at: sql<Date>`clock_timestamp()`,
      exit_code: done.end.exitCode ?? null,
      signal: done.end.signal ?? null,
      failure_class: done.end.failureClass ?? null,
      message: done.end.message?.slice(0, 4_096) ?? null,
      log_digest: done.log?.digest ?? null,
      log_bytes: done.log === undefined ? null : BigInt(done.log.sizeBytes),
      usage: done.usage === undefined ? null : JSON.stringify(done.usage),
    })
    .where('fence', '=', done.step.fence)
    .execute()
}

async function commitSuccess(tx: Tx, done: FinishedAttempt): Promise<Json | undefined> {
  if (done.locations.length > 0) await rememberLocations(tx, done.locations)
  const result = await done.kind?.commit?.(tx, {
    run: done.step.run,
    step: done.step.key,
    attempt: String(done.step.fence),
    trackedRun: done.trackedRun ?? '',
    spec: done.spec,
    inputs: done.inputs,
    outputs: done.outputs,
    json: done.json,
  })
  const key = done.step.verdict?.key
  if (done.isCacheable && done.components && key != null) await storeCacheEntry(tx, done, key, done.components)
  return result
}

async function storeCacheEntry(tx: Tx, done: FinishedAttempt, key: string, components: CacheComponents): Promise<void> {
  const inserted = await tx.db
    .insertInto('cache_entry')
    .values({
      project: tx.project,
      key,
      pipeline: done.step.pipeline,
      step: done.step.key,
      components: JSON.stringify(components),
      outputs: JSON.stringify(done.outputs),
      source_run: done.step.run,
      source_step: done.step.key,
      last_hit_at: null,
    })
    .onConflict((conflict) => conflict.columns(['project', 'key']).doNothing())
    .executeTakeFirst()
  if (inserted.numInsertedOrUpdatedRows !== 0n) return
  const before = await tx.db
    .selectFrom('cache_entry')
    .select('outputs')
    .where('project', '=', tx.project)
    .where('key', '=', key)
    .forUpdate()
    .executeTakeFirstOrThrow()
  if (digestsOf(before.outputs) !== digestsOf(done.outputs)) {
    await tx.db
      .updateTable('cache_entry')
      .set({ is_tainted: true })
      .where('project', '=', tx.project)
      .where('key', '=', key)
      .execute()
    await tx.emit({
      type: 'pipelines.cache_nondeterministic',
      subject: key,
      data: { run: done.step.run, step: done.step.key },
    })
  } else {
    await tx.db
      .updateTable('cache_entry')
      .set({ outputs: JSON.stringify(done.outputs), source_run: done.step.run, source_step: done.step.key })
      .where('project', '=', tx.project)
      .where('key', '=', key)
      .execute()
  }
}

function digestsOf(outputs: NamedOutputs): string {
  return JSON.stringify(
    Object.values(outputs as Record<string, StepOutput>)
      .map((output) => [output.name, output.digest])
      .sort(),
  )
}

interface StepEnd {
  outputs: NamedOutputs | null
  result: Json | null
  reason: string | null
  spec: Json
  inputs: NamedOutputs
}

async function endStep(
  tx: Tx,
  step: ClaimedStep,
  state: 'succeeded' | 'cached' | 'failed' | 'cancelled',
  end: StepEnd,
): Promise<void> {
  await tx.db
    .updateTable('step')
    .set({
      state,
      reason: end.reason?.slice(0, 4_000) ?? null,
      lease_owner: null,
      lease_expires_at: null,
      finished_at: sql<Date>`clock_timestamp()`,
      spec: JSON.stringify(end.spec),
      inputs: JSON.stringify(end.inputs),
      outputs: end.outputs === null ? null : JSON.stringify(end.outputs),
      result: end.result === null ? null : JSON.stringify(end.result),
    })
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .execute()
  await releaseDependents(tx, step.run, [step.key], state === 'succeeded' || state === 'cached' ? 0 : 1)
}

/** Counts down what waited for these steps, cascades failures, and moves the run. */
async function releaseDependents(tx: Tx, run: string, ended: readonly string[], failedCount: number): Promise<void> {
  const { state: before } = await tx.db
    .selectFrom('pipeline_run')
    .select('state')
    .where('id', '=', run)
    .executeTakeFirstOrThrow()
  const isCancelling = before === 'cancelling'
  let wave: { keys: readonly string[]; isFailure: boolean } | undefined = { keys: ended, isFailure: failedCount > 0 }
  let closed = ended.length
  while (wave && wave.keys.length > 0) {
    const counted: { key: string; waiting: number; up_failed: number }[] = (
      await sql<{ key: string; waiting: number; up_failed: number }>`
        with gone as (select dst, count(*)::int as n from edge where run = ${run} and src in (${sql.join(wave.keys)}) group by dst),
        locked as materialized (select s.key from step s join gone on gone.dst = s.key where s.run = ${run} and s.state = 'blocked' order by s.key for update of s)
        update step s set waiting = s.waiting - gone.n, up_failed = s.up_failed + ${wave.isFailure ? 1 : 0}
        from gone, locked where s.run = ${run} and s.key = gone.dst and s.key = locked.key
        returning s.key, s.waiting, s.up_failed`.execute(tx.db)
    ).rows
    const free = counted.filter((row) => row.waiting === 0)
    const ready = free.filter((row) => nextOfBlocked(row.up_failed, isCancelling) === 'ready').map((row) => row.key)
    const dead = free.filter((row) => !ready.includes(row.key))
    if (ready.length > 0)
      await tx.db
        .updateTable('step')
        .set({ state: 'ready', eligible_at: sql<Date>`clock_timestamp()` })
        .where('run', '=', run)
        .where('key', 'in', ready)
        .execute()
    for (const state of ['upstream_failed', 'cancelled'] as const) {
      const keys = dead.filter((row) => nextOfBlocked(row.up_failed, isCancelling) === state).map((row) => row.key)
      if (keys.length > 0)
        await tx.db
          .updateTable('step')
          .set({ state, finished_at: sql<Date>`clock_timestamp()` })
          .where('run', '=', run)
          .where('key', 'in', keys)
          .execute()
    }
    closed += dead.length
    wave = dead.length > 0 ? { keys: dead.map((row) => row.key), isFailure: true } : undefined
  }
  const counts = await tx.db
    .updateTable('pipeline_run')
    .set((eb) => ({ open: eb('open', '-', closed), failed: eb('failed', '+', failedCount) }))
    .where('id', '=', run)
    .returning(['open', 'failed'])
    .executeTakeFirstOrThrow()
  const state = nextOfRun(counts.open, counts.failed, isCancelling)
  if (counts.open > 0) return
  await tx.db
    .updateTable('pipeline_run')
    .set({ state, finished_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', run)
    .execute()
  await tx.emit({ type: 'pipelines.run_finished', subject: run, data: { state } })
}
