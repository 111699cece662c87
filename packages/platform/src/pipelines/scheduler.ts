import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { StepExit } from '@plimsoll/sdk/seams'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { forcedSteps, lookUp } from './cache.ts'
import { type AttemptPlan, type LaunchDeps, prepareLaunch, workDirOf } from './launch.ts'
import { requirePipelineVersion } from './pipeline.ts'
import { planRun } from './plan.ts'
import { prepareStep, stepInputs } from './prepare.ts'
import {
  adoptCached,
  type ClaimedStep,
  claimSteps,
  ensureTrackedRun,
  finishAttempt,
  markStarted,
  renewLeases,
  takeOver,
} from './store.ts'
import type { NamedOutputs } from './tables.ts'
import type { AttemptEnd } from './transition.ts'
import { type CollectedOutputs, collectOutputs } from './work-files.ts'

export interface SchedulerDeps extends LaunchDeps {
  /** Steps that run at once. */
  readonly slots: number
  readonly cancelGraceMs: number
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
const LOG_HEAD_BYTES = 1 << 20
const LOG_BYTES_MAX = 64 << 20
const MESSAGE_TAIL_BYTES = 2_000

interface Running {
  step: ClaimedStep
  handle: string | undefined
  isCancelled: boolean
  done: Promise<void>
}

/** A shell reports a program that signal n ended as exit code 128 + n. @source POSIX.1-2024, 2.8.2 */
const SIGNAL_BASE = 128
const SIGNAL_MAX = 64

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}

const NO_OUTPUTS: CollectedOutputs = { outputs: {}, json: {}, locations: [] }

/** The end of an attempt, as the state machine reads it. */
export function endOf(exit: StepExit): AttemptEnd & { signal?: string; message?: string } {
  if (exit.endedBy === 'cancel') return { outcome: 'cancelled', failureClass: 'cancelled', exitCode: exit.exitCode }
  if (exit.endedBy === 'timeout')
    return {
      outcome: 'failed',
      failureClass: 'timeout',
      exitCode: exit.exitCode,
      message: 'The step took longer than its timeout',
    }
  if (exit.endedBy === 'memory_limit')
    return {
      outcome: 'failed',
      failureClass: 'memory_limit',
      exitCode: exit.exitCode,
      message: 'The step used more memory than its limit',
    }
  if (exit.state === 'lost')
    return {
      outcome: 'lost',
      failureClass: 'lost',
      exitCode: undefined,
      message: 'Nobody can say how the attempt ended: the machine restarted',
    }
  if (exit.signal !== undefined)
    return {
      outcome: 'failed',
      failureClass: 'killed',
      exitCode: undefined,
      signal: exit.signal,
      message: `The step was ended by ${exit.signal}`,
    }
  if (exit.exitCode !== undefined && exit.exitCode > SIGNAL_BASE && exit.exitCode <= SIGNAL_BASE + SIGNAL_MAX) {
    const signal = signalName(exit.exitCode - SIGNAL_BASE)
    return {
      outcome: 'failed',
      failureClass: 'killed',
      exitCode: exit.exitCode,
      signal,
      message: `The step was ended by ${signal}`,
    }
  }
  if (exit.exitCode === 0) return { outcome: 'succeeded', failureClass: undefined, exitCode: 0 }
  return {
    outcome: 'failed',
    failureClass: 'user_error',
    exitCode: exit.exitCode,
    message: `The step ended with exit code ${exit.exitCode}`,
  }
}

/** One scheduler per control plane: plans queued runs, claims ready steps, starts them, and commits what they leave. */
export function openScheduler(ctx: Context, deps: SchedulerDeps): Scheduler {
  const owner = newId('scheduler', deps.clock)
  const running = new Map<bigint, Running>()
  const stop = new AbortController()
  const doorbell = openDoorbell(deps.clock, stop.signal)
  const python = async () => deps.python.interpreter()

  const follow = (step: ClaimedStep, work: (entry: Running) => Promise<void>) => {
    const entry: Running = { step, handle: undefined, isCancelled: false, done: Promise.resolve() }
    running.set(step.fence, entry)
    entry.done = work(entry)
      .catch((error: unknown) =>
        ctx.log.error(
          { error: String(error), stack: (error as Error).stack, run: step.run, step: step.key },
          'a step could not be followed',
        ),
      )
      .finally(() => {
        running.delete(step.fence)
        doorbell.ring()
      })
  }

  const turn = async (): Promise<boolean> => {
    const queued = await ctx.db
      .selectFrom('pipeline_run')
      .select(['id', 'project', 'pipeline_digest', 'params', 'options'])
      .where('state', '=', 'queued')
      .orderBy('created_at')
      .limit(QUEUED_PER_TURN)
      .execute()
    const planned = await Promise.allSettled(
      queued.map((run) => planRun(ctx.as({ project: run.project }), { ...deps, python }, run)),
    )
    for (const [index, outcome] of planned.entries()) {
      if (outcome.status === 'rejected')
        ctx.log.warn(
          { run: queued[index]!.id, error: String(outcome.reason) },
          'a run could not be planned now; it stays queued',
        )
    }
    const free = deps.slots - running.size
    const claimed = free > 0 ? await claimSteps(ctx, owner, free) : []
    for (const step of claimed) follow(step, (entry) => runStep(ctx.as({ project: step.project }), deps, python, entry))
    return planned.some((outcome) => outcome.status === 'fulfilled') || claimed.length > 0
  }

  const loop = async () => {
    while (!stop.signal.aborted) {
      try {
        if (!(await turn())) await doorbell.wait(IDLE_MS)
      } catch (thrown) {
        if (stop.signal.aborted) return
        ctx.log.error(
          { error: toPlimsollError(thrown).message, cause: String((thrown as Error).stack) },
          'the scheduler met a fault; it goes on',
        )
        await doorbell.wait(IDLE_MS)
      }
    }
  }

  const renew = async () => {
    while (!stop.signal.aborted) {
      await deps.clock.sleep(RENEW_MS, stop.signal).catch(() => {})
      if (stop.signal.aborted) return
      try {
        await adoptAttempts(ctx, deps, { owner, isOnlyExpired: true, isOurs: (fence) => running.has(fence) }, follow)
        const kept = await renewLeases(ctx, owner, [...running.keys()])
        for (const [fence, entry] of running) {
          if ((!kept.has(fence) || kept.get(fence)) && entry.handle !== undefined && !entry.isCancelled) {
            entry.isCancelled = true
            void deps.executor.cancel(entry.handle, deps.cancelGraceMs).catch(() => {})
          }
        }
        for (const entry of running.values()) await reportProgress(ctx, deps, entry.step)
      } catch (thrown) {
        if (!stop.signal.aborted)
          ctx.log.warn({ error: toPlimsollError(thrown).message }, 'leases could not be renewed')
      }
    }
  }

  // Attempts that an earlier incarnation left: this data directory has one scheduler, so they are ours now.
  const started = adoptAttempts(ctx, deps, { owner, isOnlyExpired: false, isOurs: () => false }, follow).then(() =>
    Promise.all([loop(), renew()]),
  )
  return {
    wake: doorbell.ring,
    async close() {
      stop.abort()
      await deps.executor.close()
      await Promise.race([started.catch(() => {}), deps.clock.sleep(2_000)])
    },
  }
}

/** Wakes the loop; a ring while it is busy is heard at its next wait. */
function openDoorbell(
  clock: LaunchDeps['clock'],
  signal: AbortSignal,
): { ring: () => void; wait: (ms: number) => Promise<void> } {
  let hasRung = false
  let wake: (() => void) | undefined
  return {
    ring: () => {
      hasRung = true
      wake?.()
    },
    wait: async (ms) => {
      const timer = new AbortController()
      if (!hasRung && !signal.aborted) {
        const rung = new Promise<void>((resolve) => {
          wake = resolve
        })
        await Promise.race([rung, clock.sleep(ms, AbortSignal.any([timer.signal, signal])).catch(() => {})])
      }
      wake = undefined
      hasRung = false
      timer.abort()
    },
  }
}

type Follow = (step: ClaimedStep, work: (entry: Running) => Promise<void>) => void

/** Follows attempts that nobody follows: those of an earlier incarnation at the start, later those whose lease has run out. */
async function adoptAttempts(
  ctx: Context,
  deps: SchedulerDeps,
  which: { owner: string; isOnlyExpired: boolean; isOurs: (fence: bigint) => boolean },
  follow: Follow,
): Promise<void> {
  for (const { handle: known, ...step } of await takeOver(ctx, which.owner, which.isOnlyExpired)) {
    if (which.isOurs(step.fence)) continue
    follow(step, async (entry) => {
      const own = ctx.as({ project: step.project })
      const workDir = workDirOf(deps.runsDir, step)
      const { timeoutMs, resources } = step.definition
      const submitted = {
        attempt: String(step.fence),
        workDir,
        timeoutMs,
        ...(resources.memoryBytes === undefined ? {} : { memoryBytes: resources.memoryBytes }),
      }
      const handle = known ?? (await deps.executor.find(submitted))?.handle
      const plan = await readPlan(deps, step)
      if (handle === undefined) {
        await commit(own, deps, step, endOf({ state: 'lost' }), plan, NO_OUTPUTS, undefined)
        return
      }
      entry.handle = handle
      ctx.log.info({ run: step.run, step: step.key }, 'a running step was adopted')
      await finish(own, deps, step, await deps.executor.wait(handle), plan)
    })
  }
}

async function readPlan(deps: SchedulerDeps, step: ClaimedStep): Promise<AttemptPlan | undefined> {
  const text = await readFile(join(workDirOf(deps.runsDir, step), 'plan.json'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as AttemptPlan) // written by prepareLaunch
}

async function runStep(
  ctx: Context,
  deps: SchedulerDeps,
  python: () => ReturnType<LaunchDeps['python']['interpreter']>,
  entry: Running,
): Promise<void> {
  const { step } = entry
  let plan: AttemptPlan | undefined
  try {
    const { prepared, inputs, adopted, claimed } = await resolveNow(ctx, deps, python, step)
    if (adopted) return
    const trackedRun = await ensureTrackedRun(ctx, claimed)
    const report = (message: string) => void setProgress(ctx, claimed, { fraction: 0, message }).catch(() => {})
    const launched = await prepareLaunch(ctx, deps, claimed, { prepared, inputs, trackedRun, report })
    plan = { prepared, inputs, trackedRun, outputs: launched.outputs }
    const needsProcess =
      deps.kinds.get(step.definition.kind)?.command !== undefined || !deps.kinds.has(step.definition.kind)
    if (!needsProcess) {
      await finish(ctx, deps, claimed, { state: 'exited', exitCode: 0 }, plan)
      return
    }
    const { handle } = await deps.executor.submit({
      attempt: String(step.fence),
      argv: launched.argv,
      environment: launched.environment,
      cwd: launched.cwd,
      workDir: launched.workDir,
      timeoutMs: step.definition.timeoutMs,
      ...(step.definition.resources.memoryBytes === undefined
        ? {}
        : { memoryBytes: step.definition.resources.memoryBytes }),
    })
    entry.handle = handle
    await markStarted(ctx, claimed, { handle, workDir: launched.workDir })
    await finish(ctx, deps, claimed, await deps.executor.wait(handle), plan)
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    ctx.log.warn({ run: step.run, step: step.key, code: error.code, reason: error.message }, 'a step could not run')
    const failureClass = error.code === 'disk.full' ? 'disk_full' : error.kind === 'internal' ? 'lost' : 'config'
    const message = `${error.message}${error.details.action ? `. ${error.details.action}` : ''}`
    await commit(
      ctx,
      deps,
      step,
      { outcome: 'failed', failureClass, exitCode: undefined, message },
      plan,
      NO_OUTPUTS,
      undefined,
    )
  }
}

/** Prepares a claimed step now that its inputs are known; takes it from the cache when it can be. */
async function resolveNow(
  ctx: Context,
  deps: SchedulerDeps,
  python: () => ReturnType<LaunchDeps['python']['interpreter']>,
  step: ClaimedStep,
) {
  const run = await ctx.db
    .selectFrom('pipeline_run')
    .select(['params', 'options'])
    .where('id', '=', step.run)
    .executeTakeFirstOrThrow()
  const pipeline = await requirePipelineVersion(ctx, step.pipelineDigest)
  const upstream = await upstreamOutputs(ctx, step)
  const inputs = stepInputs(step.definition, step.inputs ?? {}, (key) => upstream.get(key))
  const prepared = await prepareStep(
    ctx,
    { ...deps, python },
    step.definition,
    { params: run.params, bundles: pipeline.bundles },
    inputs,
  )
  if (step.verdict !== null) return { prepared, inputs, adopted: false, claimed: step }
  const isForced = forcedSteps(pipeline.definition.steps, run.options).has(step.key)
  const hit = await lookUp(ctx, deps, {
    pipeline: step.pipeline,
    step: step.key,
    components: prepared.components,
    isForced,
    isDisabled: !run.options.cache || !prepared.isCacheable,
  })
  const claimed: ClaimedStep = { ...step, verdict: hit.verdict }
  if (hit.outputs) {
    await adoptCached(ctx, {
      step: claimed,
      verdict: hit.verdict,
      outputs: hit.outputs,
      result: hit.result,
      spec: prepared.spec,
      inputs,
    })
    return { prepared, inputs, adopted: true, claimed }
  }
  await ctx.db
    .updateTable('step')
    .set({ cache_verdict: JSON.stringify(hit.verdict), cache_key: hit.verdict.key })
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .where('fence', '=', step.fence)
    .execute()
  return { prepared, inputs, adopted: false, claimed }
}

async function upstreamOutputs(ctx: Context, step: ClaimedStep): Promise<Map<string, NamedOutputs>> {
  const keys = Object.values(step.definition.inputs).flatMap((input) => (input.from === 'step' ? [input.step] : []))
  if (keys.length === 0) return new Map()
  const rows = await ctx.db
    .selectFrom('step')
    .select(['key', 'outputs'])
    .where('run', '=', step.run)
    .where('key', 'in', keys)
    .execute()
  return new Map(rows.map((row) => [row.key, row.outputs ?? {}]))
}

/** After the attempt's end: its outputs are stored first, then the fenced transaction names them. */
async function finish(
  ctx: Context,
  deps: SchedulerDeps,
  step: ClaimedStep,
  exit: StepExit,
  plan: AttemptPlan | undefined,
): Promise<void> {
  const workDir = workDirOf(deps.runsDir, step)
  let end: Parameters<typeof commit>[3] = endOf(exit)
  let collected = NO_OUTPUTS
  if (end.outcome === 'succeeded' && plan) {
    try {
      collected = await collectOutputs(deps.blobs, step.definition, plan.outputs, workDir)
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      end = {
        outcome: 'failed',
        failureClass:
          error.code === 'pipelines.output_missing'
            ? 'output_missing'
            : error.code === 'disk.full'
              ? 'disk_full'
              : 'lost',
        exitCode: exit.exitCode,
        message: error.message,
      }
    }
  } else if (end.outcome === 'succeeded')
    end = {
      outcome: 'lost',
      failureClass: 'lost',
      exitCode: exit.exitCode,
      message: 'The files of the attempt are gone',
    }
  if (end.outcome === 'failed' && end.failureClass === 'user_error')
    end = { ...end, message: `${end.message}${await lastLines(join(workDir, 'log'))}` }
  await commit(ctx, deps, step, end, plan, collected, exit.usage as Json | undefined)
}

async function commit(
  ctx: Context,
  deps: SchedulerDeps,
  step: ClaimedStep,
  end: AttemptEnd & { signal?: string; message?: string },
  plan: AttemptPlan | undefined,
  collected: CollectedOutputs,
  usage: Json | undefined,
): Promise<void> {
  const log = await shipLog(deps, join(workDirOf(deps.runsDir, step), 'log'))
  const done = {
    step,
    end,
    usage,
    log,
    ...collected,
    components: plan?.prepared.components,
    isCacheable: plan?.prepared.isCacheable ?? false,
    kind: deps.kinds.get(step.definition.kind),
    spec: plan?.prepared.spec ?? null,
    inputs: plan?.inputs ?? {},
    trackedRun: plan?.trackedRun ?? null,
  }
  try {
    if (!(await finishAttempt(ctx, done)))
      ctx.log.info({ run: step.run, step: step.key }, 'an attempt had lost its fence; its outputs are not used')
  } catch (thrown) {
    // The kind's own commit refused what the step left: the attempt fails with that reason.
    const error = toPlimsollError(thrown)
    if (end.outcome !== 'succeeded' || error.kind === 'unavailable') throw thrown
    ctx.log.warn(
      { run: step.run, step: step.key, code: error.code, reason: error.message, cause: String(error.cause) },
      'a step could not be committed',
    )
    await finishAttempt(ctx, {
      ...done,
      ...NO_OUTPUTS,
      end: { outcome: 'failed', failureClass: 'config', exitCode: end.exitCode, message: error.message },
    })
  }
}

async function lastLines(path: string): Promise<string> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      const { buffer, bytesRead } = await file.read({
        buffer: Buffer.alloc(MESSAGE_TAIL_BYTES),
        position: Math.max(0, size - MESSAGE_TAIL_BYTES),
      })
      const lines = buffer.subarray(0, bytesRead).toString('utf8').trim().split('\n').slice(-5)
      return lines[0] ? `:\n${lines.join('\n')}` : ''
    } finally {
      await file.close()
    }
  } catch {
    return ''
  }
}

/** Stores the log; of one beyond the bound, the first MiB and the tail, saying how much fell out. */
async function shipLog(deps: SchedulerDeps, path: string): Promise<{ digest: string; sizeBytes: number } | undefined> {
  const size = (await stat(path).catch(() => undefined))?.size
  if (size === undefined || size === 0) return undefined
  if (size <= LOG_BYTES_MAX) return deps.blobs.put(createReadStream(path))
  const cut = async function* () {
    yield* createReadStream(path, { end: LOG_HEAD_BYTES - 1 })
    yield Buffer.from(`\n… ${size - LOG_BYTES_MAX} bytes left out …\n`)
    yield* createReadStream(path, { start: size - (LOG_BYTES_MAX - LOG_HEAD_BYTES) })
  }
  return deps.blobs.put(cut())
}

async function setProgress(
  ctx: Context,
  step: ClaimedStep,
  progress: { fraction: number; message: string },
): Promise<void> {
  await ctx.db
    .updateTable('step')
    .set({ progress: JSON.stringify(progress) })
    .where('run', '=', step.run)
    .where('key', '=', step.key)
    .where('fence', '=', step.fence)
    .execute()
}

/** The newest progress line that the step left in its events file. */
async function reportProgress(ctx: Context, deps: SchedulerDeps, step: ClaimedStep): Promise<void> {
  const text = await readFile(join(workDirOf(deps.runsDir, step), 'events'), 'utf8').catch(() => '')
  for (const line of text.slice(-16_384).split('\n').reverse()) {
    try {
      const event = JSON.parse(line) as { t?: unknown; fraction?: unknown; message?: unknown } // checked below
      if (event.t !== 'progress' || typeof event.fraction !== 'number') continue
      await setProgress(ctx, step, {
        fraction: Math.min(1, Math.max(0, event.fraction)),
        message: String(event.message ?? '').slice(0, 300),
      })
      return
    } catch {
      // A torn or foreign line.
    }
  }
}
