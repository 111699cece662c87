import type { ApprovalView } from '@plimsoll/sdk/wire'
import type { Selectable } from 'kysely'
import { NAMED_ACTION } from '../kernel/auth/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { recordedApprovals } from './recorded-approval.ts'
import type { ApprovalRow } from './tables.ts'
import { type ModelVersion, requireModelVersion } from './version.ts'
import './events.ts'

export interface Approval {
  readonly by: string
  readonly proof: string
  readonly environment: string
  readonly comment: string
  readonly artifact: string
  readonly passport: string
  readonly isSelfApproved: boolean
  readonly at: Date
}

/** `isRecorded`: the audit tells of it. One that it does not tell of counts for nothing. */
interface StoredApproval extends Approval {
  readonly isRecorded: boolean
}

interface ApprovalKey {
  readonly model: string
  readonly version: number
  readonly environment: string
}

/** All approvals of a version for an environment, also those that a changed passport has voided. */
async function allApprovals(ctx: Context, key: ApprovalKey): Promise<StoredApproval[]> {
  const rows = await ctx.db
    .selectFrom('approval')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', '=', key.model)
    .where('version', '=', key.version)
    .where('environment', '=', key.environment)
    .orderBy('created_at')
    .limit(100)
    .execute()
  const recorded = await recordedApprovals(ctx, key, rows)
  return rows.map((row) => ({ ...toApproval(row), isRecorded: recorded.has(row) }))
}

function toApproval(row: Selectable<ApprovalRow>): Approval {
  return {
    by: row.approver,
    proof: row.proof,
    environment: row.environment,
    comment: row.comment,
    artifact: row.artifact,
    passport: row.passport,
    isSelfApproved: row.is_self_approved,
    at: row.created_at,
  }
}

function isBinding(approval: StoredApproval, version: ModelVersion): boolean {
  return approval.isRecorded && approval.artifact === version.artifact && approval.passport === version.passport
}

/** Approvals that still bind what the version is. */
export async function approvalsOf(ctx: Context, key: ApprovalKey): Promise<Approval[]> {
  const version = await requireModelVersion(ctx, key)
  const stored = (await allApprovals(ctx, key)).filter((approval) => isBinding(approval, version))
  return stored.map(({ isRecorded: _, ...approval }) => approval)
}

/** Approvals that the audit does not tell of: somebody wrote them past the registry. */
export async function unrecordedApprovals(ctx: Context, key: ApprovalKey): Promise<Approval[]> {
  return (await allApprovals(ctx, key)).filter((approval) => !approval.isRecorded)
}

export async function listApprovals(ctx: Context, key: ApprovalKey): Promise<ApprovalView[]> {
  const version = await requireModelVersion(ctx, key)
  return (await allApprovals(ctx, key)).map(({ isRecorded, at, ...approval }) => ({
    ...approval,
    artifact: approval.artifact as `sha256:${string}`,
    isValid: isBinding({ ...approval, isRecorded, at }, version),
    at: at.toISOString(),
  }))
}

async function repeatedApproval(tx: Tx, request: ApprovalKey): Promise<Approval> {
  const { id } = tx.principal
  const found = (await approvalsOf(tx, request)).find((approval) => approval.by === id)
  if (found) return found
  throw new PlimsollError(
    'precondition',
    'registry.approval_unrecorded',
    `Cannot approve ${request.model} ${request.version}: there is an approval of ${id} that the audit does not tell of`,
    { action: 'Run plimsoll audit verify, and let somebody else approve' },
  )
}

/**
 * A named principal's statement about a version's digests. Binds artifact and passport: a change of either voids it. When
 * the approver also started the run that made the version, it is recorded as self-approved. Repeating it is free.
 *
 * @throws forbidden registry.named_principal_needed · precondition registry.nothing_to_approve ·
 * registry.approval_unrecorded
 */
export async function approve(
  tx: Tx,
  request: ApprovalKey & { comment: string },
): Promise<Approval & { isNew: boolean }> {
  const { principal } = tx
  if (!principal.named) {
    throw new PlimsollError(
      'forbidden',
      'registry.named_principal_needed',
      `Cannot approve: a named principal must do it, and this caller is ${principal.id}`,
      {
        action: NAMED_ACTION,
      },
    )
  }
  const version = await requireModelVersion(tx, request)
  if (version.artifact === null) {
    throw new PlimsollError(
      'precondition',
      'registry.nothing_to_approve',
      `Cannot approve ${request.model} ${request.version}: it has no artifact in the store`,
    )
  }
  const starter =
    version.run === null
      ? undefined
      : await tx.db.selectFrom('pipeline_run').select('actor').where('id', '=', version.run).executeTakeFirst()
  const isSelfApproved =
    version.createdBy === principal.id || starter?.actor === principal.id || starter?.actor === 'anonymous'
  const row = { artifact: version.artifact, passport: version.passport }
  const stored = await tx.db
    .insertInto('approval')
    .values({
      id: newId('apr', tx.clock),
      project: tx.project,
      model: request.model,
      version: request.version,
      environment: request.environment,
      ...row,
      approver: principal.id,
      proof: principal.proof,
      comment: request.comment,
      is_self_approved: isSelfApproved,
    })
    .onConflict((conflict) =>
      conflict.columns(['project', 'model', 'version', 'environment', 'approver', 'passport']).doNothing(),
    )
    .returningAll()
    .executeTakeFirst()
  if (!stored) return { ...(await repeatedApproval(tx, request)), isNew: false }
  await tx.emit({
    type: 'registry.version_approved',
    subject: `${request.model}/${request.version}`,
    data: { environment: request.environment, by: principal.id, ...row },
  })
  await tx.audit({
    action: 'version.approve',
    subject: `${request.model}/${request.version}`,
    data: { environment: request.environment, ...row, comment: request.comment, isSelfApproved },
  })
  return { ...toApproval(stored), isNew: true }
}
