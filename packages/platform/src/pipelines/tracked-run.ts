import { createHash } from 'node:crypto'
import type { Context } from '../kernel/db/index.ts'
import { startTrackedRun } from '../tracking/index.ts'
import { AD_HOC } from './store.ts'

const ID_DIGITS = 32

/** The id of a step's tracked run, which its program is told before the run is there; kept over retries. */
export function trackedRunOf({ run, key }: { readonly run: string; readonly key: string }): string {
  return createHash('sha256').update(`${run} ${key}`).digest('hex').slice(0, ID_DIGITS)
}

/**
 * The tracked run of the step whose attempt goes on: made when its program first asks for something, since most steps track
 * nothing. Undefined when the attempt has ended meanwhile.
 * @throws precondition tracking.experiment_deleted
 */
export async function ensureTrackedRunOf(
  ctx: Context,
  attempt: { readonly project: string; readonly run: string; readonly key: string; readonly fence: bigint },
): Promise<string | undefined> {
  const { run, key, fence } = attempt
  const id = trackedRunOf(attempt)
  return ctx.as({ project: attempt.project }).transaction(async (tx) => {
    // Its lock makes a second first request wait.
    const step = await tx.db
      .selectFrom('step')
      .select(['started_at', 'tracked_run'])
      .where('run', '=', run)
      .where('key', '=', key)
      .where('fence', '=', fence)
      .where('state', '=', 'running')
      .forUpdate()
      .executeTakeFirst()
    if (!step) return undefined
    if (step.tracked_run !== null) return step.tracked_run
    const { pipeline, pipeline_digest } = await tx.db
      .selectFrom('pipeline_run')
      .select(['pipeline', 'pipeline_digest'])
      .where('id', '=', run)
      .executeTakeFirstOrThrow()
    await startTrackedRun(tx, {
      id,
      experiment: pipeline ?? AD_HOC,
      name: key,
      startMs: BigInt(step.started_at!.getTime()), // it runs
      tags: new Map([
        ['plimsoll.run', run],
        ['plimsoll.step', key],
        ['plimsoll.pipeline', pipeline_digest],
      ]),
    })
    await tx.db.updateTable('step').set({ tracked_run: id }).where('run', '=', run).where('key', '=', key).execute()
    return id
  })
}
