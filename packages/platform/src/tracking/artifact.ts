import type { BlobStore } from '@plimsoll/sdk/seams'
import { sql } from 'kysely'
import { pinBlobs, unpinBlobs } from '../kernel/blob/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { checkArtifactPath } from './artifact-path.ts'
import { refuseRunPrincipal } from './experiment.ts'
import { missing, refusal } from './failure.ts'
import { ownerRunOf } from './run.ts'

export interface ArtifactFile {
  /** Last segment of the path. */
  readonly name: string
  readonly isDirectory: boolean
  readonly sizeBytes: bigint
}

const LISTING_MAX = 10_000

/** Where the server keeps what was logged below `uri`, or undefined when it is kept elsewhere. */
export function artifactRoot(uri: string): string | undefined {
  const match = /^mlflow-artifacts:\/{1,3}(?!\/)(.*?)\/*$/.exec(uri)
  // artifacts are stored below the NFC of it, whatever the location of the experiment is written in
  return match?.[1] ? match[1].normalize('NFC') : undefined
}

/** The token of a run reaches the artifacts of its own run and of its own logged models only. */
async function requireWritablePath(ctx: Context, path: string): Promise<void> {
  const owner = ownerRunOf(ctx)
  const [experiment, second, third, fourth] = path.split('/')
  const isModel = second === 'models' && fourth === 'artifacts'
  const id = isModel ? third! : (second ?? '')
  if (experiment === undefined || (!isModel && third !== 'artifacts')) {
    if (owner !== undefined) refuseRunPrincipal(ctx, `write the artifact ${path}`)
    return
  }
  if (isModel) {
    const row = await ctx.db
      .selectFrom('logged_model')
      .select(['owner_run', 'artifact_uri'])
      .where('project', '=', ctx.project)
      .where('id', '=', id)
      .executeTakeFirst()
    if (!row) throw missing('model_not_found', `Logged model with ID '${id}' not found`)
    if (owner !== undefined && row.owner_run !== owner) refuseRunPrincipal(ctx, `write the artifacts of model ${id}`)
    if (!row.artifact_uri.normalize('NFC').endsWith(`/${experiment}/models/${id}/artifacts`)) {
      const where = `in experiment ${experiment}: its artifacts are at ${row.artifact_uri}`
      throw missing('model_not_found', `Logged model with ID '${id}' not found ${where}`)
    }
    return
  }
  const row = await ctx.db
    .selectFrom('tracked_run')
    .select(['owner_run', 'lifecycle', 'artifact_uri'])
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) {
    if (owner !== undefined) refuseRunPrincipal(ctx, `write the artifact ${path}`)
    return
  }
  if (owner !== undefined && id !== owner && row.owner_run !== owner)
    refuseRunPrincipal(ctx, `write the artifacts of run ${id}`)
  if (!row.artifact_uri.normalize('NFC').endsWith(`/${experiment}/${id}/artifacts`)) {
    const where = `in experiment ${experiment}: its artifacts are at ${row.artifact_uri}`
    throw missing('run_not_found', `Run with id=${id} not found ${where}`)
  }
  if (row.lifecycle !== 'active')
    throw refusal(`The run ${id} must be in the 'active' state. Current state is deleted.`)
}

/** Who holds an artifact's bytes; a model version holds them once more, in its own name. */
function pinOwner(path: string): string {
  return `artifact:${path}`
}

/** Stores a stream as the artifact at `path`; the name appears when all bytes are durable. */
export async function putArtifact(
  ctx: Context,
  blobs: BlobStore,
  artifact: { path: string; content: AsyncIterable<Uint8Array> | Uint8Array; lengthBytes?: number | undefined },
): Promise<void> {
  const path = checkArtifactPath(artifact.path)
  await requireWritablePath(ctx, path)
  const stored = await blobs.put(artifact.content)
  if (artifact.lengthBytes !== undefined && stored.sizeBytes !== artifact.lengthBytes) {
    throw refusal(`The artifact has ${stored.sizeBytes} bytes, ${artifact.lengthBytes} were announced`)
  }
  await ctx.transaction(async (tx) => {
    await lockPath(tx, path)
    await refuseFileAsDirectory(tx, path)
    await unpinBlobs(tx, pinOwner(path))
    await pinBlobs(tx, blobs, { owner: pinOwner(path), digests: [stored.digest] })
    const row = { digest: stored.digest, size_bytes: BigInt(stored.sizeBytes) }
    await tx.db
      .insertInto('tracking_artifact')
      .values({ project: tx.project, path, ...row })
      .onConflict((conflict) =>
        conflict.columns(['project', 'path']).doUpdateSet({ ...row, updated_at: sql`clock_timestamp()` }),
      )
      .execute()
  })
}

function parentsOf(path: string): string[] {
  const segments = path.split('/')
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'))
}

/**
 * Makes who stores a file of the name of one of the directories wait, and who stores this file too. All take the locks from
 * the root down.
 */
async function lockPath(tx: Tx, path: string): Promise<void> {
  const keyOf = (name: string) => `artifact ${tx.project}/${name}`
  await sql`select pg_advisory_xact_lock_shared(hashtextextended(name, 0))
    from unnest(${parentsOf(path).map(keyOf)}::text[]) as name`.execute(tx.db)
  await sql`select pg_advisory_xact_lock(hashtextextended(${keyOf(path)}, 0))`.execute(tx.db)
}

/** A name is a file or a directory, never both. */
async function refuseFileAsDirectory(tx: Tx, path: string): Promise<void> {
  const parents = parentsOf(path)
  const clash = await tx.db
    .selectFrom('tracking_artifact')
    .select('path')
    .where('project', '=', tx.project)
    .where((eb) =>
      eb.or([
        ...(parents.length > 0 ? [eb('path', 'in', parents)] : []),
        eb.and([eb('path', '>', `${path}/`), eb('path', '<', `${path}0`)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst()
  if (clash) throw refusal(`Cannot store artifact "${path}": "${clash.path}" is in its way`)
}

export async function requireArtifact(
  ctx: Context,
  path: string,
): Promise<{ path: string; digest: string; sizeBytes: number }> {
  const checked = checkArtifactPath(path)
  const row = await ctx.db
    .selectFrom('tracking_artifact')
    .select(['digest', 'size_bytes'])
    .where('project', '=', ctx.project)
    .where('path', '=', checked)
    .executeTakeFirst()
  if (!row) throw missing('artifact_not_found', `No such artifact: '${checked}'`)
  return { path: checked, digest: row.digest, sizeBytes: Number(row.size_bytes) }
}

/** All files below a directory, by path: what a model version binds. */
export async function listArtifactTree(
  ctx: Context,
  root: string,
): Promise<{ path: string; digest: string; sizeBytes: number }[]> {
  const rows = await ctx.db
    .selectFrom('tracking_artifact')
    .select(['path', 'digest', 'size_bytes'])
    .where('project', '=', ctx.project)
    .where('path', '>', `${root}/`)
    .where('path', '<', `${root}0`)
    .orderBy('path')
    .limit(LISTING_MAX + 1)
    .execute()
  if (rows.length > LISTING_MAX) {
    throw new PlimsollError(
      'too_large',
      'tracking.too_many_artifacts',
      `Cannot read the artifacts below ${root}: more than ${LISTING_MAX} files`,
    )
  }
  return rows.map((row) => ({
    path: row.path.slice(root.length + 1),
    digest: row.digest,
    sizeBytes: Number(row.size_bytes),
  }))
}

/** One level below `directory`, by name; of a file or of nothing, an empty list. */
export async function listArtifacts(ctx: Context, directory: string): Promise<ArtifactFile[]> {
  const prefix = directory === '' ? '' : `${directory}/`
  // the range holds the directory's names; `0` is the character after `/`
  const range = directory === '' ? sql`true` : sql`path > ${prefix} and path < ${`${directory}0`}`
  const rest = sql`substr(path, ${prefix.length === 0 ? 1 : [...prefix].length + 1})`
  const { rows } = await sql<{ name: string; files: bigint; size: string | null }>`
    select split_part(${rest}, '/', 1) as name, count(*) filter (where position('/' in ${rest}) > 0) as files,
      sum(size_bytes) filter (where position('/' in ${rest}) = 0) as size
    from tracking_artifact where project = ${ctx.project} and ${range}
    group by 1 order by 1 limit ${LISTING_MAX}`.execute(ctx.db)
  return rows.map((row) => ({ name: row.name, isDirectory: row.files > 0n, sizeBytes: BigInt(row.size ?? 0) }))
}

/** Forgets an artifact or everything below a directory; the bytes go when nothing pins them. */
export async function deleteArtifacts(ctx: Context, path: string): Promise<void> {
  const checked = checkArtifactPath(path)
  await ctx.transaction(async (tx) => {
    refuseRunPrincipal(tx, 'delete artifacts')
    const gone = await tx.db
      .deleteFrom('tracking_artifact')
      .where('project', '=', tx.project)
      .where((eb) =>
        eb.or([eb('path', '=', checked), eb.and([eb('path', '>', `${checked}/`), eb('path', '<', `${checked}0`)])]),
      )
      .returning('path')
      .execute()
    for (const row of gone) await unpinBlobs(tx, pinOwner(row.path))
    await tx.audit({ action: 'artifact.delete', subject: `artifact/${checked}` })
  })
}
