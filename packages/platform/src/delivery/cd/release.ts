import { sql } from 'kysely'
import { countText } from '../../kernel/count-text.ts'
import type { Tx } from '../../kernel/db/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { approvalsOf, findModelVersion, passportGaps, requireModelVersion } from '../../registry/index.ts'
import { assign, type Current, lockCurrent, type MoveRequest, refuseMoved, requireServing } from './assignment.ts'
import { areFeaturesDropped, requireFeatures } from './feature-readiness.ts'
import { listReleases, type ReleaseRecord, requireNamed } from './release-record.ts'
import { requireRoute } from './route.ts'
import { compileSignature, misfits } from './route-signature.ts'

export interface ReleaseRequest extends MoveRequest {
  readonly version: number
}

/**
 * Moves a route to a model version: the one place that decides what serves. The alias `champion` follows in the same
 * transaction. Every gap of the passport is listed with the command that fills it.
 *
 * @throws forbidden    delivery.named_principal_needed
 * @throws precondition delivery.passport_gaps · delivery.route_misfit · delivery.features_missing · delivery.route_moved
 */
export async function release(tx: Tx, request: ReleaseRequest): Promise<ReleaseRecord> {
  return assign(tx, await judgeRelease(tx, request))
}

/** All of a release but the change itself. @throws as `release` */
export async function judgeRelease(tx: Tx, request: ReleaseRequest): Promise<Parameters<typeof assign>[1]> {
  requireNamed(tx, 'release')
  // First, so that the route that is read is the one that stays.
  const current = await lockCurrent(tx, request)
  const route = await requireRoute(tx, { environment: request.environment, name: request.route })
  const { model } = route.definition
  const version = await requireModelVersion(tx, { model, version: request.version })
  const gaps = await passportGaps(tx, { model, version: request.version, environment: request.environment })
  if (gaps.length > 0) {
    throw new PlimsollError(
      'precondition',
      'delivery.passport_gaps',
      `Cannot release ${model} ${request.version} to ${request.environment}: its passport has ${countText(gaps.length, 'gap')}`,
      {
        faults: gaps.map((gap) => ({ pointer: gap.field, detail: `${gap.detail}; to fill it: ${gap.command}` })),
        action: 'Fill each gap as it says, and release again',
      },
    )
  }
  if (version.artifact === null)
    throw new PlimsollError(
      'internal',
      'delivery.no_artifact',
      `Cannot release ${model} ${request.version}: its row has no artifact, though its passport names one`,
    )
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
  refuseMoved(request, 'release to', current)
  const approvals = await approvalsOf(tx, { model, version: request.version, environment: request.environment })
  return {
    action: 'release',
    environment: request.environment,
    route: request.route,
    current,
    to: { model, version: request.version, artifact: version.artifact, passport: version.passport, signature },
    restores: null,
    isSelfApproved: approvals.every((approval) => approval.isSelfApproved || approval.by === tx.principal.id),
    reason: request.reason,
  }
}

const CANDIDATES_MAX = 1_000

/**
 * The newest release before the one that serves, or before the one that a rollback returned to, that differs from it and
 * whose version and features still exist: going back twice never comes forward to what was rolled back from.
 */
async function findBefore(tx: Tx, key: { environment: string; route: string }, current: Current) {
  const releases = tx.db
    .selectFrom('release')
    .selectAll()
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
    .where('action', '!=', 'retire')
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
  for (const candidate of candidates)
    if ((await findModelVersion(tx, candidate)) && !(await areFeaturesDropped(tx, candidate.signature)))
      return candidate
  return undefined
}

const HISTORY_MAX = 100
const NAMED_MAX = 5

/** Says what serves, what else has served, and the command that lets a chosen version serve. */
async function refuseNothingBefore(
  tx: Tx,
  key: { environment: string; route: string },
  { serving }: Current,
): Promise<never> {
  const nameOf = ({ model, version }: { model: string; version: number }) => `${model}/${version}`
  const history = await listReleases(tx, key, { limit: HISTORY_MAX })
  const others = [...new Set(history.map(nameOf))].filter((name) => serving && name !== nameOf(serving))
  const named = others.slice(0, NAMED_MAX).join(', ')
  const where = key.environment === 'production' ? '' : ` --environment ${key.environment}`
  throw new PlimsollError(
    'precondition',
    'delivery.nothing_before',
    serving
      ? `Cannot roll ${key.route} back: it serves ${nameOf(serving)}, and nothing that is still there served before that`
      : `Cannot roll ${key.route} back: nothing has served on it yet`,
    {
      action: `${named ? `Its history has ${named} too. ` : ''}Let a version serve: plimsoll release ${key.route} VERSION --reason WHY${where} --token-file APPROVER.token`,
    },
  )
}

/**
 * Returns a route to what served before. Needs no new approval: what has served may be rolled back to.
 * @throws precondition delivery.nothing_before · delivery.nothing_serves · delivery.route_moved
 * @throws forbidden    delivery.named_principal_needed
 */
export async function rollback(tx: Tx, request: MoveRequest): Promise<ReleaseRecord> {
  requireNamed(tx, 'roll back')
  await requireRoute(tx, { environment: request.environment, name: request.route })
  const current = await lockCurrent(tx, request)
  if (current.epoch > 0) requireServing(request, 'roll back', current)
  refuseMoved(request, 'roll back', current)
  const before = await findBefore(tx, request, current)
  if (!before) return refuseNothingBefore(tx, request, current)
  const { model, version, artifact, passport, signature } = before
  return assign(tx, {
    action: 'rollback',
    environment: request.environment,
    route: request.route,
    current,
    to: { model, version, artifact, passport, signature },
    restores: before.restores ?? before.epoch,
    isSelfApproved: false,
    reason: request.reason,
  })
}
