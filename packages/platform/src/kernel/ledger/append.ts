import { sql } from 'kysely'
import type { Tx } from '../db/index.ts'
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

/** A time as a record says it: UTC, microseconds. */
export function utcText(column: string) {
  return sql`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}

/** Columns of a record, as texts, for queries on `ledger_row r`. */
export const RECORD_COLUMNS = sql<never>`r.seq::text as seq, r.project, r.kind, r.subject,
  ${utcText('r.at')} as at, r.data::text as data`
