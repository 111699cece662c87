import type { Config } from '../kernel/config/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import { type Consumer, type Dispatcher, openDispatcher } from '../kernel/events/index.ts'
import { declareSchedule, type JobHandler, openJobRunner, type Schedule } from '../kernel/jobs/index.ts'
import { openJournal, openSealer, type Sealer } from '../kernel/ledger/index.ts'

/** Consumers of events and handlers of jobs, of all domains. */
export interface BackgroundParts {
  readonly consumers: readonly Consumer[]
  readonly handlers: readonly JobHandler[]
  readonly schedules: readonly Schedule[]
  readonly journalPath: string
}

export interface Background {
  /** Something was written that may be dispatched. */
  wake(): void
  close(): Promise<void>
}

interface Sealing {
  sealer: Sealer
  close(): Promise<void>
}

/** A damaged journal must not stop the house: nothing is added to it, and `audit verify` names the damage. */
async function openSealing(ctx: Context, path: string, everyMs: number): Promise<Sealing | undefined> {
  try {
    const journal = await openJournal(path)
    const sealer = openSealer(ctx, journal, { everyMs })
    return {
      sealer,
      async close() {
        await sealer.close()
        await journal[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    ctx.log.error({ fault: toPlimsollError(error).message }, 'the ledger is not sealed: see plimsoll audit verify')
    return undefined
  }
}

/** What runs beside the requests: the dispatcher of events, the runner of jobs, the sealer of the ledger. */
export async function openBackground(ctx: Context, config: Config, parts: BackgroundParts): Promise<Background> {
  await ctx.transaction(async (tx) => {
    for (const schedule of parts.schedules) await declareSchedule(tx, schedule)
  })
  const dispatcher: Dispatcher = await openDispatcher(ctx, parts.consumers, { pollMs: config.jobs.pollMs })
  const runner = openJobRunner(ctx, parts.handlers, {
    concurrency: config.jobs.concurrency,
    pollMs: config.jobs.pollMs,
  })
  const sealing = await openSealing(ctx, parts.journalPath, config.jobs.sealMs)
  return {
    wake: () => dispatcher.wake(),
    async close() {
      await sealing?.close()
      await runner.close(config.server.drainMs)
      await dispatcher.close()
    },
  }
}
