import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { type PipelineStep, pipelineDefinition, pipelineStep } from '@plimsoll/sdk/wire'
import { MIGRATIONS } from '../packages/platform/migrations/all.ts'
import { openFilesBlobStore } from '../packages/platform/src/adapters/files/index.ts'
import { openLocalProcessExecutor } from '../packages/platform/src/adapters/local-process/step-executor.ts'
import { openPglite } from '../packages/platform/src/adapters/pglite/backend.ts'
import { startCluster } from '../packages/platform/src/adapters/postgres/cluster.fixture.ts'
import { openPostgres } from '../packages/platform/src/adapters/postgres/index.ts'
import { realClock } from '../packages/platform/src/kernel/clock.ts'
import type { SqlBackend } from '../packages/platform/src/kernel/db/backend.ts'
import { migrate, openContext, openDatabase } from '../packages/platform/src/kernel/db/index.ts'
import { silentLog } from '../packages/platform/src/kernel/log.ts'
import { openSecrets } from '../packages/platform/src/kernel/secrets.ts'
import {
  declarePipeline,
  openAttemptTokens,
  openPythonEnvironments,
  openScheduler,
  openStepSecrets,
  requirePipeline,
  startRun,
} from '../packages/platform/src/pipelines/index.ts'
import { makeScratch } from '../scripts/scratch.mjs'
import { findServer } from '../tests/find-server.ts'
import { childCpuMs } from './_cpu.ts'
import { isSmall, median, noteFigure } from './_figure.ts'
import { type FloorSpent, openSpawnFloor } from './_spawn-floor.ts'

/** Programs that steps run: nothing, so that what is left is the engine. */
const PROGRAM = '/bin/true'
/** Steps at once. */
const SLOTS = Math.max(2, availableParallelism())

export function noopStep(key: string, after: readonly string[]): PipelineStep {
  return pipelineStep.parse({ key, kind: 'command', params: { argv: [PROGRAM, key] }, after: [...after] })
}

interface Spent {
  wallMs: number
  /** Of this process with all its threads, the embedded database among them. */
  cpuMs: number
  /** Of the helper that starts processes. */
  helperMs: number
  /** Of a database that is a server beside us. */
  serverMs: number
}

const GOAL_MS = 3
/** Runs before the measured ones: a control plane lives long, and V8 compiles the database's code in its first minute. */
const WARM_UPS = isSmall ? 0 : 4
/** Figures are medians of so many, each beside a floor of its own: a machine's speed changes within minutes. */
const ROUNDS = isSmall ? 1 : 7

const helpersMs = () => childCpuMs(process.pid, 'spawn-host')
const serversMs = () => childCpuMs(process.pid, 'postgres')

/** What a piece of work takes; the steps themselves are not in it. */
async function spent(work: () => Promise<void>): Promise<Spent> {
  const [startedMs, before, helperMs, serverMs] = [
    realClock.monotonicMs(),
    process.cpuUsage(),
    helpersMs(),
    serversMs(),
  ]
  await work()
  const { user, system } = process.cpuUsage(before)
  return {
    wallMs: realClock.monotonicMs() - startedMs,
    cpuMs: (user + system) / 1_000,
    helperMs: helpersMs() - helperMs,
    serverMs: serversMs() - serverMs,
  }
}

interface Round {
  readonly engine: Spent
  readonly floor: FloorSpent
}

interface Measured {
  readonly rounds: readonly Round[]
  /** Of a whole run that the cache answers. */
  readonly cachedWallMs: number
}

async function engineCost(
  backend: SqlBackend,
  directory: string,
  steps: readonly PipelineStep[],
  floorOf: () => Promise<FloorSpent>,
): Promise<Measured> {
  const db = openDatabase(backend)
  await migrate(db, backend, MIGRATIONS)
  const blobs = await openFilesBlobStore(join(directory, 'blobs'))
  let onEnd = () => {}
  const ctx = openContext({ db, backend, clock: realClock, log: silentLog, onEvents: () => onEnd() })
  const { tokenOf } = openAttemptTokens(ctx, 'secret')
  const scheduler = openScheduler(ctx, {
    blobs,
    kinds: new Map(),
    executor: openLocalProcessExecutor(),
    python: openPythonEnvironments(join(directory, 'environments'), {}, realClock),
    clock: realClock,
    runsDir: join(directory, 'runs'),
    limits: { logBytes: 64 << 20, outputBytes: 1 << 30 },
    node: process.execPath,
    launcher: '',
    pythonPath: '',
    environment: { PATH: '/usr/bin:/bin' },
    controlUrl: () => 'http://127.0.0.1:1',
    tokenOf,
    secrets: openStepSecrets(
      openSecrets(
        async () => [],
        () => '',
      ),
      { secret: 'secret', runsDir: join(directory, 'runs'), tokenOf, clock: realClock },
    ),
    slots: SLOTS,
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
    const rounds: Round[] = []
    for (let round = 0; round < ROUNDS; round++)
      rounds.push({ floor: await floorOf(), engine: await spent(() => once(false)) })
    await once(true)
    const cached = await spent(() => once(true))
    return { rounds, cachedWallMs: cached.wallMs }
  } finally {
    await scheduler.close()
    await db.destroy()
  }
}

interface Place {
  readonly name: string
  /** What of the figure is not the control plane's own. */
  readonly note: string
  open(directory: string): Promise<{ backend: SqlBackend; close(): Promise<void> }>
}

const EMBEDDED: Place = {
  name: 'embedded database',
  note: 'the database among it',
  open: async (directory) => ({ backend: await openPglite(join(directory, 'database')), close: async () => {} }),
}

function postgresAt(initdb: string): Place {
  return {
    name: 'PostgreSQL',
    note: 'the database beside it',
    open: async () => {
      const cluster = await startCluster(initdb)
      return { backend: await openPostgres({ url: await cluster.createDatabase() }), close: () => cluster.close() }
    },
  }
}

async function benchAt(
  place: Place,
  name: string,
  steps: readonly PipelineStep[],
  floorOf: () => Promise<FloorSpent>,
): Promise<void> {
  const directory = makeScratch()
  const { backend, close } = await place.open(directory)
  try {
    const { rounds, cachedWallMs } = await engineCost(backend, directory, steps, floorOf)
    const middle = (of: (round: Round) => number) => median(rounds.map(of))
    const perStep = (of: (round: Round) => number) => (middle(of) / steps.length).toFixed(2)
    const all = rounds.map(({ engine }) => engine.cpuMs / steps.length)
    const server = perStep(({ engine }) => engine.serverMs)
    process.stdout.write(
      [
        `${name}: ${steps.length} steps of ${PROGRAM}, ${SLOTS} at once, ${place.name}, in ${dirname(directory)}, medians of ${ROUNDS}`,
        `  control plane   ${perStep(({ engine }) => engine.cpuMs)} ms CPU per step, ${place.note} (goal ${GOAL_MS}; ${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}), ${perStep(({ engine }) => engine.wallMs)} ms wall`,
        `  its spawn host  ${perStep(({ engine }) => engine.helperMs)} ms CPU per step, beside that`,
        ...(server === '0.00' ? [] : [`  database server ${server} ms CPU per step, beside that`]),
        `  spawn alone     ${perStep(({ floor }) => floor.cpuMs)} ms CPU per step, ${perStep(({ floor }) => floor.wallMs)} ms wall, measured before each round`,
        `  ratio           ${middle(({ engine, floor }) => engine.cpuMs / floor.cpuMs).toFixed(2)} × CPU, ${middle(({ engine, floor }) => (engine.cpuMs + engine.helperMs) / floor.cpuMs).toFixed(2)} × with the spawn host`,
        `  again, cached   ${cachedWallMs.toFixed(0)} ms wall for the whole run`,
        '',
      ].join('\n'),
    )
    noteFigure({
      claim: `${name} of ${steps.length} steps, control plane, ${place.name}`,
      unit: 'ms CPU per step',
      figure: middle(({ engine }) => engine.cpuMs) / steps.length,
      goal: GOAL_MS,
      peer: 'processes alone',
      peerFigure: middle(({ floor }) => floor.cpuMs) / steps.length,
    })
  } finally {
    await close()
    await rm(directory, { recursive: true, force: true })
  }
}

/**
 * Runs a graph of no-op steps and prints what the control plane spent per step, beside the bare cost of the processes: on
 * the embedded database, and on PostgreSQL where it is installed.
 */
export async function benchSteps(name: string, steps: readonly PipelineStep[]): Promise<void> {
  const initdb = isSmall ? undefined : findServer('postgres')
  const floor = openSpawnFloor()
  const floorOf = () => floor.measure({ program: PROGRAM, count: steps.length, slots: SLOTS })
  try {
    for (const place of [EMBEDDED, ...(initdb === undefined ? [] : [postgresAt(initdb)])])
      await benchAt(place, name, steps, floorOf)
  } finally {
    floor.close()
  }
  if (initdb === undefined)
    process.stdout.write(`${name}: PostgreSQL left out, ${isSmall ? 'as in every small run' : 'it is not installed'}\n`)
}
