import { type SqlBool, sql } from 'kysely'
import { after, type Context, databaseClock, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import { type Id, newId } from '../ids.ts'
import './tables.ts'

const ATTEMPTS_MAX = 8
const TRIES_MAX = 5

export interface NewJob {
  kind: string
  data?: unknown
  /** While a job of this kind and key is queued or running, another one is not added. */
  dedupeKey?: string
  runAfterMs?: number
  attemptsMax?: number
}

/** Inserts a job; undefined when its key is taken by one that is queued or running. */
async function insertJob(tx: Tx, job: NewJob): Promise<Id<'job'> | undefined> {
  const id = newId('job')
  const added = await tx.db
    .insertInto('job')
    .values({
      id,
      project: tx.project,
      kind: job.kind,
      data: JSON.stringify(job.data ?? null),
      dedupe_key: job.dedupeKey ?? null,
      state: 'queued',
      attempts_max: job.attemptsMax ?? ATTEMPTS_MAX,
      eligible_at: after(databaseClock(), job.runAfterMs ?? 0),
    })
    .onConflict((conflict) =>
      // Literals: a plan that is kept for all values cannot tell that bound ones fit the partial index.
      conflict
        .columns(['project', 'kind', 'dedupe_key'])
        .where(sql<SqlBool>`state in ('queued', 'leased')`)
        .doNothing(),
    )
    .returning('id')
    .executeTakeFirst()
  return added && id
}

/** Adds a job in this transaction; with a `dedupeKey` that is taken, returns the one that is there. */
export async function enqueue(tx: Tx, job: NewJob): Promise<Id<'job'>> {
  // The one that is there may end between two statements: then the key is free.
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const added = await insertJob(tx, job)
    if (added) return added
    const open = await tx.db
      .selectFrom('job')
      .select('id')
      .where('project', '=', tx.project)
      .where('kind', '=', job.kind)
      .where('dedupe_key', '=', job.dedupeKey ?? '')
      .where('state', 'in', ['queued', 'leased'])
      .executeTakeFirst()
    if (open) return open.id as Id<'job'> // written by this function only
  }
  throw new PlimsollError(
    'conflict',
    'jobs.dedupe_raced',
    `Cannot add a job of kind ${job.kind}: others with the same key end as fast as it is added`,
  )
}

/** A queued job is cancelled at once; a running one is told at its next renewal. False when it has ended. */
export async function cancelJob(ctx: Context, id: string): Promise<boolean> {
  return ctx.transaction(async (tx) => {
    const job = await tx.db
      .selectFrom('job')
      .select('state')
      .where('id', '=', id)
      .where('project', '=', tx.project)
      .forUpdate()
      .executeTakeFirst()
    if (job === undefined) throw new PlimsollError('not_found', 'jobs.not_found', `There is no job ${id}`)
    if (job.state !== 'queued' && job.state !== 'leased') return false
    await tx.db
      .updateTable('job')
      .set({
        cancel_requested_at: databaseClock(),
        ...(job.state === 'queued' ? { state: 'cancelled' as const, finished_at: databaseClock() } : {}),
      })
      .where('id', '=', id)
      .execute()
    return true
  })
}

export interface Schedule {
  /** One row per project and name. */
  name: string
  kind: string
  data?: unknown
  everyMs: number
}

/** Declares that a job is added every so often, never while the last one is open. Changing the period restarts it. */
export async function declareSchedule(tx: Tx, schedule: Schedule): Promise<void> {
  const { name, kind, everyMs } = schedule
  const data = JSON.stringify(schedule.data ?? null)
  await tx.db
    .insertInto('job_schedule')
    .values({ project: tx.project, name, kind, data, every_ms: BigInt(everyMs), next_at: databaseClock() })
    .onConflict((conflict) =>
      conflict.columns(['project', 'name']).doUpdateSet({ kind, data, every_ms: BigInt(everyMs) }),
    )
    .execute()
}
