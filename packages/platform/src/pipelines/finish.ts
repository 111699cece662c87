import type { BlobStore } from '@plimsoll/sdk/seams'
import type { RawBuilder } from 'kysely'
import { type FileLocation, rememberLocations } from '../datasets/index.ts'
import { pinAll } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import type { Context, DatabaseClock, Tx } from '../kernel/db/index.ts'
import { member } from '../kernel/own-member.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { endTrackedRuns } from '../tracking/index.ts'
import type { SeenEnd } from './attempt-end.ts'
import type { CacheComponents } from './cache.ts'
import { cacheKeyOfAttempt, type EndedAttempt, endingAttempts, toEnded } from './ends.ts'
import { pinsOfAttempt } from './pins.ts'
import { cascade, type MovedRun } from './release-dependents.ts'
import { type ClaimedRow, type ClaimedStep, toClaimedSteps } from './store.ts'
import type { NamedOutputs } from './tables.ts'
import './events.ts'

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
}

export interface Finished {
  /** Which attempts still held their fence. */
  readonly held: readonly boolean[]
  /** What was claimed for their slots. */
  readonly claimed: readonly ClaimedStep[]
}

/**
 * The fenced transaction that finishes attempts of one project: only the holder of a fence may; outputs are adopted
 * once. A step kind's own `commit` runs inside, and so does `claiming`, which sees what these ends made ready.
 */
export async function finishAttempts(
  ctx: Context,
  blobs: BlobStore,
  items: readonly FinishedAttempt[],
  claiming: RawBuilder<ClaimedRow>,
  clock: DatabaseClock,
): Promise<Finished> {
  const at = ctx.as({ project: items[0]!.step.project })
  return items.every(leavesNothing)
    ? finishAtOnce(at, items, claiming, clock)
    : at.transaction((tx) => finishWhole(tx, blobs, items, claiming, clock))
}

/** Nothing but its own rows belongs to the end of this attempt. */
function leavesNothing(done: FinishedAttempt): boolean {
  const { end, log, outputs, locations, kind } = done
  const hasOutputs = Object.keys(outputs).length > 0
  return end.outcome === 'succeeded' && !log && !hasOutputs && locations.length === 0 && !kind?.commit
}

async function finishAtOnce(
  ctx: Context,
  items: readonly FinishedAttempt[],
  claiming: RawBuilder<ClaimedRow>,
  clock: DatabaseClock,
): Promise<Finished> {
  const [ended, claimed] = await ctx.together([endingAttempts(items, clock), claiming])
  const ends = toEnded(ended)
  const moved = runsOf(ends)
  if (moved.some((run) => run.open === 0)) ctx.emitted()
  // Ends and claims are committed: what was claimed waits for nothing of this.
  void endLateRuns(ctx, ends).catch((error) =>
    ctx.log.warn({ error: String(error) }, 'tracked runs of steps that ended could not be ended'),
  )
  void renewEach(
    ctx,
    items.filter((done) => isRenewal(done, ends)),
  )
  return { held: items.map((done) => ends.has(done.step.fence)), claimed: toClaimedSteps(claimed) }
}

/** One after the other, so that they take one session; one that fails may be left out. */
async function renewEach(ctx: Context, items: readonly FinishedAttempt[]): Promise<void> {
  for (const done of items)
    await ctx
      .transaction((tx) => renewCacheEntry(tx, done))
      .catch((error) => ctx.log.warn({ error: String(error) }, 'a cache entry could not be renewed'))
}

async function finishWhole(
  tx: Tx,
  blobs: BlobStore,
  items: readonly FinishedAttempt[],
  claiming: RawBuilder<ClaimedRow>,
  clock: DatabaseClock,
): Promise<Finished> {
  const ends = toEnded((await endingAttempts(items, clock).execute(tx.db)).rows)
  await endLateRuns(tx, ends)
  const of = (done: FinishedAttempt) => ends.get(done.step.fence)
  // Before a kind's own commit, which may name the same blobs.
  await pinAll(
    tx,
    blobs,
    items.flatMap((done) => pinsOfAttempt(done, of(done)?.state === 'succeeded', cacheKeyOfAttempt(done))),
  )
  for (const done of items) if (of(done)?.state === 'succeeded') await commitSuccess(tx, done)
  for (const run of runsOf(ends)) await cascade(tx, run, clock)
  const claimed = await claiming.execute(tx.db)
  for (const done of items) {
    const end = of(done)
    if (end?.state === 'ready')
      await tx.emit({
        type: 'pipelines.step_retried',
        subject: done.step.run,
        data: { step: done.step.key, delayMs: end.delayMs },
      })
    if (isRenewal(done, ends)) await renewCacheEntry(tx, done)
  }
  return { held: items.map((done) => of(done) !== undefined), claimed: toClaimedSteps(claimed.rows) }
}

function endLateRuns(ctx: Context, ends: ReadonlyMap<bigint, EndedAttempt>): Promise<void> {
  return endTrackedRuns(
    ctx,
    [...ends.values()].flatMap(({ lateRun }) => lateRun ?? []),
  )
}

function isRenewal(done: FinishedAttempt, ends: ReadonlyMap<bigint, EndedAttempt>): boolean {
  const end = ends.get(done.step.fence)
  return end?.state === 'succeeded' && !end.isCacheEntryNew && cacheKeyOfAttempt(done) !== undefined
}

function runsOf(ends: ReadonlyMap<bigint, EndedAttempt>): MovedRun[] {
  return [...new Map([...ends.values()].flatMap((end) => (end.moved ? [[end.moved.run, end.moved]] : []))).values()]
}

async function commitSuccess(tx: Tx, done: FinishedAttempt): Promise<void> {
  if (done.locations.length > 0) await rememberLocations(tx, done.locations)
  const { run, key, fence } = done.step
  const result = await done.kind?.commit?.(tx, {
    run,
    step: key,
    attempt: String(fence),
    spec: done.spec,
    inputs: done.inputs,
    outputs: done.outputs,
    json: done.json,
  })
  if (result === undefined || result === null) return
  await tx.db
    .updateTable('step')
    .set({ result: JSON.stringify(result) })
    .where('run', '=', run)
    .where('key', '=', key)
    .execute()
}

/**
 * Equal outputs renew the entry, which may have lost its blobs, and take in what another release of its kind leaves more or
 * less; other outputs taint it.
 */
async function renewCacheEntry(tx: Tx, done: FinishedAttempt): Promise<void> {
  const key = cacheKeyOfAttempt(done)!
  const before = await tx.db
    .selectFrom('cache_entry')
    .select('outputs')
    .where('project', '=', tx.project)
    .where('key', '=', key)
    .forUpdate()
    .executeTakeFirst()
  if (!before) return // forgotten meanwhile
  const isEqual = areAlike(before.outputs, done.outputs)
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

/** Whether two have the same of each output that both have: what the step itself declares is in the key, and so in both. */
function areAlike(before: NamedOutputs, now: NamedOutputs): boolean {
  return Object.entries(before).every(([name, { digest }]) => (member(now, name)?.digest ?? digest) === digest)
}
