import { auditPage, auditQuery, ledgerReport, ledgerRestored, restoreBody } from '@plimsoll/sdk/wire'
import type { Context } from '../db/index.ts'
import { type AnyEndpoint, endpoint } from '../http/index.ts'
import { type LedgerCheck, rebuildLedger, repairJournal, verifyLedger } from '../ledger/index.ts'

async function listAudit(
  ctx: Context,
  page: { before?: bigint | undefined; subject?: string | undefined; limit: number },
) {
  let query = ctx.db
    .selectFrom('audit')
    .select(['seq', 'at', 'actor', 'proof', 'action', 'subject', 'data'])
    .where('project', '=', ctx.project)
    .orderBy('seq', 'desc')
    .limit(page.limit)
  if (page.before !== undefined) query = query.where('seq', '<', page.before)
  if (page.subject !== undefined) query = query.where('subject', '=', page.subject)
  return (await query.execute()).map((row) => ({ ...row, seq: String(row.seq), at: row.at.toISOString() }))
}

/** What people and programs did, and whether the record of it is whole. */
export function auditEndpoints(journalPath: string, checks: readonly LedgerCheck[]): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/audit',
      scope: 'viewer',
      summary: 'What was done in the project, by whom, and how they showed who they are; newest first',
      query: auditQuery,
      response: auditPage,
      handler: async ({ ctx, query }) => ({ entries: await listAudit(ctx, query) }),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/audit/verify',
      scope: 'platform',
      summary:
        'Recomputes the chain of the ledger, compares it with the journal, and approvals and releases with the audit; names the first broken row',
      response: ledgerReport,
      handler: async ({ ctx }) => verifyLedger(ctx, journalPath, checks),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/audit/repair-journal',
      scope: 'operator',
      summary:
        'Writes a journal that was cut or damaged again from the database, and why into the audit; keeps the old',
      body: restoreBody,
      response: ledgerRestored,
      handler: async ({ ctx, body }) => repairJournal(ctx, journalPath, body.reason),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/audit/rebuild',
      scope: 'operator',
      summary:
        'Puts the ledger and the audit rows of the database back to what the journal says, and why into the audit; keeps what it overwrites; names the first row that does not fit still',
      body: restoreBody,
      response: ledgerRestored,
      handler: async ({ ctx, body }) => {
        const done = await rebuildLedger(ctx, journalPath, body.reason)
        // Rows that are no audit rows are not in the journal: what they say is only compared with it.
        const { broken } = await verifyLedger(ctx, journalPath, checks)
        return { ...done, ...(broken ? { broken } : {}) }
      },
    }),
  ]
}
