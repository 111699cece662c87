import { type PipelineStep, pipelineDefinition, pipelineStep, type RunState } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { TestDatabase } from '../kernel/db/database.fixture.ts'
import type { DatabaseClock } from '../kernel/db/index.ts'
import { adoptCached } from './adopt.ts'
import { finishAttempts } from './finish.ts'
import { succeededAttempt } from './finished-attempt.fixture.ts'
import { storePipelineVersion } from './pipeline.ts'
import { planRun } from './plan.ts'
import { cancelRun } from './run.ts'
import { type ClaimedStep, claimingSteps, renewLeases, takeOver, toClaimedSteps, type Wanted } from './store.ts'
import type { AttemptEnd } from './transition.ts'

type Eventually<T> = T | Promise<T>

export interface StepPlan {
  readonly key: string
  readonly needs: readonly string[]
  readonly retries: number
}

/** An attempt that somebody holds, or held. */
export interface Held {
  readonly run: string
  readonly key: string
  readonly fence: bigint
}

export interface Report {
  readonly attempt: Held
  readonly end: AttemptEnd
}

/** What schedulers do to runs: the SQL does it, and so does its twin in memory. */
export interface RunStore {
  /** A queued run; ids are in order. */
  add(steps: readonly StepPlan[]): Eventually<string>
  plan(run: string): Eventually<void>
  claim(owner: string, wanted: Wanted): Eventually<readonly Held[]>
  takeOver(owner: string, isOnlyExpired: boolean): Eventually<readonly Held[]>
  /** Fences that are still the owner's, and whether their runs are being cancelled. */
  renew(owner: string, held: readonly Held[]): Eventually<ReadonlyMap<bigint, boolean>>
  finish(
    owner: string,
    reports: readonly Report[],
    wanted: Wanted,
  ): Eventually<{ held: readonly boolean[]; claimed: readonly Held[] }>
  /** What was claimed turns out to be known to the cache. */
  adopt(held: readonly Held[]): Eventually<readonly boolean[]>
  cancel(run: string): Eventually<RunState>
  /**
   * The step of an attempt that holds its fence gets a newer one while the old goes on: no operation does that today, since
   * whoever takes a step over goes on with its attempt; the fence holds against it all the same.
   */
  supersede(attempt: Held): Eventually<readonly Held[]>
  advance(ms: number): void
  /** Everything that can be seen, a line for each run, step and attempt; instants since the clock's start. */
  read(): Eventually<readonly string[]>
}

export interface SeenStep {
  readonly run: string
  readonly key: string
  readonly state: string
  readonly waiting: number
  readonly upFailed: number
  readonly attemptsUsed: number
  readonly infraUsed: number
  readonly owner: string | null
  readonly leaseMs: number | null
  readonly eligibleMs: number
}

export function runLine(run: { id: string; state: string; open: number; failed: number }): string {
  return `${run.id} ${run.state}: ${run.open} open, ${run.failed} failed`
}

export function stepLine(step: SeenStep): string {
  const used = `${step.attemptsUsed}+${step.infraUsed} used`
  const more =
    step.state === 'ready'
      ? `, from ${step.eligibleMs}`
      : step.state === 'running'
        ? `, ${step.owner} until ${step.leaseMs}`
        : step.owner === null && step.leaseMs === null
          ? ''
          : ', but it is leased'
  return `${step.run} ${step.key} ${step.state}: waits for ${step.waiting}, ${step.upFailed} failed, ${used}${more}`
}

export function attemptLine(attempt: { run: string; key: string; number: number; state: string }): string {
  return `${attempt.run} ${attempt.key} #${attempt.number} ${attempt.state}`
}

export function runId(number: number): string {
  return `run_${String(number).padStart(4, '0')}`
}

/** Long ago: an instant of the real clock that got in would lie in the future. */
const START = '2001-01-01T00:00:00Z'
const msSince = (column: string) =>
  sql<number>`(extract(epoch from ${sql.ref(column)} - ${START}::timestamptz) * 1000)::float8`

function definitionOf({ key, needs, retries }: StepPlan): PipelineStep {
  return pipelineStep.parse({ key, kind: 'command', params: { argv: ['true'] }, after: [...needs], retries })
}

export interface SqlRunStore extends RunStore {
  /** Forgets all runs, and starts the clock again. */
  clear(): Promise<void>
}

/** The functions that the scheduler calls, over a clock of the database that stands still until it is moved. */
export function openSqlRunStore({ ctx }: TestDatabase): SqlRunStore {
  let nowMs = 0
  let runs = 0
  const clock: DatabaseClock = () => sql<Date>`(${START}::timestamptz + ${nowMs}::float8 * interval '1 millisecond')`
  const blobs = undefined as never // nothing here is stored
  const claimant = (owner: string) => ({ owner, runsDir: '/none', clock })
  const claims = new Map<bigint, ClaimedStep>()
  const keep = (steps: readonly ClaimedStep[]): readonly Held[] => {
    for (const step of steps) claims.set(step.fence, step)
    return steps
  }
  const options = { cache: false, force: [], forceFrom: [] }
  return {
    add: async (steps) => {
      const definition = pipelineDefinition.parse({
        kind: 'pipeline',
        name: 'p',
        params: {},
        steps: steps.map(definitionOf),
      })
      const code = { bundles: {}, origin: { source: 't', commit: null, isDirty: false }, kinds: new Map(), blobs }
      const digest = await ctx.transaction((tx) => storePipelineVersion(tx, definition, code))
      const id = runId(++runs)
      await sql`insert into pipeline_run (id, project, pipeline, pipeline_digest, params, options, state, actor, body_digest)
        values (${id}, ${ctx.project}, 'p', ${digest}, '{}', ${JSON.stringify(options)}, 'queued', 'ada', 'b')`.execute(
        ctx.db,
      )
      return id
    },
    plan: async (id) => {
      const row = await ctx.db.selectFrom('pipeline_run').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
      const python = async () => ({ version: '', platform: '' })
      await planRun(ctx, { kinds: new Map(), blobs, python, databaseClock: clock }, row)
    },
    claim: async (owner, wanted) => {
      const { rows } = await claimingSteps(claimant(owner), wanted).execute(ctx.db)
      return keep(toClaimedSteps(rows))
    },
    takeOver: async (owner, isOnlyExpired) => keep(await takeOver(ctx, claimant(owner), isOnlyExpired)),
    renew: (owner, held) => renewLeases(ctx, claimant(owner), held),
    finish: async (owner, reports, wanted) => {
      const items = reports.map(({ attempt, end }) => {
        const step = claims.get(attempt.fence)!
        return { ...succeededAttempt(step), step, end }
      })
      const { held, claimed } = await finishAttempts(ctx, blobs, items, claimingSteps(claimant(owner), wanted), clock)
      return { held, claimed: keep(claimed) }
    },
    adopt: (held) => {
      const verdict = { hit: true, reason: 'hit' as const, key: null, source: null, diff: [] }
      const found = { verdict, outputs: {}, result: undefined, spec: null, inputs: {} }
      const items = held.map(({ fence }) => ({ ...found, step: claims.get(fence)! }))
      return adoptCached(ctx, blobs, items, clock)
    },
    cancel: (run) => ctx.transaction((tx) => cancelRun(tx, run)),
    supersede: async ({ run, key, fence }) => {
      const { rows } = await sql<{ fence: bigint }>`
        with s as (update step set fence = nextval('fence_seq') where run = ${run} and key = ${key} and fence = ${fence} and state = 'running' returning project, run, key, fence)
        insert into attempt (project, fence, run, key, number, state, executor)
        select project, fence, run, key, (select count(*) + 1 from attempt a where a.run = s.run and a.key = s.key), 'running', 'test'
        from s returning fence`.execute(ctx.db)
      return keep(rows.map((row) => ({ ...claims.get(fence)!, fence: row.fence })))
    },
    advance: (ms) => {
      nowMs += ms
    },
    read: async () => {
      const [runRows, stepRows, attemptRows] = await ctx.together([
        sql<Parameters<typeof runLine>[0]>`select id, state, open, failed from pipeline_run order by id`,
        sql<SeenStep>`select run, key, state, waiting, up_failed as "upFailed", attempts_used as "attemptsUsed",
          infra_used as "infraUsed", lease_owner as owner, ${msSince('lease_expires_at')} as "leaseMs",
          ${msSince('eligible_at')} as "eligibleMs" from step order by run, key`,
        sql<Parameters<typeof attemptLine>[0]>`select run, key, number, state from attempt order by run, key, fence`,
      ])
      return [...runRows.map(runLine), ...stepRows.map(stepLine), ...attemptRows.map(attemptLine)]
    },
    clear: async () => {
      for (const table of ['attempt', 'edge', 'step', 'pipeline_run'] as const) await ctx.db.deleteFrom(table).execute()
      claims.clear()
      nowMs = 0
      runs = 0
    },
  }
}
