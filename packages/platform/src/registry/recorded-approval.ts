import type { LedgerFault } from '@plimsoll/sdk/wire'
import type { Selectable } from 'kysely'
import { type Context, rowsById } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { AUDIT_ENTRY_COLUMNS, type AuditEntryRow, readAudit, unauditedRow } from '../kernel/ledger/index.ts'
import type { ApprovalRow } from './tables.ts'

type Stored = Selectable<ApprovalRow>
const NAMES_MAX = 1_000

/** Digest of what an approval says when its model has this name: who, by which proof, of what, for where. */
function saidByRow(row: Stored, model: string): Digest {
  const { project, approver: actor, proof, version, environment, artifact, passport, comment } = row
  const data = { environment, artifact, passport, comment, isSelfApproved: row.is_self_approved }
  return digestValue({ project, subject: `${model}/${version}`, actor, proof, data })
}

/** The same of its audit row. */
function saidByAudit({ project, subject, actor, proof, data }: AuditEntryRow): Digest {
  return digestValue({ project, subject, actor, proof, data })
}

/** The name and those before it, since the audit keeps the name that a model had then. */
async function formerNames(ctx: Context, model: string): Promise<string[]> {
  const names = new Set([model])
  for (let next = [model]; next.length > 0 && names.size < NAMES_MAX; ) {
    const rows = await ctx.db
      .selectFrom('audit')
      .select('data')
      .where('project', '=', ctx.project)
      .where('subject', 'in', next)
      .where('action', '=', 'model.rename')
      .execute()
    next = rows.map((row) => (row.data as { from: string }).from).filter((name) => !names.has(name))
    for (const name of next) names.add(name)
  }
  return [...names]
}

/** Those approvals of one version that an audit row tells of: the others count for nothing. */
export async function recordedApprovals(
  ctx: Context,
  { model, version }: { model: string; version: number },
  rows: readonly Stored[],
): Promise<Set<Stored>> {
  if (rows.length === 0) return new Set()
  const names = await formerNames(ctx, model)
  const audit = await ctx.db
    .selectFrom('audit')
    .select(AUDIT_ENTRY_COLUMNS)
    .where('project', '=', ctx.project)
    .where(
      'subject',
      'in',
      names.map((name) => `${name}/${version}`),
    )
    .where('action', '=', 'version.approve')
    .execute()
  const said = new Set(audit.map(saidByAudit))
  return new Set(rows.filter((row) => names.some((name) => said.has(saidByRow(row, name)))))
}

/** The first approval of any project that no audit row tells of. */
export async function findUnrecordedApproval(ctx: Context): Promise<LedgerFault | undefined> {
  const approvals = ctx.db.selectFrom('approval').selectAll().orderBy('id')
  const rows = await Array.fromAsync(
    rowsById((after, limit) => approvals.where('id', '>', after).limit(limit).execute()),
  )
  // After the approvals: one that is made meanwhile has its audit row by the time it is seen.
  const said = new Set<Digest>()
  const before = new Map<string, Set<string>>()
  for await (const entry of readAudit(ctx, ['version.approve', 'model.rename'])) {
    if (entry.action === 'version.approve') said.add(saidByAudit(entry))
    else addTo(before, `${entry.project}/${entry.subject}`, (entry.data as { from: string }).from)
  }
  const isRecorded = (row: Stored) => {
    const names = new Set([row.model]) // grows while it is walked
    for (const name of names) {
      if (said.has(saidByRow(row, name))) return true
      for (const former of before.get(`${row.project}/${name}`) ?? []) names.add(former)
    }
    return false
  }
  const loose = rows.find((row) => !isRecorded(row))
  return (
    loose &&
    unauditedRow(
      'approval',
      {
        id: loose.id,
        subject: `${loose.model}/${loose.version} for ${loose.environment} by ${loose.approver}`,
        at: loose.created_at,
      },
      'The audit has no row that says what the approval says',
    )
  )
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key) ?? new Set()
  map.set(key, values.add(value))
}
