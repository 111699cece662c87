import { type Context, databaseClock, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import './tables.ts'

/** An event that a consumer gave up on. */
export interface DeadEvent {
  /** `12@consumer`: the place of the event and who could not handle it. */
  id: string
  consumer: string
  type: string
  subject: string
  attempts: number
  error: string | null
  deadAt: Date
  /** Dead events of the project. */
  total: bigint
}

const ID = /^(\d{1,18})@(.+)$/

/** Dead events of the project, newest first. */
export async function listDeadEvents(ctx: Context, limit: number): Promise<DeadEvent[]> {
  const rows = await ctx.db
    .selectFrom('outbox_parked as p')
    .innerJoin('outbox as o', 'o.position', 'p.position')
    .select(['p.consumer', 'p.position', 'o.type', 'p.subject', 'p.attempts', 'p.error', 'p.dead_at'])
    .select(({ fn }) => fn.countAll<bigint>().over().as('total'))
    .where('p.dead_at', 'is not', null)
    .where('p.project', '=', ctx.project)
    .orderBy('p.dead_at', 'desc')
    .orderBy('p.position', 'desc')
    .orderBy('p.consumer')
    .limit(limit)
    .execute()
  // The query asks for rows that have a time.
  return rows.map(({ dead_at, position, ...row }) => ({
    ...row,
    id: `${position}@${row.consumer}`,
    deadAt: dead_at!,
  }))
}

async function requireDead(tx: Tx, id: string, what: 'retry' | 'discard') {
  const [, position, consumer] = ID.exec(id) ?? []
  const letter =
    position === undefined || consumer === undefined
      ? undefined
      : await tx.db
          .selectFrom('outbox_parked')
          .select(['consumer', 'position', 'subject', 'attempts', 'error', 'dead_at'])
          .where('consumer', '=', consumer)
          .where('position', '=', BigInt(position))
          .where('project', '=', tx.project)
          .forUpdate()
          .executeTakeFirst()
  if (letter === undefined)
    throw new PlimsollError('not_found', 'events.not_found', `There is no dead letter ${id}`, {
      action: 'See those that there are with plimsoll dead-letter list',
    })
  if (letter.dead_at === null)
    throw new PlimsollError('precondition', 'events.not_dead', `Cannot ${what} event ${id}: it is still being tried`)
  return letter
}

/**
 * A dead event is delivered again. Later events of its subject have gone by.
 *
 * @throws not_found events.not_found · precondition events.not_dead
 */
export async function retryDeadEvent(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const { consumer, position, subject, attempts, error } = await requireDead(tx, id, 'retry')
    await tx.db
      .updateTable('outbox_parked')
      .set({ dead_at: null, attempts: 0, eligible_at: databaseClock() })
      .where('consumer', '=', consumer)
      .where('position', '=', position)
      .execute()
    await tx.audit({ action: 'events.retry', subject: id, data: { subject, attempts, error } })
  })
}

/** A dead event is never delivered to this consumer. @throws not_found events.not_found · precondition events.not_dead */
export async function discardDeadEvent(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const { consumer, position, subject, attempts, error } = await requireDead(tx, id, 'discard')
    await tx.db.deleteFrom('outbox_parked').where('consumer', '=', consumer).where('position', '=', position).execute()
    await tx.audit({ action: 'events.discard', subject: id, data: { subject, attempts, error } })
  })
}
