import { type Context, type DatabaseClock, databaseClock } from '../kernel/db/index.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { openAttemptRunner, type Running } from './attempt.ts'
import { readProgress } from './attempt-files.ts'
import { openDoorbell } from './doorbell.ts'
import { type LaunchDeps, workDirOf } from './launch.ts'
import { planRun, reasonOf } from './plan.ts'
import { openSlots } from './slots.ts'
import { type Claimant, claimingSteps, renewLeases, setProgress, takeOver, toClaimedSteps } from './store.ts'

export interface SchedulerDeps extends LaunchDeps {
  /** Steps that run at once. */
  readonly slots: number
  readonly cancelGraceMs: number
  /** Of leases, and of when a step may start; a test binds its own. */
  readonly databaseClock?: DatabaseClock
}

export interface Scheduler {
  /** Something may be ready: a run was queued, a step finished, a cancellation came. */
  wake(): void
  /** Stops claiming and watching. Running steps go on; the next incarnation adopts them. */
  close(): Promise<void>
}

const IDLE_MS = 1_000
/** Well below the lease: also the time after which a running step hears of a cancellation. */
const RENEW_MS = 1_000
const QUEUED_PER_TURN = 16
const CLOSE_MS = 2_000

/** One scheduler per control plane: plans queued runs, claims ready steps, starts them, and commits what they leave. */
export function openScheduler(ctx: Context, deps: SchedulerDeps): Scheduler {
  const owner = newId('scheduler', deps.clock)
  const claimant = { owner, runsDir: deps.runsDir, clock: deps.databaseClock ?? databaseClock }
  const stop = new AbortController()
  const doorbell = openDoorbell(deps.clock, stop.signal)
  const slots = openSlots({
    count: deps.slots,
    signal: stop.signal,
    log: ctx.log,
    onFree: () => doorbell.ring(),
  })
  const { running, hold } = slots
  const attempts = openAttemptRunner(ctx, deps, {
    claimant,
    replace: slots.replace((step) => hold(step, attempts.run)),
  })
  let mayBeQueued = true
  const waited = { last: '' }

  const turn = async (): Promise<void> => {
    if (mayBeQueued) {
      mayBeQueued = false
      const isLeft = await planQueued(ctx, deps, waited)
      mayBeQueued ||= isLeft
    }
    const free = slots.free()
    if (free <= 0) return
    const wanted = { limit: free, running: slots.counts() }
    const { rows } = await claimingSteps(claimant, wanted).execute(ctx.db)
    for (const step of toClaimedSteps(rows)) hold(step, attempts.run)
  }

  const loop = async () => {
    while (!stop.signal.aborted) {
      try {
        await turn()
        // What a running step's end makes ready rings; what comes due by the clock is looked for at each pause.
        if (!mayBeQueued)
          await doorbell.wait(IDLE_MS).then((hasRung) => {
            mayBeQueued ||= !hasRung
          })
      } catch (thrown) {
        if (stop.signal.aborted) return
        const { message } = toPlimsollError(thrown)
        ctx.log.error(
          { error: message, cause: String((thrown as Error).stack) },
          'the scheduler met a fault; it goes on',
        )
        await doorbell.wait(IDLE_MS)
      }
    }
  }

  const adopt = async (isOnlyExpired: boolean) => {
    for (const step of await takeOver(ctx, claimant, isOnlyExpired))
      if (!running.has(step.fence)) hold(step, attempts.follow)
  }

  const watch = async () => {
    while (!stop.signal.aborted) {
      await deps.clock.sleep(RENEW_MS, stop.signal).catch(() => {})
      if (stop.signal.aborted) return
      deps.secrets.dropEnded()
      try {
        await renew(ctx, deps, claimant, running)
        await adopt(true)
      } catch (thrown) {
        if (!stop.signal.aborted)
          ctx.log.warn({ error: toPlimsollError(thrown).message }, 'leases could not be renewed')
      }
    }
  }

  // Attempts that an earlier incarnation left: this data directory has one scheduler, so they are ours now.
  const started = adopt(false).then(() => Promise.all([loop(), watch()]))
  started.catch((error: unknown) => ctx.log.error({ error: String(error) }, 'the scheduler could not start'))
  return {
    wake: () => {
      mayBeQueued = true
      doorbell.ring()
    },
    async close() {
      stop.abort()
      await deps.executor.close()
      await Promise.race([started.catch(() => {}), deps.clock.sleep(CLOSE_MS)])
    },
  }
}

/** Keeps the leases of steps that go on, ends those that are unwanted, and takes over what they say of their progress. */
async function renew(
  ctx: Context,
  deps: SchedulerDeps,
  claimant: Claimant,
  running: ReadonlyMap<bigint, Running>,
): Promise<void> {
  // What is claimed while the database answers is not among them, and is not unwanted for that.
  const held = [...running.values()]
  const kept = await renewLeases(
    ctx,
    claimant,
    held.map(({ step }) => step),
  )
  for (const entry of held) {
    const { fence } = entry.step
    if (kept.get(fence) === false || !running.has(fence)) continue
    if (entry.handle === undefined || entry.isCancelled) continue
    entry.isCancelled = true
    void deps.executor.cancel(entry.handle, deps.cancelGraceMs).catch(() => {})
  }
  for (const { step } of held) {
    const progress = await deps.secrets.redactorOf(step).then(
      (redactor) => readProgress(workDirOf(deps.runsDir, step), redactor),
      () => undefined, // what it says cannot be shown
    )
    if (progress) await setProgress(ctx, step, progress)
  }
}

/** A run that stays queued says why, wherever it is looked at; told in the log once, not at each try. */
async function tellWait(ctx: Context, run: { id: string; reason: string | null }, thrown: unknown): Promise<void> {
  const error = toPlimsollError(thrown)
  const reason = reasonOf(error)
  if (reason === run.reason) return
  await ctx.db
    .updateTable('pipeline_run')
    .set({ reason })
    .where('id', '=', run.id)
    .where('state', '=', 'queued')
    .execute()
  const told = error.kind === 'internal' ? String(error.cause ?? error) : reason
  ctx.log.warn({ run: run.id, error: told }, 'a run cannot be planned now; it stays queued and is tried again')
}

/**
 * Plans what is queued; a run that cannot be planned now holds up no other: those that wait come after the others, and take
 * turns after `waited.last`, which is moved. True when more may be queued.
 */
async function planQueued(ctx: Context, deps: SchedulerDeps, waited: { last: string }): Promise<boolean> {
  const queued = await ctx.db
    .selectFrom('pipeline_run')
    .select(['id', 'project', 'pipeline_digest', 'params', 'options', 'reason'])
    .where('state', '=', 'queued')
    .orderBy((eb) => eb('reason', 'is not', null))
    .orderBy((eb) => eb.and([eb('reason', 'is not', null), eb('id', '<=', waited.last)]))
    .orderBy((eb) => eb.case().when('reason', 'is', null).then(eb.ref('created_at')).end())
    .orderBy('id')
    .limit(QUEUED_PER_TURN)
    .execute()
  waited.last = queued.findLast(({ reason }) => reason !== null)?.id ?? waited.last
  const python = () => deps.python.interpreter()
  const planned = await Promise.allSettled(
    queued.map((run) => planRun(ctx.as({ project: run.project }), { ...deps, python }, run)),
  )
  for (const [index, outcome] of planned.entries())
    if (outcome.status === 'rejected') await tellWait(ctx, queued[index]!, outcome.reason)
  return queued.length === QUEUED_PER_TURN && planned.some((outcome) => outcome.status === 'fulfilled')
}
