import type { BlobStore } from '@plimsoll/sdk/seams'
import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import { pinBlobs } from './pin.ts'
import './tables.ts'

/** How long an upload stays its project's own before a row names it: enough to upload the rest, and to try again. */
const UPLOAD_TTL_MS = 86_400_000
/** Owner of what a project uploaded. */
const UPLOAD_OWNER = 'upload'

/** Of these blobs those that the project holds: by a row of its own, as part of what such a row names, or by an upload. */
async function reachedBlobs(ctx: Context, digests: readonly string[]): Promise<Set<string>> {
  if (digests.length === 0) return new Set()
  const { rows } = await sql<{ digest: string }>`
    with live as (select digest from blob_pin
      where project = ${ctx.project} and (expires_at is null or expires_at > clock_timestamp()))
    select d.digest from unnest(${digests}::text[]) as d(digest)
    where exists (select 1 from live where live.digest = d.digest)
      or exists (select 1 from blob_part b join live on live.digest = b.root
        where b.digest = d.digest and b.project = ${ctx.project})`.execute(ctx.db)
  return new Set(rows.map((row) => row.digest))
}

/** The store knows no projects, so this says who may read: whoever acts for the project, and the operator. */
export async function mayRead(ctx: Context, digest: string): Promise<boolean> {
  return ctx.principal.id === 'operator' || (await reachedBlobs(ctx, [digest])).has(digest)
}

/** Which of these blobs the project has yet to upload. What others have stored counts as missing, so that nobody learns of it. */
export async function missingBlobs<D extends string>(
  ctx: Context,
  store: BlobStore,
  digests: Iterable<D>,
): Promise<D[]> {
  const asked = [...new Set(digests)]
  const reached = await reachedBlobs(ctx, asked)
  const missing: D[] = []
  for (const digest of asked) if (!reached.has(digest) || !(await store.stat(digest))) missing.push(digest)
  return missing
}

/** The uploader showed that it has the bytes: for a while they are its project's own. */
export async function holdUpload(ctx: Context, store: BlobStore, digest: string): Promise<void> {
  await ctx.transaction((tx) => pinBlobs(tx, store, { owner: UPLOAD_OWNER, digests: [digest], ttlMs: UPLOAD_TTL_MS }))
}
