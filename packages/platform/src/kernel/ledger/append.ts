import { sql } from 'kysely'
import type { Context, Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import './tables.ts'

export interface LedgerEntry {
  /** `domain.what`, for example `registry.version`; `audit` is kept for audit rows, which enter by themselves. */
  readonly kind: string
  readonly subject: string
  readonly data: unknown
}

/** Adds a row to the ledger in this transaction. It is sealed and journalled after the commit and never changes. */
export async function appendLedger(tx: Tx, entry: LedgerEntry): Promise<void> {
  if (!/^[a-z_]+\.[a-z_]+$/.test(entry.kind)) {
    throw new PlimsollError(
      'internal',
      'ledger.bad_kind',
      `Cannot add to the ledger: "${entry.kind}" is not of the form domain.what`,
    )
  }
  const { kind, subject } = entry
  await tx.db
    .insertInto('ledger_row')
    .values({ project: tx.project, kind, subject, data: JSON.stringify(entry.data ?? null) })
    .execute()
}

export interface LedgerView {
  seq: bigint
  kind: string
  subject: string
  at: Date
  data: unknown
  /** Place in the chain; null until it is sealed. */
  position: bigint | null
  hash: string | null
}

/** The history of one subject, oldest first. */
export async function listLedger(
  ctx: Context,
  page: { kind: string; subject: string; after: bigint; limit: number },
): Promise<LedgerView[]> {
  return ctx.db
    .selectFrom('ledger_row as r')
    .leftJoin('ledger_seal as s', 's.seq', 'r.seq')
    .select(['r.seq', 'r.kind', 'r.subject', 'r.at', 'r.data', 's.position', 's.hash'])
    .where('r.project', '=', ctx.project)
    .where('r.kind', '=', page.kind)
    .where('r.subject', '=', page.subject)
    .where('r.seq', '>', page.after)
    .orderBy('r.seq')
    .limit(page.limit)
    .execute()
}

/** A time as a record says it: UTC, microseconds. */
export function utcText(column: string) {
  return sql`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}

/** Columns of a record, as texts, for queries on `ledger_row r`. */
export const RECORD_COLUMNS = sql<never>`r.seq::text as seq, r.project, r.kind, r.subject,
  ${utcText('r.at')} as at, r.data::text as data`
