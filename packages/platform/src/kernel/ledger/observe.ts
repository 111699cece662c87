import { sql } from 'kysely'
import { type Context, observeCounts } from '../db/index.ts'
import type { Metrics } from '../telemetry/index.ts'
import './tables.ts'

/** Adds `plimsoll_ledger_waiting`, over all projects: rows whose seal, or whose place in the journal, is still to come. */
export function observeLedger(ctx: Context, metrics: Metrics): void {
  observeCounts(ctx, metrics, {
    name: 'plimsoll_ledger_waiting',
    help: 'Rows of the ledger that are not sealed yet, and sealed ones that are not in the journal yet',
    label: 'for',
    count: async ({ db }) => {
      const { rows } = await sql<{ seal: bigint; journal: bigint }>`
        select (select count(*) from ledger_pending) as seal,
          (select count(*) from ledger_seal where position > coalesce((select position from ledger_mark), 0)) as journal
      `.execute(db)
      return { ...rows[0]! } // counts are one row
    },
  })
}
