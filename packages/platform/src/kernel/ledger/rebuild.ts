import { sql } from 'kysely'
import type { Context, Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import { readJournal } from './journal.ts'
import { GENESIS, hashRecord, type SealedRecord } from './record.ts'
import './tables.ts'

const BATCH = 500
const FROZEN = ['audit', 'ledger_row', 'ledger_seal'] as const

/**
 * Puts the ledger and the audit rows of the database back to what the journal says; later rows stay. The journal is
 * checked first, whole. Needs the owner of the tables, since it sets the triggers against changes aside.
 * @returns how many records the journal holds
 * @throws internal ledger.journal_damaged
 */
export async function rebuildLedger(ctx: Context, journalPath: string): Promise<number> {
  let previous: string = GENESIS
  let count = 0
  for await (const { record, isTorn } of readJournal(journalPath)) {
    if (isTorn) break
    if (record === undefined || record.position !== String(count + 1) || hashRecord(previous, record) !== record.hash) {
      throw new PlimsollError(
        'internal',
        'ledger.journal_damaged',
        `Cannot rebuild from ${journalPath}: its chain is broken at position ${count + 1}`,
      )
    }
    previous = record.hash
    count++
  }
  let batch: SealedRecord[] = []
  const flush = async () => {
    if (batch.length > 0) await ctx.transaction((tx) => restore(tx, batch))
    batch = []
  }
  for await (const { record } of readJournal(journalPath)) {
    if (record) batch.push(record)
    if (batch.length === BATCH) await flush()
  }
  await flush()
  await ctx.transaction(async (tx) => {
    for (const table of ['audit', 'ledger_row'] as const) {
      await sql`select setval(pg_get_serial_sequence(${table}, 'seq'), greatest((select coalesce(max(seq), 0) from ${sql.table(table)}), 1))`.execute(
        tx.db,
      )
    }
    await tx.audit({ action: 'ledger.rebuild', subject: 'ledger', data: { records: count, head: previous } })
  })
  return count
}

async function restore(tx: Tx, records: readonly SealedRecord[]): Promise<void> {
  for (const table of FROZEN) await sql`alter table ${sql.table(table)} disable trigger user`.execute(tx.db)
  for (const record of records) {
    await sql`insert into ledger_row (seq, project, kind, subject, at, data) overriding system value
      values (${record.seq}::bigint, ${record.project}, ${record.kind}, ${record.subject}, ${record.at}::timestamptz, ${record.data}::jsonb)
      on conflict (seq) do update set project = excluded.project, kind = excluded.kind, subject = excluded.subject, at = excluded.at, data = excluded.data`.execute(
      tx.db,
    )
    await sql`delete from ledger_seal where seq = ${record.seq}::bigint and position <> ${record.position}::bigint`.execute(
      tx.db,
    )
    await sql`insert into ledger_seal (position, seq, hash) values (${record.position}::bigint, ${record.seq}::bigint, ${record.hash})
      on conflict (position) do update set seq = excluded.seq, hash = excluded.hash`.execute(tx.db)
    await sql`delete from ledger_pending where seq = ${record.seq}::bigint`.execute(tx.db)
    if (record.kind === 'audit') await restoreAudit(tx, record)
  }
  for (const table of FROZEN) await sql`alter table ${sql.table(table)} enable trigger user`.execute(tx.db)
}

async function restoreAudit(tx: Tx, record: SealedRecord): Promise<void> {
  await sql`insert into audit (seq, project, at, actor, proof, action, subject, data) overriding system value
    select (d->>'seq')::bigint, ${record.project}, ${record.at}::timestamptz, d->>'actor', d->>'proof', d->>'action', ${record.subject}, d->'data'
    from (select ${record.data}::jsonb as d) as source
    on conflict (seq) do update set project = excluded.project, at = excluded.at, actor = excluded.actor, proof = excluded.proof,
      action = excluded.action, subject = excluded.subject, data = excluded.data`.execute(tx.db)
}
