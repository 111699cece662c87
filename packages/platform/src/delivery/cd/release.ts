import type { RouteSignature } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { alsoPin } from '../../kernel/blob/index.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { newId } from '../../kernel/ids.ts'
import {
  approvalsOf,
  findModelVersion,
  holdVersion,
  passportGaps,
  projectChampion,
  requireModelVersion,
} from '../../registry/index.ts'
import { requireFeatures } from './feature-readiness.ts'
import { requireRoute } from './route.ts'
import { compileSignature, misfits } from './route-signature.ts'

export interface ReleaseRequest {
  route: string
  environment: string
  version: number
  reason: string
  /** Artifact that the caller believes serves now; null for none. Checked when given. */
  expected?: string | null
}

export interface ReleaseRecord {
  id: string
  environment: string
  route: string
  epoch: number
  action: 'release' | 'rollback'
  model: string
  version: number
  artifact: string
  passport: string
  fromArtifact: string | null
  actor: string
  isSelfApproved: boolean
  reason: string
  createdAt: Date
}

function requireNamed(tx: Tx, verb: string): void {
  if (tx.principal.named) return
  throw new PlimsollError(
    'forbidden',
    'delivery.named_principal_needed',
    `Cannot ${verb}: a named principal must do it, and this caller is ${tx.principal.id}`,
    {
      action: 'Sign in with a named token (plimsoll token create), an SSH key or OIDC',
    },
  )
}

interface Current {
  epoch: number
  artifact: string | null
  version: number | null
}

/** Locks the route's row, so that two releases of one route take turns, and reads what serves. */
async function lockCurrent(tx: Tx, key: { environment: string; name: string }): Promise<Current> {
  await tx.db
    .selectFrom('route')
    .select('name')
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('name', '=', key.name)
    .forUpdate()
    .execute()
  const row = await tx.db
    .selectFrom('assignment')
    .select(['epoch', 'artifact', 'version'])
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.name)
    .executeTakeFirst()
  return row ?? { epoch: 0, artifact: null, version: null }
}

/**
 * Moves a route to a model version: the one place that decides what serves. The alias `champion` follows in the same
 * transaction. Every gap of the passport is listed with the command that fills it.
 *
 * @throws forbidden    delivery.named_principal_needed
 * @throws precondition delivery.passport_gaps · delivery.route_misfit · delivery.features_missing · delivery.route_moved
 */
export async function release(tx: Tx, request: ReleaseRequest): Promise<ReleaseRecord> {
  requireNamed(tx, 'release')
  // First, so that the route that is read is the one that stays.
  const current = await lockCurrent(tx, { environment: request.environment, name: request.route })
  const route = await requireRoute(tx, { environment: request.environment, name: request.route })
  const { model } = route.definition
  const version = await requireModelVersion(tx, { model, version: request.version })
  const gaps = await passportGaps(tx, { model, version: request.version, environment: request.environment })
  if (gaps.length > 0) {
    throw new PlimsollError(
      'precondition',
      'delivery.passport_gaps',
      `Cannot release ${model} ${request.version} to ${request.environment}: its passport has ${gaps.length} gaps`,
      {
        faults: gaps.map((gap) => ({ pointer: gap.field, detail: `${gap.detail}; to fill it: ${gap.command}` })),
        action: gaps[0]!.command,
      },
    )
  }
  if (version.artifact === null)
    throw new PlimsollError('internal', 'delivery.no_artifact', 'A version without an artifact has no gap')
  const { signature } = await compileSignature(tx, route.definition)
  const faults = misfits(signature, version.bound)
  if (faults.length > 0)
    throw new PlimsollError(
      'precondition',
      'delivery.route_misfit',
      `Cannot release ${model} ${request.version} to route ${request.route}: ${faults[0]!.detail}`,
      { faults },
    )
  await requireFeatures(tx, `release ${model} ${request.version} to route ${request.route}`, signature, version.bound)
  if (request.expected !== undefined && request.expected !== current.artifact) {
    throw new PlimsollError(
      'precondition',
      'delivery.route_moved',
      `Cannot release to ${request.route}: expected ${request.expected ?? 'nothing'} to serve, found ${current.artifact ?? 'nothing'}`,
      { expected: request.expected, actual: current.artifact },
    )
  }
  const approvals = await approvalsOf(tx, { model, version: request.version, environment: request.environment })
  return assign(tx, {
    action: 'release',
    environment: request.environment,
    route: request.route,
    current,
    to: { model, version: request.version, artifact: version.artifact, passport: version.passport },
    signature,
    restores: null,
    isSelfApproved: approvals.every((approval) => approval.isSelfApproved || approval.by === tx.principal.id),
    reason: request.reason,
  })
}

const CANDIDATES_MAX = 1_000

/**
 * The newest release before the one that serves, or before the one that a rollback returned to, that differs from it and
 * whose version still exists: going back twice never comes forward to what was rolled back from.
 */
async function findBefore(tx: Tx, key: { environment: string; route: string }, current: Current) {
  const releases = tx.db
    .selectFrom('release')
    .selectAll()
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
  const serving = await releases.where('epoch', '=', current.epoch).executeTakeFirst()
  if (!serving) return undefined
  const signature = JSON.stringify(serving.signature)
  const candidates = await releases
    .where('epoch', '<', serving.restores ?? serving.epoch)
    .where((eb) =>
      eb.or([
        eb('artifact', '!=', serving.artifact),
        eb('passport', '!=', serving.passport),
        sql<boolean>`coalesce(signature, 'null'::jsonb) <> ${signature}::jsonb`,
      ]),
    )
    .orderBy('epoch', 'desc')
    .limit(CANDIDATES_MAX)
    .execute()
  for (const candidate of candidates) if (await findModelVersion(tx, candidate)) return candidate
  return undefined
}

/**
 * Returns a route to what served before. Needs no new approval: what has served may be rolled back to.
 * @throws precondition delivery.nothing_before · forbidden delivery.named_principal_needed
 */
export async function rollback(
  tx: Tx,
  request: { route: string; environment: string; reason: string },
): Promise<ReleaseRecord> {
  requireNamed(tx, 'roll back')
  await requireRoute(tx, { environment: request.environment, name: request.route })
  const current = await lockCurrent(tx, { environment: request.environment, name: request.route })
  const before = await findBefore(tx, request, current)
  if (!before)
    throw new PlimsollError(
      'precondition',
      'delivery.nothing_before',
      `Cannot roll ${request.route} back: nothing else has served on it before`,
    )
  const { model, version, artifact, passport, signature } = before
  return assign(tx, {
    action: 'rollback',
    environment: request.environment,
    route: request.route,
    current,
    to: { model, version, artifact, passport },
    signature,
    restores: before.restores ?? before.epoch,
    isSelfApproved: false,
    reason: request.reason,
  })
}

interface Assignment {
  action: 'release' | 'rollback'
  environment: string
  route: string
  current: Current
  to: { model: string; version: number; artifact: string; passport: string }
  signature: RouteSignature | null
  restores: number | null
  isSelfApproved: boolean
  reason: string
}

/** Gateways know a route by environment and name, whatever its project. */
async function refuseTakenName(tx: Tx, { environment, route }: Assignment): Promise<void> {
  const other = await tx.db
    .selectFrom('assignment')
    .select('project')
    .where('project', '!=', tx.project)
    .where('environment', '=', environment)
    .where('route', '=', route)
    .executeTakeFirst()
  if (other)
    throw new PlimsollError(
      'precondition',
      'delivery.route_name_taken',
      `Cannot serve on route "${route}" in ${environment}: another project serves under that name`,
      { action: 'Give the route another name' },
    )
}

async function assign(tx: Tx, change: Assignment): Promise<ReleaseRecord> {
  const { environment, route, to, current } = change
  await refuseTakenName(tx, change)
  const id = newId('rel', tx.clock)
  const epoch = current.epoch + 1
  const signature = change.signature === null ? null : JSON.stringify(change.signature)
  const row = await tx.db
    .insertInto('release')
    .values({
      id,
      project: tx.project,
      environment,
      route,
      epoch,
      action: change.action,
      ...to,
      from_artifact: current.artifact,
      actor: tx.principal.id,
      proof: tx.principal.proof,
      is_self_approved: change.isSelfApproved,
      reason: change.reason,
      signature,
      restores: change.restores,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  await tx.db
    .insertInto('assignment')
    .values({ project: tx.project, environment, route, release: id, epoch, ...to, signature })
    .onConflict((conflict) =>
      conflict.columns(['project', 'environment', 'route']).doUpdateSet({ release: id, epoch, ...to, signature }),
    )
    .execute()
  await alsoPin(tx, { owner: `release:${id}`, digests: [to.artifact] })
  await holdVersion(tx, { holder: `${environment}/${route}`, model: to.model, version: to.version })
  await projectChampion(tx, { model: to.model, version: to.version, environment })
  await tx.emit({
    type: 'delivery.assigned',
    subject: `${environment}/${route}`,
    data: { release: id, epoch, ...to, from: current.artifact },
  })
  await tx.audit({
    action: `release.${change.action === 'release' ? 'create' : 'rollback'}`,
    subject: `${environment}/${route}`,
    data: {
      release: id,
      epoch,
      ...to,
      from: current.artifact,
      isSelfApproved: change.isSelfApproved,
      reason: change.reason,
    },
  })
  return toRecord(row)
}

interface StoredRelease {
  id: string
  environment: string
  route: string
  epoch: number
  action: 'release' | 'rollback'
  model: string
  version: number
  artifact: string
  passport: string
  from_artifact: string | null
  actor: string
  is_self_approved: boolean
  reason: string
  created_at: Date
}

function toRecord(row: StoredRelease): ReleaseRecord {
  const { id, environment, route, epoch, action, model, version, artifact, passport, actor, reason } = row
  return {
    id,
    environment,
    route,
    epoch,
    action,
    model,
    version,
    artifact,
    passport,
    fromArtifact: row.from_artifact,
    actor,
    isSelfApproved: row.is_self_approved,
    reason,
    createdAt: row.created_at,
  }
}

export async function findRelease(ctx: Context, id: string): Promise<ReleaseRecord | undefined> {
  const row = await ctx.db
    .selectFrom('release')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .executeTakeFirst()
  return row && toRecord(row)
}

/** Releases of a route, newest first. */
export async function listReleases(
  ctx: Context,
  key: { environment: string; route: string },
  page: { beforeEpoch?: number | undefined; limit: number },
): Promise<ReleaseRecord[]> {
  let query = ctx.db
    .selectFrom('release')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
  if (page.beforeEpoch !== undefined) query = query.where('epoch', '<', page.beforeEpoch)
  const rows = await query.orderBy('epoch', 'desc').limit(page.limit).execute()
  return rows.map(toRecord)
}

/** What serves on each route of every project: read by the snapshot, which spans projects. */
export async function listAssignments(ctx: Context): Promise<
  {
    project: string
    environment: string
    route: string
    release: string
    epoch: number
    model: string
    version: number
    artifact: string
    passport: string
    signature: RouteSignature | null
  }[]
> {
  return ctx.db
    .selectFrom('assignment')
    .select([
      'project',
      'environment',
      'route',
      'release',
      'epoch',
      'model',
      'version',
      'artifact',
      'passport',
      'signature',
    ])
    .orderBy('project')
    .orderBy('environment')
    .orderBy('route')
    .execute()
}

export async function findAssignment(ctx: Context, key: { environment: string; route: string }) {
  return ctx.db
    .selectFrom('assignment')
    .select(['release', 'epoch', 'model', 'version', 'artifact', 'passport', 'updated_at'])
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
    .executeTakeFirst()
}
