import {
  type PassportBound,
  type ServedRoute,
  type ServedVersion,
  type SignedSnapshot,
  type Snapshot,
  snapshot,
} from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { compileSignature, listAssignments, requireRoute } from '../../delivery/index.ts'
import { liveTokens } from '../../kernel/auth/index.ts'
import { type SigningKey, signBytes } from '../../kernel/auth/verify/index.ts'
import { canonicalJson } from '../../kernel/canonical.ts'
import type { ReplayClockSettings } from '../../kernel/clock.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { digestValue } from '../../kernel/digest.ts'
import { ERROR_KINDS, toPlimsollError } from '../../kernel/errors.ts'
import { approvalsOf, requireModelVersion } from '../../registry/index.ts'
import './events.ts'
import './tables.ts'

type ServedLimits = Pick<ServedRoute, 'inflightMax' | 'payloadRate'>

export interface SnapshotDeps extends Readonly<ServedLimits> {
  readonly signingKey: SigningKey
  readonly replay: ReplayClockSettings | undefined
  /** Gateways ask for tokens: the snapshot says which they take. */
  readonly requireToken: boolean
}

const SNAPSHOTS_KEPT = 1_000
const LOCK_KEY = 7_440_004

type Assigned = Awaited<ReturnType<typeof listAssignments>>[number]

/** Equal bytes may be two versions, and a version has approvals of its own in each environment. */
function keyOf({ project, environment, model, version }: Assigned): string {
  return `${project}/${environment}/${model}/${version}`
}

async function servedRouteOf(ctx: Context, assigned: Assigned, deps: ServedLimits): Promise<ServedRoute> {
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
    payloadRate: definition.payloads?.rate ?? deps.payloadRate,
    redacted: definition.payloads?.redact ?? [],
    inflightMax: deps.inflightMax,
  }
}

function labelsOf({ signature }: PassportBound): ServedVersion['labels'] {
  const outputs = signature?.outputs ?? []
  return Object.fromEntries(outputs.flatMap(({ name, labels }) => (labels ? [[name, labels]] : [])))
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
    labels: labelsOf(version.bound),
    columns: version.bound.signature?.columns ?? null,
  }
}

/** Why an assigned route cannot be made ready. It serves what it served before, if anything. */
interface RouteFault extends Pick<Assigned, 'project' | 'environment' | 'route'> {
  readonly reason: string
}

type Served = { readonly route: ServedRoute; readonly versions: readonly (readonly [string, ServedVersion])[] }

async function servedOf(ctx: Context, assigned: Assigned, deps: ServedLimits): Promise<Served> {
  const own = ctx.as({ project: assigned.project })
  const route = await servedRouteOf(own, assigned, deps)
  return { route, versions: [[keyOf(assigned), await servedVersionOf(own, assigned)]] }
}

/** As `servedOf`, or why not. What may pass is thrown: a database that does not answer is no fault of a route. */
async function tryServed(ctx: Context, assigned: Assigned, deps: ServedLimits): Promise<Served | RouteFault> {
  try {
    return await servedOf(ctx, assigned, deps)
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    if (ERROR_KINDS[error.kind].retry || error.kind === 'internal') throw thrown
    const { project, environment, route } = assigned
    return { project, environment, route, reason: error.message }
  }
}

/** What the newest snapshot says of a route. */
function lastServed(last: Snapshot | undefined, { project, environment, route: name }: RouteFault): Served | undefined {
  const route = last?.routes.find(
    (served) => served.project === project && served.environment === environment && served.name === name,
  )
  if (!last || !route) return undefined
  const keys = new Set(route.arms.map((arm) => arm.version ?? arm.artifact))
  const versions = last.versions.map((version) => [version.key ?? version.artifact, version] as const)
  return { route, versions: versions.filter(([key]) => keys.has(key)) }
}

async function callersOf(ctx: Context): Promise<NonNullable<Snapshot['callers']>> {
  const tokens = await liveTokens(ctx)
  return tokens.map(({ hash, project, expires_at }) => ({ hash, project, expiresAtMs: expires_at.getTime() }))
}

/** What all routes of all projects should serve now, without epoch and time. One that has a fault harms no other. */
async function compileContent(ctx: Context, deps: SnapshotDeps, last: () => Snapshot | undefined) {
  const routes: ServedRoute[] = []
  const versions = new Map<string, ServedVersion>()
  const faults: RouteFault[] = []
  for (const assigned of await listAssignments(ctx)) {
    const tried = await tryServed(ctx, assigned, deps)
    if ('reason' in tried) faults.push(tried)
    const served = 'reason' in tried ? lastServed(last(), tried) : tried
    if (!served) continue
    routes.push(served.route)
    for (const [key, version] of served.versions)
      if (!('reason' in tried) || !versions.has(key)) versions.set(key, version)
  }
  const content: Omit<Snapshot, 'epoch' | 'issuedAtMs'> = {
    v: 1,
    clock: deps.replay ?? null,
    routes,
    versions: [...versions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, version]) => version),
    ...(deps.requireToken ? { callers: await callersOf(ctx) } : {}),
  }
  return { content, faults }
}

/** Why a route of the context's project does not serve what is assigned to it; null when it does, or has nothing. */
export async function routeFault(ctx: Context, key: { environment: string; route: string }): Promise<string | null> {
  const assigned = (await listAssignments(ctx)).find(
    (one) => one.project === ctx.project && one.environment === key.environment && one.route === key.route,
  )
  if (!assigned) return null
  const tried = await tryServed(ctx, assigned, { inflightMax: 1, payloadRate: 0 }) // of no account here
  return 'reason' in tried ? tried.reason : null
}

/** What should serve, and the epoch of the newest snapshot if it says just that. */
async function compareNewest(tx: Tx, deps: SnapshotDeps) {
  const newest = await tx.db
    .selectFrom('serving_snapshot')
    .select(['epoch', 'content_digest', 'key_id', 'payload'])
    .orderBy('epoch', 'desc')
    .limit(1)
    .executeTakeFirst()
  const last = () => newest && snapshot.parse(JSON.parse(newest.payload))
  const { content, faults } = await compileContent(tx, deps, last)
  const contentDigest = digestValue(content)
  const isCurrent = newest?.content_digest === contentDigest && newest.key_id === deps.signingKey.keyId
  return { content, contentDigest, faults, lastEpoch: newest?.epoch ?? 0, isCurrent }
}

/**
 * Makes and signs a new snapshot when what should serve has changed; epochs count up without gaps. Returns the newest
 * epoch. Idempotent.
 */
export async function publishSnapshot(tx: Tx, deps: SnapshotDeps): Promise<number> {
  const seen = await compareNewest(tx, deps)
  for (const fault of seen.faults)
    tx.log.error({ ...fault }, 'a route cannot be made ready; it serves what it served before')
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
