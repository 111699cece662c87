import type { BlobStore, OnlineStore } from '@plimsoll/sdk/seams'
import { boundGenerations } from '../delivery/index.ts'
import { dropGenerations } from '../features/index.ts'
import { pruneTokens } from '../kernel/auth/index.ts'
import { collectBlobs } from '../kernel/blob/index.ts'
import type { Config } from '../kernel/config/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { pruneEvents } from '../kernel/events/index.ts'
import { type JobCall, type JobHandler, pruneJobs, type Schedule } from '../kernel/jobs/index.ts'
import { forgetOutcomes, forgetWindows } from '../monitoring/index.ts'
import { forgetCacheEntries, forgetRuns, removeWorkDirectories } from '../pipelines/index.ts'
import { runsOfVersions } from '../registry/index.ts'
import { forgetPredictions } from '../serving/index.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const ROUNDS_MAX = 1_000

export interface RetentionParts {
  readonly settings: Config['retention']
  readonly blobs: BlobStore
  readonly runsDir: string
  readonly onlineStore: () => Promise<OnlineStore>
}

export interface Retention {
  readonly handlers: readonly JobHandler[]
  readonly schedules: readonly Schedule[]
}

type Rule = (call: JobCall) => Promise<void>

/** Repeats a bounded removal until it finds nothing more. */
async function repeat(call: JobCall, remove: (ctx: Context) => Promise<number>): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX && (await remove(call.ctx)) > 0; round++) call.signal.throwIfAborted()
}

/**
 * What lets go of rows by their class, and then of bytes that no row pins. Each rule is a job of its own, so that one
 * which fails is seen by its name and holds up no other.
 */
export function openRetention({ settings, blobs, runsDir, onlineStore }: RetentionParts): Retention {
  const rules: Record<string, { everyMs: number; run: Rule }> = {
    'kernel.retention': {
      everyMs: HOUR_MS,
      run: async (call) => {
        await repeat(call, (ctx) => pruneEvents(ctx, settings.eventDays * DAY_MS))
        await repeat(call, (ctx) => pruneJobs(ctx, settings.jobDays * DAY_MS))
        await pruneTokens(call.ctx, settings.tokenDays * DAY_MS)
      },
    },
    'pipelines.retention': {
      everyMs: HOUR_MS,
      run: async (call) => {
        const { ctx, signal } = call
        await repeat(call, (inside) => forgetCacheEntries(inside, settings.cacheDays * DAY_MS))
        await forgetRuns(ctx, { ageMs: settings.runDays * DAY_MS, isHeld: runsOfVersions, signal })
        await removeWorkDirectories(ctx, runsDir, settings.workDirectoryDays * DAY_MS)
      },
    },
    'predictions.retention': {
      everyMs: HOUR_MS,
      run: async (call) => {
        await repeat(call, (ctx) => forgetPredictions(ctx, settings.predictionDays * DAY_MS))
        await forgetOutcomes(call.ctx, settings.predictionDays * DAY_MS)
        await repeat(call, (ctx) => forgetWindows(ctx, settings.predictionDays * DAY_MS))
      },
    },
    'features.retention': {
      everyMs: HOUR_MS,
      run: async ({ ctx, signal }) => {
        const graceMs = settings.generationDays * DAY_MS
        const store = await onlineStore()
        try {
          const bound = (inside: Context) => boundGenerations(inside, graceMs)
          const generations = await dropGenerations(ctx, store, { graceMs, bound, signal })
          if (generations.length > 0)
            ctx.log.info({ generations }, 'online generations that nothing needs were dropped')
        } finally {
          await store.close()
        }
      },
    },
    'blobs.collect': {
      everyMs: settings.collectHours * HOUR_MS,
      run: async ({ ctx, signal }) => {
        const collected = await collectBlobs(ctx, blobs, { graceMs: settings.blobGraceHours * HOUR_MS, signal })
        ctx.log.info({ ...collected }, 'blobs that nothing pins were collected')
      },
    },
  }
  return {
    handlers: Object.entries(rules).map(([kind, { run }]) => ({
      kind,
      run: async (call) => {
        await run(call)
        return undefined
      },
    })),
    schedules: Object.entries(rules).map(([kind, { everyMs }]) => ({ name: kind, kind, everyMs })),
  }
}
