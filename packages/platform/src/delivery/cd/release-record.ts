import type { ReleaseAction } from '@plimsoll/sdk/wire'
import type { Selectable } from 'kysely'
import { NAMED_ACTION } from '../../kernel/auth/index.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import type { ReleaseRow } from './tables.ts'

export interface ReleaseRecord {
  id: string
  environment: string
  route: string
  epoch: number
  action: ReleaseAction
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

export function toRecord(row: Selectable<ReleaseRow>): ReleaseRecord {
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

/** @throws forbidden delivery.named_principal_needed */
export function requireNamed(tx: Tx, verb: string): void {
  if (tx.principal.named) return
  throw new PlimsollError(
    'forbidden',
    'delivery.named_principal_needed',
    `Cannot ${verb}: a named principal must do it, and this caller is ${tx.principal.id}`,
    {
      action: NAMED_ACTION,
    },
  )
}
