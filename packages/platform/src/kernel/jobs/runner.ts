import { type Context, type DatabaseClock, databaseClock, type Tx } from '../db/index.ts'
import { isPlimsollError, PlimsollError, toPlimsollError } from '../errors.ts'
import { openPulse } from '../events/index.ts'
import { newId } from '../ids.ts'
import {
  addScheduled,
  claimJobs,
  failJob,
  finishJob,
  type LeasedJob,
  type LeaseTerms,
  reapJobs,
  renewLeases,
  returnJob,
} from './lease.ts'

export interface JobCall {
  readonly id: string
  /** A context of the job's project. */
  readonly ctx: Context
  readonly data: unknown
  readonly attempt: number
  /** Aborted when the job is cancelled, its lease is lost, or the runner must end. */
  readonly signal: AbortSignal
}

/** Work for the transaction that also ends the job: it happens once, by the runner that holds the lease. */
export type FinishWork = (tx: Tx) => Promise<void>

export interface JobHandler {
  readonly kind: string
  /** May run more than once; what must happen once belongs into the returned work. */
  run(call: JobCall): Promise<FinishWork | undefined>
}

export interface JobRunnerOptions {
  concurrency?: number
  pollMs?: number
  leaseMs?: number
  clock?: DatabaseClock
}

export interface JobRunner {
  wake(): void
  /** Runs until no job is eligible and none is running. */
  settle(): Promise<void>
  /** One renewal of all leases, as the timer does it. */
  renew(): Promise<void>
  /** Takes no new job and waits for the running ones; after `graceMs` they are aborted and given back. */
  close(graceMs?: number): Promise<void>
}

interface Running {
  job: LeasedJob
  abort: AbortController
  ended: Promise<void>
}

class LeasedRunner implements JobRunner {
  readonly #ctx: Context
  readonly #handlers: ReadonlyMap<string, JobHandler>
  readonly #options: Required<Omit<JobRunnerOptions, 'clock'>>
  readonly #terms: LeaseTerms
  readonly #running = new Map<bigint, Running>()
  readonly #pulse
  readonly #stop = new AbortController()
  #renewedAtMs: number
  #isReturning = false
  /** One round at a time: two at once would both count the same free places. */
  #turn: Promise<number> = Promise.resolve(0)
  #loops: Promise<unknown> = Promise.resolve()

  constructor(ctx: Context, handlers: readonly JobHandler[], options: JobRunnerOptions) {
    this.#ctx = ctx
    this.#handlers = new Map(handlers.map((handler) => [handler.kind, handler]))
    this.#options = {
      concurrency: options.concurrency ?? 4,
      pollMs: options.pollMs ?? 1_000,
      leaseMs: options.leaseMs ?? 30_000,
    }
    this.#terms = { clock: options.clock ?? databaseClock, owner: newId('runner'), leaseMs: this.#options.leaseMs }
    this.#pulse = openPulse(ctx.clock)
    this.#renewedAtMs = ctx.clock.monotonicMs()
  }

  start(): void {
    this.#loops = Promise.all([this.#claimLoop(), this.#renewLoop()])
  }

  wake(): void {
    this.#pulse.wake()
  }

  async settle(): Promise<void> {
    while ((await this.#round()) > 0 || this.#running.size > 0) {
      await this.#oneEnded()
    }
  }

  async close(graceMs = 10_000): Promise<void> {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort(new PlimsollError('unavailable', 'jobs.stopping', 'The runner is stopping'))
      this.#pulse.wake()
      const all = Promise.all([...this.#running.values()].map((running) => running.ended))
      const grace = new AbortController()
      await Promise.race([all, this.#ctx.clock.sleep(graceMs, grace.signal).catch(() => {})])
      grace.abort()
      this.#isReturning = true
      for (const { abort } of this.#running.values()) abort.abort(this.#stop.signal.reason)
      await Promise.all([...this.#running.values()].map((running) => running.ended))
    }
    await this.#loops
  }

  async #claimLoop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#guard('claiming jobs failed', () => this.#round())
      if (!this.#stop.signal.aborted) await this.#pulse.wait(this.#options.pollMs)
    }
  }

  /** Reaps, adds what schedules ask for, and starts what fits. Returns how many jobs it started. */
  #round(): Promise<number> {
    this.#turn = this.#turn.then(
      () => this.#claim(),
      () => this.#claim(),
    )
    return this.#turn
  }

  async #claim(): Promise<number> {
    if (this.#stop.signal.aborted) return 0
    await reapJobs(this.#ctx, this.#terms.clock)
    await addScheduled(this.#ctx, this.#terms.clock)
    const free = this.#options.concurrency - this.#running.size
    const jobs = await claimJobs(this.#ctx, this.#terms, [...this.#handlers.keys()], free)
    for (const job of jobs) {
      if (this.#stop.signal.aborted) await returnJob(this.#ctx, job, this.#terms)
      else this.#begin(job)
    }
    return jobs.length
  }

  #begin(job: LeasedJob): void {
    const abort = new AbortController()
    const ended = this.#run(job, abort.signal).finally(() => {
      this.#running.delete(job.fence)
      this.#pulse.wake()
    })
    this.#running.set(job.fence, { job, abort, ended })
  }

  async #run(job: LeasedJob, signal: AbortSignal): Promise<void> {
    const ctx = this.#ctx.as({ project: job.project })
    await this.#guard('ending a job failed', async () => {
      try {
        const handler = this.#handlers.get(job.kind)
        const finish = await handler?.run({ id: job.id, ctx, data: job.data, attempt: job.attempt, signal })
        await ctx.transaction(async (tx) => {
          await finishJob(tx, job, this.#terms, 'done')
          await finish?.(tx)
        })
      } catch (error) {
        await this.#unfinished(ctx, job, signal, error)
      }
    })
  }

  async #unfinished(ctx: Context, job: LeasedJob, signal: AbortSignal, error: unknown): Promise<void> {
    const reason: unknown = signal.reason
    if (isPlimsollError(reason) && reason.code === 'jobs.cancelled') {
      await ctx.transaction((tx) => finishJob(tx, job, this.#terms, 'cancelled'))
    } else if (signal.aborted && this.#isReturning) {
      await returnJob(ctx, job, this.#terms)
    } else if (!(isPlimsollError(error) && error.code === 'jobs.fenced')) {
      ctx.log.warn(
        { job: job.id, kind: job.kind, attempt: job.attempt, error: toPlimsollError(error).message },
        'a job failed',
      )
      await failJob(ctx, job, this.#terms, error)
    }
  }

  async #renewLoop(): Promise<void> {
    while (!this.#stop.signal.aborted || this.#running.size > 0) {
      const isStopped = await this.#ctx.clock.sleep(this.#options.leaseMs / 4, this.#stop.signal).then(
        () => false,
        () => true,
      )
      await this.#guard('renewing leases failed', () => this.renew())
      // While jobs are drained the signal is spent: wait for one of them instead.
      if (isStopped) await this.#oneEnded()
    }
  }

  async renew(): Promise<void> {
    const startedAtMs = this.#ctx.clock.monotonicMs()
    const before = [...this.#running]
    if (before.length === 0) {
      this.#renewedAtMs = startedAtMs
      return
    }
    try {
      const renewed = await renewLeases(
        this.#ctx,
        this.#terms,
        before.map(([fence]) => fence),
      )
      this.#renewedAtMs = startedAtMs
      for (const [fence, { job, abort }] of before) {
        const lease = renewed.get(fence)
        if (lease === undefined)
          abort.abort(new PlimsollError('precondition', 'jobs.fenced', `The lease of job ${job.id} was lost`))
        else if (lease.isCancelling)
          abort.abort(new PlimsollError('precondition', 'jobs.cancelled', `Job ${job.id} was cancelled`))
      }
    } catch (error) {
      // Out of touch for most of a lease: someone else may start soon, so stop here.
      if (this.#ctx.clock.monotonicMs() - this.#renewedAtMs > this.#options.leaseMs * 0.75) {
        for (const { abort } of this.#running.values()) abort.abort(error)
      }
      throw error
    }
  }

  /** The end of any running job; at once when none runs. */
  async #oneEnded(): Promise<void> {
    if (this.#running.size > 0) await Promise.race([...this.#running.values()].map((running) => running.ended))
  }

  async #guard(message: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#ctx.log.error({ error: toPlimsollError(error).message }, message)
    }
  }
}

/** Runs jobs of the given kinds, of all projects, with bounded concurrency. */
export function openJobRunner(
  ctx: Context,
  handlers: readonly JobHandler[],
  options: JobRunnerOptions = {},
): JobRunner {
  const runner = new LeasedRunner(ctx, handlers, options)
  runner.start()
  return runner
}
