import type { BlobStore } from '@plimsoll/sdk/seams'
import { type SqlBool, sql } from 'kysely'
import { after, databaseClock, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import './tables.ts'

/** Pins hold it shared, a collection exclusively while it chooses. */
export const PIN_LOCK_KEY = 7_440_003
/** A removal that was announced longer ago than this is over, or its process is dead. */
const IN_FLIGHT_MINUTES = 15

/** Who keeps which blobs. */
export interface Pin {
  /** The row that names them, for example `run:run_01…`. */
  readonly owner: string
  readonly digests: readonly string[]
  /** What a blob itself names, as a manifest its files: kept for as long as that blob is. */
  readonly parts?: ReadonlyMap<string, readonly string[]>
}

/**
 * Keeps blobs from being collected for as long as `owner` holds them, or for `ttlMs`. Call it in the transaction that
 * writes the row which names them. Repeating it is free.
 * @throws conflict blob.collected when one was removed meanwhile: store it again
 */
export async function pinBlobs(tx: Tx, store: BlobStore, pin: Pin & { readonly ttlMs?: number }): Promise<void> {
  await pinAll(tx, store, [pin], pin.ttlMs)
}

/** The same for several owners at once, in as many statements as for one. */
export async function pinAll(tx: Tx, store: BlobStore, pins: readonly Pin[], ttlMs?: number): Promise<void> {
  const digests = new Set(pins.flatMap((pin) => pin.digests))
  if (digests.size === 0) return
  const parts = new Map(pins.flatMap((pin) => [...(pin.parts ?? [])]))
  // Shared: pins do not wait for each other, only for the short moment in which a collection chooses.
  await sql`select pg_advisory_xact_lock_shared(${PIN_LOCK_KEY})`.execute(tx.db)
  await refuseCollected(tx, store, [...digests.union(new Set([...parts.values()].flat()))])
  await insertPins(tx, pins, ttlMs)
  // In one order for all, so that two writers of one manifest never wait for each other.
  const edges = [...parts].flatMap(([root, named]) => [...new Set(named)].sort().map((digest) => ({ root, digest })))
  if (edges.length === 0) return
  await sql`insert into blob_part (project, root, digest)
    select ${tx.project}, p.root, p.digest from unnest(${edges.map((edge) => edge.root)}::text[], ${edges.map((edge) => edge.digest)}::text[])
      as p(root, digest)
    order by p.root, p.digest on conflict do nothing`.execute(tx.db)
}

/**
 * Adds an owner to blobs that are pinned already, by this transaction or by a row that it has locked: nothing needs to be
 * looked at. For what has no store at hand, as the commit of a step.
 */
export async function alsoPin(tx: Tx, pin: { owner: string; digests: readonly (string | null)[] }): Promise<void> {
  const digests = pin.digests.filter((digest) => digest !== null)
  if (digests.length > 0) await insertPins(tx, [{ owner: pin.owner, digests }])
}

async function insertPins(tx: Tx, pins: readonly Pin[], ttlMs?: number): Promise<void> {
  const rows = new Map(
    pins.flatMap(({ owner, digests }) => digests.map((digest) => [`${owner}\0${digest}`, { owner, digest }])),
  )
  const [owners, digests] = [[...rows.values()].map((row) => row.owner), [...rows.values()].map((row) => row.digest)]
  const expiresAt = ttlMs === undefined ? sql`null::timestamptz` : after(databaseClock(), ttlMs)
  await sql`insert into blob_pin (project, owner, digest, expires_at)
    select ${tx.project}, p.owner, p.digest, ${expiresAt} from unnest(${owners}::text[], ${digests}::text[]) as p(owner, digest)
    order by p.owner, p.digest
    on conflict (project, owner, digest) do update set expires_at = excluded.expires_at
      where blob_pin.expires_at is distinct from excluded.expires_at`.execute(tx.db)
}

/** A blob whose removal is under way cannot be kept, nor one that is gone; one that was stored again can. */
async function refuseCollected(tx: Tx, store: BlobStore, digests: readonly string[]): Promise<void> {
  const { rows } = await sql<{ digest: string; is_in_flight: boolean }>`
    select c.digest, c.done_at is null and c.at > clock_timestamp() - ${IN_FLIGHT_MINUTES} * interval '1 minute' as is_in_flight
    from blob_collected c
    where c.digest = any(${digests}::text[])
      or c.digest in (select b.digest from blob_part b where b.root = any(${digests}::text[]))`.execute(tx.db)
  for (const { digest, is_in_flight: isInFlight } of rows) {
    if (!isInFlight && (await store.stat(digest))) continue
    throw new PlimsollError(
      'conflict',
      'blob.collected',
      `Cannot keep ${digest}: it was removed as unused a moment ago`,
      { digest, action: 'Store it again and repeat' },
    )
  }
}

/** Lets go of everything that these owners hold in this project. */
export async function unpinBlobs(tx: Tx, ...owners: readonly string[]): Promise<void> {
  if (owners.length === 0) return
  await tx.db
    .deleteFrom('blob_pin')
    .where('project', '=', tx.project)
    .where(sql<SqlBool>`owner = any(${owners}::text[])`)
    .execute()
}

/** What `from` holds is held by `to` from now on: its row has another name. */
export async function movePins(tx: Tx, from: string, to: string): Promise<void> {
  await tx.db
    .updateTable('blob_pin')
    .set({ owner: to })
    .where('project', '=', tx.project)
    .where('owner', '=', from)
    .execute()
}
