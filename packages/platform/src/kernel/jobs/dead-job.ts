import { type SqlBool, sql } from 'kysely'
import { type Context, databaseClock, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import './tables.ts'

/** A job that used up its attempts. */
export interface DeadJob {
  id: string
  kind: string
  dedupeKey: string | null
  attempts: number
  error: string | null
  deadAt: Date
  /** Dead jobs of the project. */
  total: bigint
}

/** Dead jobs of the project, newest first. */
export async function listDeadJobs(ctx: Context, limit: number): Promise<DeadJob[]> {
  const rows = await ctx.db
    .selectFrom('job')
    .select(['id', 'kind', 'dedupe_key as dedupeKey', 'attempts', 'error', 'finished_at'])
    .select(({ fn }) => fn.countAll<bigint>().over().as('total'))
    // A literal: a plan that is kept for all values cannot tell that a bound one fits the partial index.
    .where(sql<SqlBool>`state = 'dead'`)
    .where('project', '=', ctx.project)
    .orderBy('finished_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(({ finished_at, ...row }) => ({ ...row, deadAt: finished_at! })) // set with the state
}

async function requireDead(tx: Tx, id: string, what: 'retry' | 'discard') {
  const job = await tx.db
    .selectFrom('job')
    .select(['kind', 'dedupe_key', 'state', 'attempts', 'error'])
    .where('id', '=', id)
    .where('project', '=', tx.project)
    .forUpdate()
    .executeTakeFirst()
  if (job === undefined) throw new PlimsollError('not_found', 'jobs.not_found', `There is no job ${id}`)
  if (job.state !== 'dead')
    throw new PlimsollError('precondition', 'jobs.not_dead', `Cannot ${what} job ${id}: it is ${job.state}`)
  return job
}

/**
 * A dead job starts anew.
 *
 * @throws not_found jobs.not_found · precondition jobs.not_dead · conflict jobs.already_open when another one of its kind and key is
 */
export async function retryDeadJob(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const { kind, dedupe_key, attempts, error } = await requireDead(tx, id, 'retry')
    const open = await tx.db
      .selectFrom('job')
      .select(['id', 'state'])
      .where('project', '=', tx.project)
      .where('kind', '=', kind)
      .where('dedupe_key', '=', dedupe_key) // nothing equals null
      .where('state', 'in', ['queued', 'leased'])
      .executeTakeFirst()
    if (open)
      throw new PlimsollError(
        'conflict',
        'jobs.already_open',
        `Cannot retry job ${id}: job ${open.id}, which does the same, is ${open.state}`,
        { action: `Discard this one: plimsoll dead-letter discard ${id}` },
      )
    await tx.db
      .updateTable('job')
      .set({ state: 'queued', attempts: 0, eligible_at: databaseClock(), finished_at: null, cancel_requested_at: null })
      .where('id', '=', id)
      .execute()
    await tx.audit({ action: 'jobs.retry', subject: id, data: { kind, attempts, error } })
  })
}

/** A dead job is removed. @throws not_found jobs.not_found · precondition jobs.not_dead */
export async function discardDeadJob(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const { kind, attempts, error } = await requireDead(tx, id, 'discard')
    await tx.db.deleteFrom('job').where('id', '=', id).execute()
    await tx.audit({ action: 'jobs.discard', subject: id, data: { kind, attempts, error } })
  })
}
