import type { LedgerFault, LedgerReport } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import { RECORD_COLUMNS } from './append.ts'
import { type JournalLine, readJournal } from './journal.ts'
import { furthest, type Mark, readHead, readMark } from './mark.ts'
import { GENESIS, hashRecord, type SealedRecord } from './record.ts'
import './tables.ts'

const BATCH = 1_000

/** A fault of a row outside the chain, which the audit contradicts. */
export function unauditedRow(
  kind: string,
  row: { readonly id: string; readonly subject: string; readonly at: Date },
  reason: string,
): LedgerFault {
  return {
    position: null,
    where: 'audit',
    reason,
    row: { seq: row.id, kind, subject: row.subject, at: row.at.toISOString() },
  }
}

interface StoredSeal extends Omit<SealedRecord, 'seq' | 'kind'> {
  seq: string | null
  kind: string | null
  sealSeq: string
  /** Null when the row is no audit row. */
  isAuditEqual: boolean | null
  /** Sealed so long ago that it must be in the journal. */
  isOverdue: boolean
}

function rowOf(record: {
  seq: string | null
  kind: string | null
  subject: string
  at: string
}): Pick<LedgerFault, 'row'> {
  if (record.seq === null || record.kind === null) return {}
  return { row: { seq: record.seq, kind: record.kind, subject: record.subject, at: record.at } }
}

async function readSeals(ctx: Context, after: bigint): Promise<StoredSeal[]> {
  const { rows } =
    await sql<StoredSeal>`select s.position::text as position, s.hash, s.seq::text as "sealSeq", ${RECORD_COLUMNS},
      case when r.kind = 'audit' then coalesce(a.project = r.project and a.subject = r.subject and a.at = r.at and ledger_audit(a) = r.data, false) end as "isAuditEqual",
      s.sealed_at < now() - interval '1 minute' as "isOverdue"
    from ledger_seal s left join ledger_row r on r.seq = s.seq
      left join audit a on r.kind = 'audit' and a.seq = (r.data->>'seq')::bigint
    where s.position > ${after} order by s.position limit ${BATCH}`.execute(ctx.db)
  return rows
}

/** The fault of one sealed row of the database, if it has one. */
function databaseFault(seal: StoredSeal, expected: bigint, previous: string): LedgerFault | undefined {
  const where = 'database'
  if (BigInt(seal.position) !== expected)
    return { position: String(expected), where, reason: 'The row is missing from the chain' }
  if (seal.seq === null || seal.kind === null)
    return { position: seal.position, where, reason: `Row ${seal.sealSeq} was deleted` }
  const record = { ...seal, seq: seal.seq, kind: seal.kind }
  if (hashRecord(previous, record) !== seal.hash)
    return { position: seal.position, where, reason: 'The row or its hash was changed', ...rowOf(seal) }
  if (seal.isAuditEqual === false)
    return { position: seal.position, where: 'audit', reason: 'The audit row was changed or deleted', ...rowOf(seal) }
  return undefined
}

/** The first sealed row of the database that is not what was sealed, or whose audit row is not. */
export async function findSealedFault(ctx: Context): Promise<LedgerFault | undefined> {
  let previous: string = GENESIS
  let position = 0n
  for (let seals = await readSeals(ctx, 0n); seals.length > 0; seals = await readSeals(ctx, position)) {
    for (const seal of seals) {
      const fault = databaseFault(seal, position + 1n, previous)
      if (fault) return fault
      previous = seal.hash
      position++
    }
  }
  return undefined
}

function journalFault(line: JournalLine, seal: StoredSeal, previous: string): LedgerFault | undefined {
  const fault = (reason: string): LedgerFault => ({
    position: seal.position,
    where: 'journal',
    reason,
    ...rowOf(seal),
  })
  const { record } = line
  if (record === undefined) return fault('The line is damaged')
  if (BigInt(record.position) > BigInt(seal.position))
    return fault(`The row was journalled and is gone from the journal, ${span(seal, BigInt(record.position) - 1n)}`)
  if (record.position !== seal.position || hashRecord(previous, record) !== record.hash || record.hash !== seal.hash)
    return fault('The line differs from the row of the database')
  return undefined
}

function span(seal: StoredSeal, until: bigint): string {
  return BigInt(seal.position) < until ? `as are all to position ${until}` : 'it alone'
}

/** The fault of a row behind the end of the journal. One sealed seconds ago that was never journalled has none. */
function absenceFault(seal: StoredSeal, written: bigint): LedgerFault | undefined {
  const fault = { position: seal.position, where: 'journal', ...rowOf(seal) } as const
  if (BigInt(seal.position) <= written)
    return { ...fault, reason: `The row was journalled and is gone from the journal, ${span(seal, written)}` }
  if (seal.isOverdue) return { ...fault, reason: 'The row was sealed more than a minute ago and is not in the journal' }
  return undefined
}

const LOOKS = 3

/** A domain goes on while it is read: what `look` finds each time is a fault. */
export async function lastingFault(ctx: Context, look: LedgerCheck): Promise<LedgerFault | undefined> {
  let fault = await look(ctx)
  for (let looks = 1; fault !== undefined && looks < LOOKS; looks++) fault = await look(ctx)
  return fault
}

/** Compares rows of a domain with the audit rows that were written with them; names the first that does not fit. */
export type LedgerCheck = (ctx: Context) => Promise<LedgerFault | undefined>

/**
 * Recomputes the whole chain in the database and compares it with the journal and the audit rows, then the domains' rows
 * with the audit; names the first broken row. Linear in the length of the ledger; memory is bounded by a page.
 */
export async function verifyLedger(
  ctx: Context,
  journalPath: string,
  checks: readonly LedgerCheck[] = [],
): Promise<LedgerReport> {
  const marks = [await readHead(journalPath), await readMark(ctx)] as const // before the lines that they speak of
  const written = furthest(...marks).position
  const lines = readJournal(journalPath)
  let previous: string = GENESIS
  let position = 0n
  let unjournaled = 0
  let isJournalTorn = false
  let hasJournal = true
  const pending = Number(
    (
      await ctx.db
        .selectFrom('ledger_pending')
        .select((eb) => eb.fn.countAll<bigint>().as('count'))
        .executeTakeFirstOrThrow()
    ).count,
  )
  const report = (broken?: LedgerFault): LedgerReport => ({
    ok: broken === undefined,
    verified: Number(position),
    unjournaled,
    pending,
    isJournalTorn,
    head: previous,
    ...(broken ? { broken } : {}),
  })
  try {
    for (let seals = await readSeals(ctx, 0n); seals.length > 0; seals = await readSeals(ctx, position)) {
      for (const seal of seals) {
        const line = hasJournal ? await lines.next() : undefined
        if (line?.done) hasJournal = false
        if (line && !line.done && line.value.isTorn) [isJournalTorn, hasJournal] = [true, false]
        const fault =
          databaseFault(seal, position + 1n, previous) ??
          (line && !line.done && hasJournal ? journalFault(line.value, seal, previous) : absenceFault(seal, written)) ??
          markFault(marks, seal)
        if (fault) return report(fault)
        if (!hasJournal) unjournaled++
        previous = seal.hash
        position = BigInt(seal.position)
      }
    }
    const extra = hasJournal ? await lines.next() : undefined
    if (extra && !extra.done) {
      // A row that was sealed and journalled since the last page is there by now.
      if (!extra.value.isTorn && (await readSeals(ctx, position)).length === 0)
        return report({
          position: String(position + 1n),
          where: 'database',
          reason: 'The row is in the journal but not in the database',
          ...(extra.value.record ? rowOf(extra.value.record) : {}),
        })
      isJournalTorn = extra.value.isTorn
    }
    if (position < written)
      return report({
        position: String(position + 1n),
        where: 'database',
        reason: `The row was journalled and is gone from the database and the journal, which were written to position ${written}`,
      })
    for (const check of [findLooseAudit, ...checks]) {
      const fault = await check(ctx)
      if (fault) return report(fault)
    }
    return report()
  } finally {
    await lines.return(undefined)
  }
}

/** A row that is not the one that was journalled, as after a rewrite of database and journal. */
function markFault(marks: readonly Mark[], seal: StoredSeal): LedgerFault | undefined {
  if (!marks.some((mark) => String(mark.position) === seal.position && mark.hash !== seal.hash)) return undefined
  return {
    position: seal.position,
    where: 'journal',
    reason: 'The row, or one before it, is not the one that was journalled',
    ...rowOf(seal),
  }
}

/** An audit row without a row in the ledger, as if it had been slipped in past the trigger. */
async function findLooseAudit(ctx: Context): Promise<LedgerFault | undefined> {
  const { rows } = await sql<{ seq: string; subject: string; at: string }>`
    select a.seq::text as seq, a.subject, a.at::text as at from audit a
    where not exists (select 1 from ledger_row r where r.kind = 'audit' and (r.data->>'seq')::bigint = a.seq)
    order by a.seq limit 1`.execute(ctx.db)
  const row = rows[0]
  return (
    row && {
      position: null,
      where: 'audit',
      reason: 'The audit row is not in the ledger',
      row: { ...row, kind: 'audit' },
    }
  )
}
