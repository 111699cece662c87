import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sql } from 'kysely'
import { canonicalJson } from '../canonical.ts'
import type { Context, Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import { RECORD_COLUMNS, utcText } from './append.ts'
import { inTurn, readJournal, syncDirectory } from './journal.ts'
import { furthest, readHead, readMark } from './mark.ts'
import { GENESIS, hashRecord, type SealedRecord } from './record.ts'
import './tables.ts'

const BATCH = 500
const FROZEN = ['audit', 'ledger_row', 'ledger_seal'] as const

export interface LedgerRebuild {
  readonly records: number
  /** Rows that were missing from the database or said something else. */
  readonly restored: number
  /** Where those that said something else are kept, one JSON object a line; null when there was none. */
  readonly kept: string | null
}

/**
 * Puts the ledger and the audit rows of the database back to what the journal says, and who did so and why into the
 * audit; later rows stay. The journal is checked first, whole, and against how far it was written. What the database said
 * otherwise goes to a file beside the journal before it is overwritten. Needs the owner of the tables, since it sets the
 * triggers against changes aside.
 * @throws precondition ledger.journal_damaged · ledger.journal_cut
 */
export function rebuildLedger(ctx: Context, journalPath: string, reason: string): Promise<LedgerRebuild> {
  return inTurn(journalPath, async () => {
    const { head, records } = await checkJournal(ctx, journalPath)
    const path = `${journalPath}.replaced-${ctx.clock.nowMs()}`
    let isKept = false
    let restored = 0
    for await (const batch of batches(journalPath)) {
      restored += await ctx.transaction(async (tx) => {
        const done = await restore(tx, batch)
        // Before the commit that overwrites them.
        if (done.replaced.length > 0) await keep(path, done.replaced)
        isKept ||= done.replaced.length > 0
        return done.restored
      })
    }
    const said = { records, restored, kept: isKept ? path : null }
    await ctx.transaction(async (tx) => {
      for (const table of ['audit', 'ledger_row'] as const) {
        await sql`select setval(pg_get_serial_sequence(${table}, 'seq'), greatest((select coalesce(max(seq), 0) from ${sql.table(table)}), 1))`.execute(
          tx.db,
        )
      }
      await tx.audit({ action: 'ledger.rebuild', subject: 'ledger', data: { reason, head, ...said } })
    })
    return said
  })
}

async function keep(path: string, rows: readonly Row[]): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    await file.appendFile(rows.map(({ table, says }) => `${JSON.stringify({ table, ...says })}\n`).join(''))
    await file.sync()
  } finally {
    await file.close()
  }
  await syncDirectory(dirname(path))
}

const REPAIR_ACTION = 'Run plimsoll audit repair --reason TEXT, or put a whole copy of the journal back'

async function checkJournal(ctx: Context, journalPath: string): Promise<{ head: string; records: number }> {
  const beside = await readHead(journalPath)
  const written = furthest(beside, await readMark(ctx)).position
  const damaged = (position: number) =>
    new PlimsollError(
      'precondition',
      'ledger.journal_damaged',
      `Cannot rebuild from ${journalPath}: its chain is broken at position ${position}`,
      { position: String(position), action: REPAIR_ACTION },
    )
  let head: string = GENESIS
  let records = 0
  for await (const { record, isTorn } of readJournal(journalPath)) {
    if (isTorn) break
    const position = String(records + 1)
    if (record === undefined || record.position !== position || hashRecord(head, record) !== record.hash)
      throw damaged(records + 1)
    // The mark of the database is what may have been changed: it is the journal's own that counts.
    if (String(beside.position) === position && beside.hash !== record.hash) throw damaged(records + 1)
    head = record.hash
    records++
  }
  if (records < written)
    throw new PlimsollError(
      'precondition',
      'ledger.journal_cut',
      `Cannot rebuild from ${journalPath}: it ends at position ${records}, and was written to position ${written}`,
      { position: String(records + 1), action: REPAIR_ACTION },
    )
  return { head, records }
}

async function* batches(journalPath: string): AsyncGenerator<SealedRecord[]> {
  let batch: SealedRecord[] = []
  for await (const { record } of readJournal(journalPath)) {
    if (record) batch.push(record)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** One row that a record of the journal stands for; all of it as texts. */
interface Row {
  readonly table: (typeof FROZEN)[number]
  readonly key: string
  readonly says: Readonly<Record<string, string>>
}

function rowsOf({ position, hash, ...record }: SealedRecord): Row[] {
  const { seq, project, kind, subject, at, data } = record
  const rows: Row[] = [
    { table: 'ledger_row', key: seq, says: { seq, project, kind, subject, at, data } },
    { table: 'ledger_seal', key: position, says: { position, seq, hash } },
  ]
  if (kind === 'audit') {
    const key = String((JSON.parse(data) as { seq: number }).seq) // written by the trigger of audit rows
    rows.push({ table: 'audit', key, says: { project, subject, at, data } })
  }
  return rows
}

/** What the database says now in the place of these rows. */
async function readNow(tx: Tx, rows: readonly Row[]): Promise<Map<string, Row['says']>> {
  const keysOf = (table: Row['table']) => `{${rows.filter((row) => row.table === table).map((row) => row.key)}}`
  type Said = { rows: { key: string; says: Record<string, string> }[] }
  const found = {
    ledger_row: (await sql`select x.seq as key, to_jsonb(x) as says from (select ${RECORD_COLUMNS} from ledger_row r
      where r.seq = any(${keysOf('ledger_row')}::bigint[])) x`.execute(tx.db)) as Said,
    ledger_seal: (await sql`select x.position as key, to_jsonb(x) as says from (
      select position::text as position, seq::text as seq, hash from ledger_seal
      where position = any(${keysOf('ledger_seal')}::bigint[])) x`.execute(tx.db)) as Said,
    audit: (await sql`select x.key, to_jsonb(x) - 'key' as says from (
      select a.seq::text as key, a.project, a.subject, ${utcText('a.at')} as at, ledger_audit(a)::text as data from audit a
      where a.seq = any(${keysOf('audit')}::bigint[])) x`.execute(tx.db)) as Said,
  }
  return new Map(
    FROZEN.flatMap((table) =>
      found[table].rows.map(({ key, says }): [string, Row['says']] => [`${table}/${key}`, says]),
    ),
  )
}

/** Writes the rows of these records. Returns how many records it restored, and the rows that said something else. */
async function restore(tx: Tx, records: readonly SealedRecord[]): Promise<{ restored: number; replaced: Row[] }> {
  const rows = records.map(rowsOf)
  const now = await readNow(tx, rows.flat())
  const isRight = ({ table, key, says }: Row) => {
    const found = now.get(`${table}/${key}`)
    return found !== undefined && canonicalJson(found) === canonicalJson(says)
  }
  const wrong = records.filter((_, index) => !rows[index]!.every(isRight))
  const replaced = rows.flat().flatMap((row) => {
    const says = now.get(`${row.table}/${row.key}`)
    return says === undefined || isRight(row) ? [] : [{ ...row, says }]
  })
  if (wrong.length === 0) return { restored: 0, replaced }
  for (const table of FROZEN) await sql`alter table ${sql.table(table)} disable trigger user`.execute(tx.db)
  for (const record of wrong) await restoreRecord(tx, record)
  for (const table of FROZEN) await sql`alter table ${sql.table(table)} enable trigger user`.execute(tx.db)
  return { restored: wrong.length, replaced }
}

async function restoreRecord(tx: Tx, record: SealedRecord): Promise<void> {
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

async function restoreAudit(tx: Tx, record: SealedRecord): Promise<void> {
  await sql`insert into audit (seq, project, at, actor, proof, action, subject, data) overriding system value
    select (d->>'seq')::bigint, ${record.project}, ${record.at}::timestamptz, d->>'actor', d->>'proof', d->>'action', ${record.subject}, d->'data'
    from (select ${record.data}::jsonb as d) as source
    on conflict (seq) do update set project = excluded.project, at = excluded.at, actor = excluded.actor, proof = excluded.proof,
      action = excluded.action, subject = excluded.subject, data = excluded.data`.execute(tx.db)
}
