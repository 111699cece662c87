import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PipelineStep, pipelineDefinition, pipelineStep } from '@plimsoll/sdk/wire'
import { MIGRATIONS } from '../packages/platform/migrations/all.ts'
import { openFilesBlobStore } from '../packages/platform/src/adapters/files/index.ts'
import { openLocalProcessExecutor } from '../packages/platform/src/adapters/local-process/step-executor.ts'
import { openPglite } from '../packages/platform/src/adapters/pglite/backend.ts'
import { realClock } from '../packages/platform/src/kernel/clock.ts'
import { migrate, openContext, openDatabase } from '../packages/platform/src/kernel/db/index.ts'
import { silentLog } from '../packages/platform/src/kernel/log.ts'
import {
  declarePipeline,
  openAttemptTokens,
  openPythonEnvironments,
  openScheduler,
  requirePipeline,
  startRun,
} from '../packages/platform/src/pipelines/index.ts'
import { noteFigure } from './_figure.ts'

/** Programs that steps run: nothing, so that what is left is the engine. */
const PROGRAM = '/bin/true'

export function noopStep(key: string, after: readonly string[]): PipelineStep {
  return pipelineStep.parse({ key, kind: 'command', params: { argv: [PROGRAM, key] }, after: [...after] })
}

interface Spent {
  wallMs: number
  /** Of this process with all its threads, the database among them. */
  cpuMs: number
  /** Of the helper that starts processes. */
  helperMs: number
}

const GOAL_MS = 3
/** Runs before the measured one: a control plane lives long, and V8 compiles the database's code in its first minute. */
const WARM_UPS = 4

const TICK_MS = 10

/** Processor time of helpers of ours: children of this process that are node, without their own children. */
function helperCpuMs(): number {
  const mine = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
        const isOurs =
          Number(fields[1]) === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('spawn-host')
        return isOurs ? [(Number(fields[11]) + Number(fields[12])) * TICK_MS] : []
      } catch {
        return []
      }
    })
  return mine.reduce((sum, ms) => sum + ms, 0)
}

/** What a piece of work takes; the steps themselves are not in it. */
async function spent(work: () => Promise<void>): Promise<Spent> {
  const [startedMs, before, helpersMs] = [realClock.monotonicMs(), process.cpuUsage(), helperCpuMs()]
  await work()
  const { user, system } = process.cpuUsage(before)
  return {
    wallMs: realClock.monotonicMs() - startedMs,
    cpuMs: (user + system) / 1_000,
    helperMs: helperCpuMs() - helpersMs,
  }
}

/** What the same programs cost when nobody keeps a record: one process each, its output in a file, `slots` at once. */
async function spawnFloor(directory: string, count: number, slots: number): Promise<Spent> {
  const one = (index: number) =>
    new Promise<void>((resolve, reject) => {
      const log = openSync(join(directory, `log-${index}`), 'a')
      const child = spawn(PROGRAM, { detached: true, stdio: ['ignore', log, log] })
      closeSync(log)
      child.once('error', reject)
      child.once('exit', () => resolve())
    })
  let next = 0
  const lane = async () => {
    while (next < count) await one(next++)
  }
  return spent(async () => {
    await Promise.all(Array.from({ length: slots }, lane))
  })
}

async function engineCost(
  directory: string,
  steps: readonly PipelineStep[],
  slots: number,
): Promise<Spent & { cachedWallMs: number }> {
  const backend = await openPglite(join(directory, 'database'))
  const db = openDatabase(backend)
  await migrate(db, backend, MIGRATIONS)
  const blobs = await openFilesBlobStore(join(directory, 'blobs'))
  let onEnd = () => {}
  const ctx = openContext({ db, backend, clock: realClock, log: silentLog, onEvents: () => onEnd() })
  const scheduler = openScheduler(ctx, {
    blobs,
    kinds: new Map(),
    executor: openLocalProcessExecutor(),
    python: openPythonEnvironments(join(directory, 'environments'), {}, realClock),
    clock: realClock,
    runsDir: join(directory, 'runs'),
    node: process.execPath,
    launcher: '',
    pythonPath: '',
    environment: { PATH: '/usr/bin:/bin' },
    controlUrl: () => 'http://127.0.0.1:1',
    tokenOf: openAttemptTokens(ctx, 'secret').tokenOf,
    slots,
    cancelGraceMs: 1_000,
  })
  const definition = pipelineDefinition.parse({ kind: 'pipeline', name: 'bench', steps })
  await ctx.transaction((tx) =>
    declarePipeline(tx, definition, {
      bundles: {},
      origin: { source: 'bench', commit: null, isDirty: false },
      kinds: new Map(),
      blobs,
    }),
  )
  const once = async (cache: boolean) => {
    const { promise, resolve } = Promise.withResolvers<{ state: string }>()
    const pipeline = await requirePipeline(ctx, 'bench')
    const { id } = await ctx.transaction((tx) =>
      startRun(tx, { pipeline, params: {}, options: { cache, force: [], forceFrom: [] } }),
    )
    onEnd = () => {
      void ctx.db
        .selectFrom('pipeline_run')
        .select('state')
        .where('id', '=', id)
        .where('finished_at', 'is not', null)
        .executeTakeFirst()
        .then((run) => run && resolve(run))
    }
    scheduler.wake()
    const { state } = await promise
    if (state !== 'succeeded') throw new Error(`The run ended as ${state}: nothing was measured`)
  }
  try {
    for (let round = 0; round < WARM_UPS; round++) await once(false)
    const cold = await spent(() => once(true))
    const cached = await spent(() => once(true))
    return { ...cold, cachedWallMs: cached.wallMs }
  } finally {
    await scheduler.close()
    await db.destroy()
  }
}

/** Runs a graph of no-op steps and prints what the control plane spent per step, beside the bare cost of the processes. */
export async function benchSteps(name: string, steps: readonly PipelineStep[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-bench-'))
  const slots = Math.max(2, availableParallelism())
  try {
    const floor = await spawnFloor(directory, steps.length, slots)
    const engine = await engineCost(directory, steps, slots)
    const perStep = (ms: number) => (ms / steps.length).toFixed(2)
    process.stdout.write(
      [
        `${name}: ${steps.length} steps of ${PROGRAM}, ${slots} at once, embedded database on disk`,
        `  control plane   ${perStep(engine.cpuMs)} ms CPU per step (goal ${GOAL_MS}), ${perStep(engine.wallMs)} ms wall`,
        `  its spawn host  ${perStep(engine.helperMs)} ms CPU per step, beside that`,
        `  spawn alone     ${perStep(floor.cpuMs)} ms CPU per step, ${perStep(floor.wallMs)} ms wall`,
        `  ratio           ${((engine.cpuMs + engine.helperMs) / floor.cpuMs).toFixed(1)} × CPU, spawn host and all`,
        `  again, cached   ${engine.cachedWallMs.toFixed(0)} ms wall for the whole run`,
        '',
      ].join('\n'),
    )
    noteFigure({
      claim: `${name} of ${steps.length} steps, control plane`,
      unit: 'ms CPU per step',
      figure: engine.cpuMs / steps.length,
      goal: GOAL_MS,
      peer: 'processes alone',
      peerFigure: floor.cpuMs / steps.length,
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
