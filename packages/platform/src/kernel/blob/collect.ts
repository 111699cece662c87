import type { BlobStore } from '@plimsoll/sdk/seams'
import { type SqlBool, sql } from 'kysely'
import { type Clock, realClock } from '../clock.ts'
import { type Context, databaseClock } from '../db/index.ts'
import { PIN_LOCK_KEY } from './pin.ts'
import './tables.ts'

const BATCH = 500
/** A batch that takes longer is left to the next collection: a pin believes an announcement for no longer than three times this. */
const SWEEP_MS_MAX = 300_000
/** Blobs that were there before rows pinned what they name are left alone. */
const PINNED_SINCE = '0100-blob-retention'

export interface Collection {
  seen: number
  deleted: number
  deletedBytes: number
}

export interface CollectionOptions {
  readonly graceMs: number
  readonly clock?: Clock
  readonly signal?: AbortSignal
}

/**
 * Removes blobs that nothing pins and that were stored, or stored again, longer than `graceMs` ago. What is being stored
 * now is younger than that, so a blob is never lost between `put` and its pin.
 */
export async function collectBlobs(ctx: Context, store: BlobStore, options: CollectionOptions): Promise<Collection> {
  const clock = options.clock ?? realClock
  const youngestMs = clock.nowMs() - options.graceMs
  const eldestMs = await pinnedSinceMs(ctx)
  const total: Collection = { seen: 0, deleted: 0, deletedBytes: 0 }
  let old: string[] = []
  const sweep = async () => {
    const chosen = await chooseUnpinned(ctx, old)
    const untilMs = clock.monotonicMs() + SWEEP_MS_MAX
    for (const digest of chosen) {
      if (options.signal?.aborted || clock.monotonicMs() > untilMs) break
      // Looked at again: it may have been stored once more since it was listed.
      const found = await store.stat(digest)
      if (found === undefined || found.storedAtMs > youngestMs || !(await store.delete(digest))) continue
      total.deleted++
      total.deletedBytes += found.sizeBytes
    }
    await endRemoval(ctx, chosen)
    old = []
  }
  for await (const { digest, storedAtMs } of store.list()) {
    options.signal?.throwIfAborted()
    total.seen++
    if (storedAtMs <= youngestMs && storedAtMs >= eldestMs) old.push(digest)
    if (old.length === BATCH) await sweep()
  }
  await sweep()
  await ctx.db.deleteFrom('blob_collected').where(sql<SqlBool>`at < clock_timestamp() - interval '1 hour'`).execute()
  await ctx.db.deleteFrom('blob_pin').where(sql<SqlBool>`expires_at <= clock_timestamp()`).execute()
  return total
}

async function pinnedSinceMs(ctx: Context): Promise<number> {
  const { rows } = await sql<{ at: Date }>`select applied_at as at from migration where name = ${PINNED_SINCE}`.execute(
    ctx.db,
  )
  return rows[0]!.at.getTime()
}

/** Announces what is about to be removed, so that a pin which comes now hears of it. */
async function chooseUnpinned(ctx: Context, digests: readonly string[]): Promise<string[]> {
  if (digests.length === 0) return []
  return ctx.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${PIN_LOCK_KEY})`.execute(tx.db)
    const { rows } = await sql<{ digest: string }>`
      with live as (select digest from blob_pin where expires_at is null or expires_at > clock_timestamp())
      select d.digest from unnest(${digests}::text[]) as d(digest)
      where not exists (select 1 from live where live.digest = d.digest)
        and not exists (select 1 from blob_part b join live on live.digest = b.root where b.digest = d.digest)`.execute(
      tx.db,
    )
    const free = rows.map((row) => row.digest)
    if (free.length === 0) return []
    await tx.db.deleteFrom('blob_part').where('root', 'in', free).execute()
    await tx.db
      .insertInto('blob_collected')
      .values(free.map((digest) => ({ digest })))
      .onConflict((conflict) => conflict.column('digest').doUpdateSet({ at: databaseClock(), done_at: null }))
      .execute()
    return free
  })
}

async function endRemoval(ctx: Context, digests: readonly string[]): Promise<void> {
  if (digests.length === 0) return
  await ctx.db
    .updateTable('blob_collected')
    .set({ done_at: databaseClock() })
    .where('digest', 'in', [...digests])
    .execute()
}
