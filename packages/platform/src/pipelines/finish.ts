import type { BlobStore } from '@plimsoll/sdk/seams'
import type { CacheVerdict } from '@plimsoll/sdk/wire'
import { type RawBuilder, sql } from 'kysely'
import { type FileLocation, rememberLocations } from '../datasets/index.ts'
import { pinAll } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { type Context, givenRows, type Tx } from '../kernel/db/index.ts'
import type { StepKind, StepOutput } from '../kernel/step-kind.ts'
import { finishTrackedRuns } from '../tracking/index.ts'
import type { SeenEnd } from './attempt-end.ts'
import type { CacheComponents } from './cache.ts'
import { digestsOfOutputs, pinsOfAttempt, runOwner } from './pins.ts'
import { type EndedStep, releaseDependents } from './release-dependents.ts'
import type { ClaimedStep } from './store.ts'
import type { NamedOutputs } from './tables.ts'
import { type NextStep, nextOfStep } from './transition.ts'

/** Everything that finishing an attempt commits. Blobs are stored and verified before. */
export interface FinishedAttempt {
  readonly step: ClaimedStep
  readonly end: SeenEnd
  readonly usage?: Json | undefined
  readonly log?: { readonly digest: string; readonly sizeBytes: number } | undefined
  readonly outputs: NamedOutputs
  /** What manifests among the outputs name, by their digest. */
  readonly parts: ReadonlyMap<string, readonly string[]>
  readonly json: Readonly<Record<string, Json>>
  readonly locations: readonly FileLocation[]
  readonly components?: CacheComponents | undefined
  readonly isCacheable: boolean
  readonly kind: StepKind | undefined
  readonly spec: Json
  readonly inputs: NamedOutputs
  readonly trackedRun: string | null
}

interface Decided {
  readonly done: FinishedAttempt
  /** Undefined when the fence was lost. */
  readonly next: NextStep | undefined
  result: Json | null
}

const REASON_CHARS_MAX = 4_000
const MESSAGE_CHARS_MAX = 4_096
const TRACKED_STATUS = { succeeded: 'FINISHED', cancelled: 'KILLED', failed: 'FAILED' } as const

/**
 * The fenced transaction that finishes attempts of one project: only the holder of a fence may; outputs are adopted
 * once. A step kind's own `commit` runs inside, and so does `claim`, which sees what these ends made ready. Returns which
 * still held their fence.
 */
export async function finishAttempts(
  ctx: Context,
  blobs: BlobStore,
  items: readonly FinishedAttempt[],
  claim: (tx: Tx) => Promise<void>,
): Promise<boolean[]> {
  return ctx.as({ project: items[0]!.step.project }).transaction(async (tx) => {
    const decided = await decide(tx, items)
    await pinAll(tx, blobs, decided.flatMap(pinsOfDecided))
    for (const entry of decided)
      if (entry.next?.state === 'succeeded') entry.result = await commitSuccess(tx, entry.done)
    const ended = decided.flatMap(endedStep)
    const tracked = decided.flatMap(({ done, next }) =>
      done.trackedRun !== null && next && next.state !== 'ready'
        ? [{ id: done.trackedRun, status: TRACKED_STATUS[next.state] }]
        : [],
    )
    const isNew = await writeEnds(tx, decided, ended)
    await finishTrackedRuns(tx, tracked)
    await releaseAll(tx, ended)
    await claim(tx)
    for (const { done, next } of decided) {
      if (next?.state === 'ready') await retryLater(tx, done.step, next)
      if (next?.state === 'succeeded' && cacheKeyOfAttempt(done) && !isNew.has(stepName(done.step)))
        await renewCacheEntry(tx, done)
    }
    return decided.map((entry) => entry.next !== undefined)
  })
}

/** Locks the runs, then the steps, each in order, so that two writers never wait for each other. */
async function decide(tx: Tx, items: readonly FinishedAttempt[]): Promise<Decided[]> {
  const runs = [...new Set(items.map(({ step }) => step.run))]
  const locked = await sql<{ fence: bigint; attempts_used: number; infra_used: number; run_state: string }>`
    with r as materialized (select id, state from pipeline_run where id in (${sql.join(runs)}) order by id for update)
    select s.fence, s.attempts_used, s.infra_used, r.state as run_state from step s join r on r.id = s.run
    where s.run in (${sql.join(runs)}) and s.key in (${sql.join(items.map(({ step }) => step.key))})
      and s.fence in (${sql.join(items.map(({ step }) => step.fence))}) and s.state = 'running'
    order by s.run, s.key for update of s`.execute(tx.db)
  const held = new Map(locked.rows.map((row) => [row.fence, row]))
  return items.map((done) => {
    const row = held.get(done.step.fence)
    if (!row) return { done, next: undefined, result: null }
    const budget = { retries: done.step.definition.retries, attemptsUsed: row.attempts_used, infraUsed: row.infra_used }
    return { done, next: nextOfStep(done.end, budget, row.run_state === 'cancelling'), result: null }
  })
}

/** Before a kind's own commit, which may name the same blobs. */
function pinsOfDecided({ done, next }: Decided) {
  return pinsOfAttempt(done, next?.state === 'succeeded', cacheKeyOfAttempt(done))
}

function attemptState({ done, next }: Decided): string {
  if (!next) return 'superseded'
  if (next.state === 'succeeded' || next.state === 'cancelled') return next.state
  return done.end.outcome === 'lost' ? 'lost' : 'failed'
}

function stepName(of: { run: string; key: string }): string {
  return `${of.run}/${of.key}`
}

/** Writes attempts, steps and new cache entries in one statement. Returns the steps whose cache entry is new. */
async function writeEnds(tx: Tx, decided: readonly Decided[], ended: readonly EndingStep[]): Promise<Set<string>> {
  const cached = decided.flatMap(({ done, next }) =>
    next?.state === 'succeeded' && cacheKeyOfAttempt(done) ? [done] : [],
  )
  const parts = [updateAttempts(decided), ...(ended.length > 0 ? [sql`s as (${updateSteps(ended)})`] : [])]
  if (cached.length === 0) {
    await sql`with ${sql.join(parts)} select 1`.execute(tx.db)
    return new Set()
  }
  const inserted = await sql<{ source_run: string; source_step: string }>`
    with ${sql.join(parts)}
    insert into cache_entry (project, key, pipeline, step, components, outputs, source_run, source_step)
    select ${tx.project}, d.* from ${givenRows('d', CACHE_COLUMNS, cached.map(cacheRow))}
    on conflict (project, key) do nothing returning source_run, source_step`.execute(tx.db)
  return new Set(inserted.rows.map((row) => stepName({ run: row.source_run, key: row.source_step })))
}

const CACHE_COLUMNS = {
  key: 'text',
  pipeline: 'text',
  step: 'text',
  components: 'jsonb',
  outputs: 'jsonb',
  source_run: 'text',
  source_step: 'text',
} as const

function cacheRow(done: FinishedAttempt) {
  return {
    key: cacheKeyOfAttempt(done),
    pipeline: done.step.pipeline,
    step: done.step.key,
    components: done.components,
    outputs: done.outputs,
    source_run: done.step.run,
    source_step: done.step.key,
  }
}

const ATTEMPT_COLUMNS = {
  fence: 'int8',
  state: 'text',
  exit_code: 'int4',
  signal: 'text',
  failure_class: 'text',
  message: 'text',
  log_digest: 'text',
  log_bytes: 'int8',
  usage: 'jsonb',
} as const

/** An attempt that has ended already keeps its end: its commit may be repeated when the first answer was lost. */
function updateAttempts(decided: readonly Decided[]): RawBuilder<unknown> {
  const rows = decided.map((entry) => ({
    fence: entry.done.step.fence,
    state: attemptState(entry),
    exit_code: entry.done.end.exitCode ?? null,
    signal: entry.done.end.signal ?? null,
    failure_class: entry.done.end.failureClass ?? null,
    message: entry.done.end.message?.slice(0, MESSAGE_CHARS_MAX) ?? null,
    log_digest: entry.done.log?.digest ?? null,
    log_bytes: entry.done.log?.sizeBytes ?? null,
    usage: entry.done.usage ?? null,
  }))
  return sql`a as (
    update attempt a set state = d.state, finished_at = clock_timestamp(), exit_code = d.exit_code, signal = d.signal,
      failure_class = d.failure_class, message = d.message, log_digest = d.log_digest, log_bytes = d.log_bytes, usage = d.usage
    from ${givenRows('d', ATTEMPT_COLUMNS, rows)} where a.fence = d.fence and a.state in ('created', 'running'))`
}

const STEP_COLUMNS = {
  run: 'text',
  key: 'text',
  state: 'text',
  reason: 'text',
  spec: 'jsonb',
  inputs: 'jsonb',
  outputs: 'jsonb',
  result: 'jsonb',
} as const

function updateSteps(ended: readonly EndingStep[]): RawBuilder<unknown> {
  return sql`
    update step s set state = d.state, reason = d.reason, lease_owner = null, lease_expires_at = null,
      finished_at = clock_timestamp(), spec = d.spec, inputs = d.inputs, outputs = d.outputs, result = d.result
    from ${givenRows('d', STEP_COLUMNS, ended)} where s.run = d.run and s.key = d.key`
}

/** Counts down what waited, run by run in the order in which runs are locked. */
async function releaseAll(tx: Tx, ended: readonly EndingStep[]): Promise<void> {
  const runs = [...new Set(ended.map((step) => step.run))].sort()
  for (const run of runs)
    await releaseDependents(
      tx,
      run,
      ended.filter((step) => step.run === run),
    )
}

async function retryLater(tx: Tx, step: ClaimedStep, next: NextStep & { state: 'ready' }): Promise<void> {
  await tx.db
    .updateTable('step')
    .set((eb) => ({
      state: 'ready',
      fence: null,
      lease_owner: null,
      lease_expires_at: null,
      eligible_at: sql<Date>`clock_timestamp() + make_interval(secs => ${next.delayMs / 1_000})`,
      ...(next.budget === 'user' ? { attempts_used: eb('attempts_used', '+', 1) } : {}),
      ...(next.budget === 'infra' ? { infra_used: eb('infra_used', '+', 1) } : {}),
    }))
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .execute()
  await tx.emit({
    type: 'pipelines.step_retried',
    subject: step.run,
    data: { step: step.key, delayMs: next.delayMs },
  })
}

async function commitSuccess(tx: Tx, done: FinishedAttempt): Promise<Json | null> {
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
  return result ?? null
}

function cacheKeyOfAttempt(done: FinishedAttempt): string | undefined {
  return (done.isCacheable && done.components && done.step.verdict?.key) || undefined
}

/** Equal outputs renew the entry, which may have lost its blobs; other outputs taint it. */
async function renewCacheEntry(tx: Tx, done: FinishedAttempt): Promise<void> {
  const key = cacheKeyOfAttempt(done)!
  const before = await tx.db
    .selectFrom('cache_entry')
    .select('outputs')
    .where('project', '=', tx.project)
    .where('key', '=', key)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const isEqual = digestsOf(before.outputs) === digestsOf(done.outputs)
  await tx.db
    .updateTable('cache_entry')
    .set(
      isEqual
        ? { outputs: JSON.stringify(done.outputs), source_run: done.step.run, source_step: done.step.key }
        : { is_tainted: true },
    )
    .where('project', '=', tx.project)
    .where('key', '=', key)
    .execute()
  if (!isEqual) {
    await tx.emit({
      type: 'pipelines.cache_nondeterministic',
      subject: key,
      data: { run: done.step.run, step: done.step.key },
    })
  }
}

function digestsOf(outputs: NamedOutputs): string {
  return JSON.stringify(
    Object.values(outputs as Record<string, StepOutput>) // the readonly form of the same
      .map((output) => [output.name, output.digest])
      .sort(),
  )
}

interface EndingStep extends EndedStep {
  readonly state: 'succeeded' | 'cached' | 'failed' | 'cancelled'
  readonly reason: string | null
  readonly outputs: NamedOutputs | null
  readonly result: Json | null
  readonly spec: Json
  readonly inputs: NamedOutputs
}

function endedStep({ done, next, result }: Decided): EndingStep[] {
  if (!next || next.state === 'ready') return []
  return [
    {
      run: done.step.run,
      key: done.step.key,
      state: next.state,
      isFailure: next.state !== 'succeeded',
      reason: done.end.message?.slice(0, REASON_CHARS_MAX) ?? null,
      outputs: next.state === 'succeeded' ? done.outputs : null,
      result,
      spec: done.spec,
      inputs: done.inputs,
    },
  ]
}

/** What a claimed step becomes that was found in the cache when it was about to start. */
export interface Adopted {
  readonly step: ClaimedStep
  readonly verdict: CacheVerdict
  readonly outputs: NamedOutputs
  readonly result: Json | undefined
  readonly spec: Json
  readonly inputs: NamedOutputs
}

/** Ends claimed steps of one project that the cache knew after all: no attempt is used. */
export async function adoptCached(ctx: Context, blobs: BlobStore, items: readonly Adopted[]): Promise<boolean[]> {
  return ctx.as({ project: items[0]!.step.project }).transaction(async (tx) => {
    const runs = [...new Set(items.map(({ step }) => step.run))]
    const fences = items.map(({ step }) => step.fence)
    const locked = await sql<{ fence: bigint }>`
      with r as materialized (select id from pipeline_run where id in (${sql.join(runs)}) order by id for update)
      select s.fence from step s join r on r.id = s.run where s.fence in (${sql.join(fences)}) and s.state = 'running'
        and s.run in (${sql.join(runs)}) and s.key in (${sql.join(items.map(({ step }) => step.key))})
      order by s.run, s.key for update of s`.execute(tx.db)
    const held = new Set(locked.rows.map((row) => row.fence))
    const kept = items.filter(({ step }) => held.has(step.fence))
    await tx.db.deleteFrom('attempt').where('fence', 'in', fences).execute()
    const pins = kept.map(({ step, outputs }) => ({ owner: runOwner(step.run), digests: digestsOfOutputs(outputs) }))
    await pinAll(tx, blobs, pins)
    for (const { step, verdict } of kept) {
      await tx.db
        .updateTable('step')
        .set({ cache_verdict: JSON.stringify(verdict), cache_key: verdict.key })
        .where('run', '=', step.run)
        .where('key', '=', step.key)
        .execute()
    }
    const keys = kept.flatMap(({ verdict }) => (verdict.key === null ? [] : [verdict.key]))
    if (keys.length > 0) {
      await tx.db
        .updateTable('cache_entry')
        .set((eb) => ({ hits: eb('hits', '+', 1), last_hit_at: sql<Date>`clock_timestamp()` }))
        .where('project', '=', tx.project)
        .where('key', 'in', keys)
        .execute()
    }
    const ended = kept.map(
      ({ step, outputs, result, spec, inputs }): EndingStep => ({
        run: step.run,
        key: step.key,
        state: 'cached',
        isFailure: false,
        reason: null,
        outputs,
        result: result ?? null,
        spec,
        inputs,
      }),
    )
    if (ended.length > 0) await updateSteps(ended).execute(tx.db)
    await releaseAll(tx, ended)
    return items.map(({ step }) => held.has(step.fence))
  })
}
