import { type SqlBool, sql } from 'kysely'
import { after, type Context, type DatabaseClock, type Tx } from '../db/index.ts'
import { PlimsollError, toPlimsollError } from '../errors.ts'
import { randomUnit } from '../ids.ts'
import { enqueue } from './job.ts'
import './tables.ts'

const BACKOFF_MS = 1_000
const BACKOFF_MS_MAX = 300_000
const BATCH = 100
const ERROR_CHARACTERS_MAX = 2_000

export interface LeasedJob {
  id: string
  project: string
  kind: string
  data: unknown
  attempt: number
  fence: bigint
}

export interface LeaseTerms {
  clock: DatabaseClock
  owner: string
  leaseMs: number
}

/** Pause before the next attempt: doubles, capped, and anywhere in its upper half so that failures do not march in step. */
function backoffMs(attempts: number): number {
  return Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(30, attempts - 1)) * (0.5 + randomUnit() / 2)
}

/** Leases up to `limit` eligible jobs. A fence is larger than every earlier one. */
export async function claimJobs(
  ctx: Context,
  terms: LeaseTerms,
  kinds: readonly string[],
  limit: number,
): Promise<LeasedJob[]> {
  if (kinds.length === 0 || limit <= 0) return []
  const claimed = await sql<LeasedJob>`
    with c as materialized (
      select id from job where state = 'queued' and eligible_at <= ${terms.clock()} and kind in (${sql.join(kinds)})
      order by eligible_at, id limit ${limit} for update skip locked
    )
    update job set state = 'leased', fence = nextval('job_fence'), attempts = attempts + 1, lease_owner = ${terms.owner},
      lease_expires_at = ${after(terms.clock(), terms.leaseMs)}
    from c where job.id = c.id
    returning job.id, job.project, job.kind, job.data, job.attempts as attempt, job.fence
  `.execute(ctx.db)
  return claimed.rows
}

/** Prolongs leases; a fence that is not returned is lost. `isCancelling` is the channel of cancellation. */
export async function renewLeases(
  ctx: Context,
  terms: LeaseTerms,
  fences: readonly bigint[],
): Promise<Map<bigint, { isCancelling: boolean }>> {
  const renewed = await ctx.db
    .updateTable('job')
    .set({ lease_expires_at: after(terms.clock(), terms.leaseMs) })
    .where('lease_owner', '=', terms.owner)
    .where('fence', 'in', fences)
    .where('state', '=', 'leased')
    .returning(['fence', 'cancel_requested_at'])
    .execute()
  return new Map(renewed.map((row) => [row.fence!, { isCancelling: row.cancel_requested_at !== null }])) // selected by its fence
}

/** Ends a job in this transaction. @throws precondition jobs.fenced when the lease went to someone else */
export async function finishJob(tx: Tx, job: LeasedJob, terms: LeaseTerms, state: 'done' | 'cancelled'): Promise<void> {
  const finished = await tx.db
    .updateTable('job')
    .set({ state, finished_at: terms.clock(), lease_owner: null, lease_expires_at: null })
    .where('id', '=', job.id)
    .where('fence', '=', job.fence)
    .where('state', '=', 'leased')
    .executeTakeFirst()
  if (finished.numUpdatedRows === 0n) {
    throw new PlimsollError(
      'precondition',
      'jobs.fenced',
      `Cannot finish job ${job.id}: its lease has gone to another runner`,
    )
  }
}

/** After a failure: queued again with a pause, or dead when its attempts are used up. False when the lease was lost. */
export async function failJob(ctx: Context, job: LeasedJob, terms: LeaseTerms, error: unknown): Promise<boolean> {
  const { code, message } = toPlimsollError(error)
  const result = await ctx.db
    .updateTable('job')
    .set({
      state: sql<'dead' | 'queued'>`case when attempts >= attempts_max then 'dead' else 'queued' end`,
      finished_at: sql<Date | null>`case when attempts >= attempts_max then ${terms.clock()} end`,
      eligible_at: after(terms.clock(), backoffMs(job.attempt)),
      error: `${code}: ${message}`.slice(0, ERROR_CHARACTERS_MAX),
      lease_owner: null,
      lease_expires_at: null,
    })
    .where('id', '=', job.id)
    .where('fence', '=', job.fence)
    .where('state', '=', 'leased')
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Gives a lease back unused: the attempt does not count. */
export async function returnJob(ctx: Context, job: LeasedJob, terms: LeaseTerms): Promise<void> {
  await ctx.db
    .updateTable('job')
    .set((eb) => ({
      state: 'queued' as const,
      attempts: eb('attempts', '-', 1),
      eligible_at: terms.clock(),
      lease_owner: null,
      lease_expires_at: null,
    }))
    .where('id', '=', job.id)
    .where('fence', '=', job.fence)
    .where('state', '=', 'leased')
    .execute()
}

/** Takes back leases that have run out: cancelled, dead, or queued again with a pause. Returns how many. */
export async function reapJobs(ctx: Context, clock: DatabaseClock): Promise<number> {
  const reaped = await sql`
    with c as materialized (
      select id from job where state = 'leased' and lease_expires_at <= ${clock()} order by id limit ${BATCH} for update skip locked
    )
    update job set
      state = case when cancel_requested_at is not null then 'cancelled' when attempts >= attempts_max then 'dead' else 'queued' end,
      finished_at = case when cancel_requested_at is not null or attempts >= attempts_max then ${clock()} end,
      eligible_at = ${after(clock(), backoffMs(1))}, error = 'jobs.lease_expired: The runner went silent',
      lease_owner = null, lease_expires_at = null
    from c where job.id = c.id
  `.execute(ctx.db)
  return Number(reaped.numAffectedRows ?? 0n)
}

/** Adds the jobs of schedules that are due; what was missed meanwhile is made up for once. */
export async function addScheduled(ctx: Context, clock: DatabaseClock): Promise<number> {
  const due = () => ctx.db.selectFrom('job_schedule').select('name').where(sql<SqlBool>`next_at <= ${clock()}`)
  if ((await due().limit(1).execute()).length === 0) return 0
  return ctx.transaction(async (tx) => {
    const taken = await sql<{ project: string; name: string; kind: string; data: unknown }>`
      with c as materialized (
        select project, name from job_schedule where next_at <= ${clock()} order by project, name limit ${BATCH} for update skip locked
      )
      update job_schedule s set next_at = ${clock()} + s.every_ms * interval '1 millisecond'
      from c where s.project = c.project and s.name = c.name
      returning s.project, s.name, s.kind, s.data
    `.execute(tx.db)
    for (const { project, name, kind, data } of taken.rows) {
      await enqueue(tx.as({ project }) as Tx, { kind, data, dedupeKey: `schedule:${name}` }) // Tx.as stays in the transaction
    }
    return taken.rows.length
  })
}

/** Removes jobs that ended well or were cancelled longer than `ageMs` ago. Dead ones stay until someone decides. */
export async function pruneJobs(ctx: Context, ageMs: number): Promise<number> {
  const result = await ctx.db
    .deleteFrom('job')
    .where('state', 'in', ['done', 'cancelled'])
    .where(sql<SqlBool>`finished_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'`)
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}
