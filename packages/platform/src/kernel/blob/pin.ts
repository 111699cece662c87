import type { BlobStore } from '@plimsoll/sdk/seams'
import { type SqlBool, sql } from 'kysely'
import { type Clock, realClock } from '../clock.ts'
import { after, type Context, databaseClock, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import './tables.ts'

const LOCK_KEY = 7_440_003
const BATCH = 500

/**
 * Keeps blobs from being collected for as long as `owner` holds them, or for `ttlMs`. Call it in the transaction that
 * writes the row which names them. Repeating it is free.
 * @throws conflict blob.collected when one was removed meanwhile: store it again
 */
export async function pinBlobs(
  tx: Tx,
  store: BlobStore,
  pin: { owner: string; digests: readonly string[]; ttlMs?: number },
): Promise<void> {
  const digests = [...new Set(pin.digests)]
  // Shared: pins do not wait for each other, only for the short moment in which a collection chooses.
  await sql`select pg_advisory_xact_lock_shared(${LOCK_KEY})`.execute(tx.db)
  const expiresAt = pin.ttlMs === undefined ? null : after(databaseClock(), pin.ttlMs)
  for (let at = 0; at < digests.length; at += BATCH) {
    const some = digests.slice(at, at + BATCH)
    for (const { digest } of await tx.db
      .selectFrom('blob_collected')
      .select('digest')
      .where('digest', 'in', some)
      .execute()) {
      if (await store.stat(digest)) continue
      throw new PlimsollError(
        'conflict',
        'blob.collected',
        `Cannot keep ${digest}: it was removed as unused a moment ago`,
        { digest, action: 'Store it again and repeat' },
      )
    }
    await tx.db
      .insertInto('blob_pin')
      .values(some.map((digest) => ({ project: tx.project, owner: pin.owner, digest, expires_at: expiresAt })))
      .onConflict((conflict) => conflict.columns(['project', 'owner', 'digest']).doUpdateSet({ expires_at: expiresAt }))
      .execute()
  }
}

/** Lets go of everything that `owner` holds in this project. */
export async function unpinBlobs(tx: Tx, owner: string): Promise<void> {
  await tx.db.deleteFrom('blob_pin').where('project', '=', tx.project).where('owner', '=', owner).execute()
}

export interface Collection {
  seen: number
  deleted: number
  deletedBytes: number
}

/**
 * Removes blobs that nothing pins and that were stored, or stored again, longer than `graceMs` ago. What is being stored
 * now is younger than that, so a blob is never lost between `put` and its pin.
 */
export async function collectBlobs(
  ctx: Context,
  store: BlobStore,
  options: { graceMs: number; clock?: Clock },
): Promise<Collection> {
  const youngestMs = (options.clock ?? realClock).nowMs() - options.graceMs
  const total: Collection = { seen: 0, deleted: 0, deletedBytes: 0 }
  let old: string[] = []
  const sweep = async () => {
    for (const digest of await chooseUnpinned(ctx, old)) {
      // Looked at again: it may have been stored once more since it was listed.
      const found = await store.stat(digest)
      if (found === undefined || found.storedAtMs > youngestMs || !(await store.delete(digest))) continue
      total.deleted++
      total.deletedBytes += found.sizeBytes
    }
    old = []
  }
  for await (const { digest, storedAtMs } of store.list()) {
    total.seen++
    if (storedAtMs <= youngestMs) old.push(digest)
    if (old.length === BATCH) await sweep()
  }
  await sweep()
  await ctx.db.deleteFrom('blob_collected').where(sql<SqlBool>`at < clock_timestamp() - interval '1 hour'`).execute()
  await ctx.db.deleteFrom('blob_pin').where(sql<SqlBool>`expires_at <= clock_timestamp()`).execute()
  return total
}

async function chooseUnpinned(ctx: Context, digests: readonly string[]): Promise<string[]> {
  if (digests.length === 0) return []
  return ctx.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${LOCK_KEY})`.execute(tx.db)
    const pinned = await tx.db
      .selectFrom('blob_pin')
      .select('digest')
      .distinct()
      .where('digest', 'in', digests)
      .where(sql<SqlBool>`(expires_at is null or expires_at > clock_timestamp())`)
      .execute()
    const kept = new Set(pinned.map((row) => row.digest))
    const free = digests.filter((digest) => !kept.has(digest))
    if (free.length > 0) {
      await tx.db
        .insertInto('blob_collected')
        .values(free.map((digest) => ({ digest })))
        .onConflict((conflict) => conflict.column('digest').doUpdateSet({ at: databaseClock() }))
        .execute()
    }
    return free
  })
}
