import type { Filled, Jsonb } from '../db/index.ts'

export interface LedgerRowRow {
  seq: Filled<bigint>
  project: string
  kind: string
  subject: string
  at: Filled<Date>
  data: Jsonb<unknown>
}

declare module '../db/tables.ts' {
  interface Tables {
    ledger_row: LedgerRowRow
    /** Rows that wait for their seal, with the transaction that wrote them. */
    ledger_pending: { seq: bigint; xid: Filled<string> }
    ledger_seal: { position: bigint; seq: bigint; hash: string; sealed_at: Filled<Date> }
    /** One row: how far the journal was written. */
    ledger_mark: { id: Filled<boolean>; position: bigint; hash: string }
  }
}
