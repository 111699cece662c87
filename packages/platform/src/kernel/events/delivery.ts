import { type Kysely, type SqlBool, sql } from 'kysely'
import { after, type Context, type DatabaseClock, type Tables } from '../db/index.ts'
import { toPlimsollError } from '../errors.ts'
import type { Consumer, StoredEvent } from './consumer.ts'
import './tables.ts'

export interface Delivery {
  ctx: Context
  attemptsMax: number
  backoffMs: number
  clock: DatabaseClock
}

const BATCH = 64
const ERROR_CHARACTERS_MAX = 2_000
const FIELDS = ['position', 'type', 'project', 'subject', 'data', 'at'] as const

/** Delivers events past the consumer's cursor; returns how many it handled or parked. */
export async function deliverFresh(delivery: Delivery, consumer: Consumer): Promise<number> {
  const { ctx } = delivery
  const cursor = await ctx.db
    .selectFrom('outbox_consumer')
    .select('position')
    .where('consumer', '=', consumer.name)
    .executeTakeFirst()
  if (cursor === undefined) return 0
  // Read before the events: all of them up to this position are visible to the next query.
  const head = await ctx.db.selectFrom('outbox_head').select('position').executeTakeFirst()
  if (head === undefined || head.position <= cursor.position) return 0
  const events = await ctx.db
    .selectFrom('outbox')
    .select(FIELDS)
    .where('position', '>', cursor.position)
    .where('position', '<=', head.position)
    .where('type', 'in', consumer.types)
    .orderBy('position')
    .limit(BATCH)
    .execute()
  let from = cursor.position
  let moved = 0
  for (const row of events) {
    const event = { ...row, position: row.position! } // bounded by the query, so not null
    if (!(await deliverOne(delivery, consumer, event, from))) return moved
    from = event.position
    moved++
  }
  if (events.length < BATCH) await moveCursor(ctx.db, consumer.name, from, head.position)
  return moved
}

/** Compare-and-set: false when another dispatcher has moved it. */
async function moveCursor(db: Kysely<Tables>, consumer: string, from: bigint, to: bigint): Promise<boolean> {
  const result = await db
    .updateTable('outbox_consumer')
    .set({ position: to, moved_at: sql<Date>`clock_timestamp()` })
    .where('consumer', '=', consumer)
    .where('position', '=', from)
    .executeTakeFirst()
  return result.numUpdatedRows === 1n
}

async function deliverOne(delivery: Delivery, consumer: Consumer, event: StoredEvent, from: bigint): Promise<boolean> {
  const ctx = delivery.ctx.as({ project: event.project })
  try {
    return await ctx.transaction(async (tx) => {
      if (!(await moveCursor(tx.db, consumer.name, from, event.position))) return false
      if (await isSubjectParked(tx.db, consumer.name, event)) await park(tx.db, delivery, consumer.name, event)
      else await consumer.handle(tx, event)
      return true
    })
  } catch (error) {
    return ctx.transaction(async (tx) => {
      if (!(await moveCursor(tx.db, consumer.name, from, event.position))) return false
      await park(tx.db, delivery, consumer.name, event, error)
      return true
    })
  }
}

async function isSubjectParked(db: Kysely<Tables>, consumer: string, event: StoredEvent): Promise<boolean> {
  const parked = await db
    .selectFrom('outbox_parked')
    .select('position')
    .where('consumer', '=', consumer)
    .where('project', '=', event.project)
    .where('subject', '=', event.subject)
    .where('dead_at', 'is', null)
    .limit(1)
    .execute()
  return parked.length > 0
}

function pauseMs(delivery: Delivery, attempts: number): number {
  return delivery.backoffMs * Math.min(100, 2 ** (attempts - 1))
}

/** With an error: its first failure. Without: it waits behind an earlier event of its subject. */
async function park(
  db: Kysely<Tables>,
  delivery: Delivery,
  consumer: string,
  event: StoredEvent,
  error?: unknown,
): Promise<void> {
  const attempts = error === undefined ? 0 : 1
  const isDead = attempts >= delivery.attemptsMax
  await db
    .insertInto('outbox_parked')
    .values({
      consumer,
      position: event.position,
      project: event.project,
      subject: event.subject,
      attempts,
      eligible_at: after(delivery.clock(), attempts === 0 ? 0 : pauseMs(delivery, attempts)),
      dead_at: isDead ? delivery.clock() : null,
      error: error === undefined ? null : describe(error),
    })
    .execute()
}

function describe(error: unknown): string {
  const { code, message } = toPlimsollError(error)
  return `${code}: ${message}`.slice(0, ERROR_CHARACTERS_MAX)
}

/** Tries the first parked event of each subject whose pause is over. */
export async function deliverParked(delivery: Delivery, consumer: Consumer): Promise<number> {
  const heads = delivery.ctx.db
    .selectFrom('outbox_parked')
    .distinctOn(['project', 'subject'])
    .select(['position', 'eligible_at'])
    .where('consumer', '=', consumer.name)
    .where('dead_at', 'is', null)
    .orderBy('project')
    .orderBy('subject')
    .orderBy('position')
  const due = await delivery.ctx.db
    .selectFrom(heads.as('head'))
    .select('position')
    .where(sql<SqlBool>`eligible_at <= ${delivery.clock()}`)
    .orderBy('position')
    .limit(BATCH)
    .execute()
  let handled = 0
  for (const { position } of due) if (await retryParked(delivery, consumer, position)) handled++
  return handled
}

async function retryParked(delivery: Delivery, consumer: Consumer, position: bigint): Promise<boolean> {
  const row = await delivery.ctx.db
    .selectFrom('outbox')
    .select(FIELDS)
    .where('position', '=', position)
    .executeTakeFirst()
  if (row === undefined) return false
  const event = { ...row, position }
  const ctx = delivery.ctx.as({ project: event.project })
  try {
    return await ctx.transaction(async (tx) => {
      const taken = await tx.db
        .deleteFrom('outbox_parked')
        .where('consumer', '=', consumer.name)
        .where('position', '=', position)
        .where('dead_at', 'is', null)
        .executeTakeFirst()
      if (taken.numDeletedRows === 0n) return false
      await consumer.handle(tx, event)
      return true
    })
  } catch (error) {
    await ctx.transaction(async (tx) => {
      const { attempts } = await tx.db
        .updateTable('outbox_parked')
        .set((eb) => ({ attempts: eb('attempts', '+', 1), error: describe(error) }))
        .where('consumer', '=', consumer.name)
        .where('position', '=', position)
        .returning('attempts')
        .executeTakeFirstOrThrow()
      const isDead = attempts >= delivery.attemptsMax
      await tx.db
        .updateTable('outbox_parked')
        .set(
          isDead
            ? { dead_at: delivery.clock() }
            : { eligible_at: after(delivery.clock(), pauseMs(delivery, attempts)) },
        )
        .where('consumer', '=', consumer.name)
        .where('position', '=', position)
        .execute()
      if (isDead)
        ctx.log.error(
          { consumer: consumer.name, position: String(position), type: event.type },
          'an event became a dead letter',
        )
    })
    return false
  }
}
