import type { ServedRoute, ServedVersion, SignedSnapshot, Snapshot } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { compileSignature, listAssignments, requireRoute } from '../../delivery/index.ts'
import { type SigningKey, signBytes } from '../../kernel/auth/verify/index.ts'
import { canonicalJson } from '../../kernel/canonical.ts'
import type { ReplayClockSettings } from '../../kernel/clock.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { digestValue } from '../../kernel/digest.ts'
import { approvalsOf, requireModelVersion } from '../../registry/index.ts'
import './tables.ts'

export interface SnapshotDeps {
  readonly signingKey: SigningKey
  readonly replay: ReplayClockSettings | undefined
  readonly inflightMax: number
  readonly payloadRate: number
}

const SNAPSHOTS_KEPT = 1_000
const LOCK_KEY = 7_440_004

type Assigned = Awaited<ReturnType<typeof listAssignments>>[number]

/** Equal bytes may be two versions, and a version has approvals of its own in each environment. */
function keyOf({ project, environment, model, version }: Assigned): string {
  return `${project}/${environment}/${model}/${version}`
}

async function servedRouteOf(ctx: Context, assigned: Assigned, deps: SnapshotDeps): Promise<ServedRoute> {
  // A release of before it was bound takes the route's own.
  const { definition, digest } = await requireRoute(ctx, { environment: assigned.environment, name: assigned.route })
  return {
    project: assigned.project,
    environment: assigned.environment,
    name: assigned.route,
    definition: digest,
    epoch: assigned.epoch,
    release: assigned.release,
    sloMs: definition.sloMs,
    ...(assigned.signature ?? (await compileSignature(ctx, definition)).signature),
    arms: [{ arm: 'champion', artifact: assigned.artifact, version: keyOf(assigned), weight: 1 }],
    payloadRate: deps.payloadRate,
    inflightMax: deps.inflightMax,
  }
}

async function servedVersionOf(ctx: Context, assigned: Assigned): Promise<ServedVersion> {
  const version = await requireModelVersion(ctx, { model: assigned.model, version: assigned.version })
  const approvals = await approvalsOf(ctx, {
    model: assigned.model,
    version: assigned.version,
    environment: assigned.environment,
  })
  return {
    key: keyOf(assigned),
    artifact: assigned.artifact,
    sizeBytes: version.sizeBytes,
    passport: assigned.passport,
    model: assigned.model,
    version: assigned.version,
    approvals: approvals.map((approval) => ({
      by: approval.by,
      artifact: approval.artifact,
      passport: approval.passport,
    })),
    labels: {},
    columns: version.bound.signature?.columns ?? null,
  }
}

/** What all routes of all projects should serve now, without epoch and time. */
async function compileContent(ctx: Context, deps: SnapshotDeps): Promise<Omit<Snapshot, 'epoch' | 'issuedAtMs'>> {
  const routes: ServedRoute[] = []
  const versions = new Map<string, ServedVersion>()
  for (const assigned of await listAssignments(ctx)) {
    const own = ctx.as({ project: assigned.project })
    routes.push(await servedRouteOf(own, assigned, deps))
    versions.set(keyOf(assigned), await servedVersionOf(own, assigned))
  }
  return {
    v: 1,
    clock: deps.replay ?? null,
    routes,
    versions: [...versions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, version]) => version),
  }
}

/** What should serve, and the epoch of the newest snapshot if it says just that. */
async function compareNewest(tx: Tx, deps: SnapshotDeps) {
  const content = await compileContent(tx, deps)
  const contentDigest = digestValue(content)
  const newest = await tx.db
    .selectFrom('serving_snapshot')
    .select(['epoch', 'content_digest', 'key_id'])
    .orderBy('epoch', 'desc')
    .limit(1)
    .executeTakeFirst()
  const isCurrent = newest?.content_digest === contentDigest && newest.key_id === deps.signingKey.keyId
  return { content, contentDigest, lastEpoch: newest?.epoch ?? 0, isCurrent }
}

/**
 * Makes and signs a new snapshot when what should serve has changed; epochs count up without gaps. Returns the newest
 * epoch. Idempotent: called whenever a gateway asks for news.
 */
export async function publishSnapshot(tx: Tx, deps: SnapshotDeps): Promise<number> {
  const seen = await compareNewest(tx, deps)
  if (seen.isCurrent) return seen.lastEpoch
  // Publishers take turns, and look again: two gateways that ask at once must not make one epoch twice.
  await sql`select pg_advisory_xact_lock(${LOCK_KEY})`.execute(tx.db)
  const { content, contentDigest, lastEpoch, isCurrent } = await compareNewest(tx, deps)
  if (isCurrent) return lastEpoch
  const epoch = lastEpoch + 1
  const payload = canonicalJson({ ...content, epoch, issuedAtMs: Math.floor(tx.clock.nowMs()) })
  await tx.db
    .insertInto('serving_snapshot')
    .values({
      epoch,
      content_digest: contentDigest,
      payload,
      signature: signBytes(deps.signingKey, Buffer.from(payload)),
      key_id: deps.signingKey.keyId,
    })
    .execute()
  await tx.db
    .deleteFrom('serving_snapshot')
    .where('epoch', '<=', epoch - SNAPSHOTS_KEPT)
    .execute()
  await tx.emit({ type: 'serving.snapshot_published', subject: 'serving', data: { epoch, contentDigest } })
  return epoch
}

/** The newest snapshot after `epoch`, or undefined. */
export async function findSnapshot(ctx: Context, after: number): Promise<SignedSnapshot | undefined> {
  const row = await ctx.db
    .selectFrom('serving_snapshot')
    .select(['payload', 'signature', 'key_id'])
    .where('epoch', '>', after)
    .orderBy('epoch', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && { payload: row.payload, signature: row.signature, keyId: row.key_id }
}
