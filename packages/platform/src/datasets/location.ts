import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { Digest } from '../kernel/digest.ts'

const BATCH = 1_000

/** Where a file of this digest was seen, in place. */
export interface FileLocation {
  readonly digest: Digest
  /** Absolute path. */
  readonly location: string
  readonly sizeBytes: number
  readonly mtimeMs: number
}

export interface SeenLocation extends FileLocation {
  readonly seenAt: Date
}

/** Remembers where files lie; a place that is known already only moves its time. */
export async function rememberLocations(tx: Tx, seen: readonly FileLocation[]): Promise<void> {
  const unique = [...new Map(seen.map((place) => [`${place.digest}\0${place.location}`, place])).values()]
  for (let start = 0; start < unique.length; start += BATCH) {
    const rows = unique.slice(start, start + BATCH).map((place) => ({
      project: tx.project,
      digest: place.digest,
      location: place.location,
      size_bytes: BigInt(place.sizeBytes),
      mtime_ms: place.mtimeMs,
    }))
    await tx.db
      .insertInto('dataset_location')
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(['project', 'digest', 'location']).doUpdateSet((set) => ({
          size_bytes: set.ref('excluded.size_bytes'),
          mtime_ms: set.ref('excluded.mtime_ms'),
          seen_at: sql<Date>`clock_timestamp()`,
        })),
      )
      .execute()
  }
}

/** Known places by digest, newest sight first. A digest without any (a blob, or a file never seen) is absent. */
export async function locationsOf(ctx: Context, digests: readonly string[]): Promise<Map<string, SeenLocation[]>> {
  const places = new Map<string, SeenLocation[]>()
  const wanted = [...new Set(digests)]
  for (let start = 0; start < wanted.length; start += BATCH) {
    const rows = await ctx.db
      .selectFrom('dataset_location')
      .selectAll()
      .where('project', '=', ctx.project)
      .where('digest', 'in', wanted.slice(start, start + BATCH))
      .orderBy('seen_at', 'desc')
      .orderBy('location')
      .execute()
    for (const row of rows) {
      const place = {
        digest: row.digest as Digest,
        location: row.location,
        sizeBytes: Number(row.size_bytes),
        mtimeMs: row.mtime_ms,
        seenAt: row.seen_at,
      } // stored by rememberLocations
      const known = places.get(row.digest)
      if (known) known.push(place)
      else places.set(row.digest, [place])
    }
  }
  return places
}
