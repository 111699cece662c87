import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore, StepExecutor } from '@plimsoll/sdk/seams'
import {
  isTerminalRun,
  type PipelineDefinition,
  type PipelineStep,
  pipelineDefinition,
  pipelineStep,
  type RunOptions,
} from '@plimsoll/sdk/wire'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { openLocalProcessExecutor } from '../adapters/local-process/step-executor.ts'
import { openEnvironmentSecrets } from '../adapters/secret-environment/secret-provider.ts'
import type { Json } from '../kernel/canonical.ts'
import { realClock } from '../kernel/clock.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context, DatabaseClock } from '../kernel/db/index.ts'
import { openSecrets } from '../kernel/secrets.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import {
  openPythonEnvironments,
  openScheduler,
  openStepSecrets,
  readRun,
  type Scheduler,
  type SchedulerDeps,
  type StepSecrets,
  startRun,
} from './index.ts'
import { requirePipelineVersion, storePipelineVersion } from './pipeline.ts'
import type { Bundles, Origin } from './tables.ts'

export const RUN_OPTIONS: RunOptions = { cache: true, force: [], forceFrom: [] }

export function shell(key: string, script: string, more: Partial<PipelineStep> = {}): PipelineStep {
  return pipelineStep.parse({ key, kind: 'command', params: { argv: ['/bin/sh', '-c', script] }, ...more })
}

/** The path of an output, as a shell step may write it: it starts in its work directory. */
export function outPath(name: string): string {
  return `out/${name}`
}

/** As it looks; no server takes it. */
export function attemptTokenOf({ fence }: { fence: bigint | string }): string {
  return `plimstep_${fence}_${'t'.repeat(43)}`
}

export interface Engine {
  readonly database: TestDatabase
  readonly ctx: Context
  readonly blobs: BlobStore
  readonly directory: string
  readonly deps: SchedulerDeps
  scheduler: Scheduler
  /** Of this incarnation. */
  secrets: StepSecrets
  /** Closes the scheduler and opens the next incarnation. */
  restart(): Promise<void>
  declare(
    steps: readonly PipelineStep[],
    options?: { name?: string; params?: PipelineDefinition['params']; bundles?: Bundles; origin?: Origin },
  ): Promise<string>
  start(
    digest: string,
    options?: { params?: Record<string, Json>; options?: Partial<RunOptions>; idempotencyKey?: string },
  ): Promise<string>
  /** Resolves with the run once it has ended. */
  ended(run: string): ReturnType<typeof readRun>
  until(condition: () => Promise<boolean>): Promise<void>
  close(): Promise<void>
}

const POLL_MS = 15
const WAIT_MS_MAX = 40_000

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const startedMs = realClock.monotonicMs(); !(await condition()); ) {
    if (realClock.monotonicMs() - startedMs > WAIT_MS_MAX) throw new Error('The condition did not come about')
    await realClock.sleep(POLL_MS)
  }
}

export async function openEngine(
  options: {
    slots?: number
    kinds?: readonly StepKind[]
    executor?: () => StepExecutor
    databaseClock?: DatabaseClock
    /** Where Python is looked for. */
    pythonFrom?: string
    /** Variables of the platform that hold secrets, as they are when they are read. */
    secretVariables?: Readonly<Record<string, string | undefined>>
  } = {},
): Promise<Engine> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-engine-'))
  const blobs = await openFilesBlobStore(join(directory, 'blobs'))
  const database = await openTestDatabase()
  const { ctx } = database
  const kinds = new Map((options.kinds ?? []).map((kind) => [kind.kind, kind]))
  const openExecutor = options.executor ?? (() => openLocalProcessExecutor())
  const secrets = openSecrets(
    async () => [openEnvironmentSecrets(options.secretVariables ?? {})],
    ({ name }) => `Set ${name}`,
  )
  const deps = (): SchedulerDeps => ({
    blobs,
    kinds,
    executor: openExecutor(),
    python: openPythonEnvironments(
      join(directory, 'environments'),
      { PATH: [...(options.pythonFrom ? [options.pythonFrom] : []), '/usr/bin:/bin'].join(':') },
      realClock,
    ),
    clock: realClock,
    runsDir: join(directory, 'runs'),
    limits: { logBytes: 64 << 10, outputBytes: 1 << 20 },
    node: process.execPath,
    launcher: '/nonexistent',
    pythonPath: '/nonexistent',
    environment: { PATH: '/usr/bin:/bin' },
    controlUrl: () => 'http://127.0.0.1:1',
    tokenOf: attemptTokenOf,
    secrets: openStepSecrets(secrets, {
      secret: 'of these tests',
      runsDir: join(directory, 'runs'),
      tokenOf: attemptTokenOf,
      clock: realClock,
    }),
    slots: options.slots ?? 4,
    cancelGraceMs: 500,
    ...(options.databaseClock ? { databaseClock: options.databaseClock } : {}),
  })
  const first = deps()
  const engine: Engine = {
    database,
    ctx,
    blobs,
    directory,
    deps: first,
    scheduler: openScheduler(ctx, first),
    secrets: first.secrets,
    restart: async () => {
      await engine.scheduler.close()
      const next = deps()
      engine.secrets = next.secrets
      engine.scheduler = openScheduler(ctx, next)
    },
    declare: (steps, more = {}) => {
      const definition = pipelineDefinition.parse({
        kind: 'pipeline',
        name: more.name ?? 'test',
        params: more.params ?? {},
        steps,
      })
      return ctx.transaction((tx) =>
        storePipelineVersion(tx, definition, {
          bundles: more.bundles ?? {},
          origin: more.origin ?? { source: 'test', commit: null, isDirty: false },
          kinds,
          blobs,
        }),
      )
    },
    start: async (digest, more = {}) => {
      const pipeline = await requirePipelineVersion(ctx, digest)
      const { id } = await ctx.transaction((tx) =>
        startRun(tx, {
          pipeline,
          params: more.params ?? {},
          options: { ...RUN_OPTIONS, ...more.options },
          idempotencyKey: more.idempotencyKey,
        }),
      )
      engine.scheduler.wake()
      return id
    },
    ended: async (run) => {
      await until(async () => {
        const row = await ctx.db
          .selectFrom('pipeline_run')
          .select('state')
          .where('id', '=', run)
          .executeTakeFirstOrThrow()
        return isTerminalRun(row.state)
      })
      return readRun(ctx, run)
    },
    until,
    close: async () => {
      await engine.scheduler.close()
      await database.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  return engine
}
