import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import { PlimsollError, toPlimsollError } from '../errors.ts'
import { openPulse } from '../events/index.ts'
import { RECORD_COLUMNS } from './append.ts'
import { inTurn, type LedgerJournal } from './journal.ts'
import { type Mark, readMark, writeMark } from './mark.ts'
import { GENESIS, hashRecord, type LedgerRecord, type SealedRecord } from './record.ts'
import './tables.ts'

const BATCH = 500
const LOCK_KEY = 7_440_002

/**
 * Chains rows that have been committed, in the order of `seq` among those whose writer is older than every running
 * transaction; returns how many. A chain inside each transaction would let one writer at a time commit.
 */
export async function sealLedger(ctx: Context): Promise<number> {
  let total = 0
  for (let sealed = BATCH; sealed === BATCH; total += sealed) sealed = await sealBatch(ctx)
  return total
}

async function sealBatch(ctx: Context): Promise<number> {
  const pending = await ctx.db.selectFrom('ledger_pending').select('seq').limit(1).execute()
  if (pending.length === 0) return 0
  return ctx.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${LOCK_KEY})`.execute(tx.db)
    const last = await tx.db
      .selectFrom('ledger_seal')
      .select(['position', 'hash'])
      .orderBy('position', 'desc')
      .limit(1)
      .executeTakeFirst()
    const { rows } = await sql<
      Omit<LedgerRecord, 'position'>
    >`select ${RECORD_COLUMNS} from ledger_pending p join ledger_row r on r.seq = p.seq
      where p.xid < pg_snapshot_xmin(pg_current_snapshot()) order by p.seq limit ${BATCH}`.execute(tx.db)
    let previous: string = last?.hash ?? GENESIS
    let position = last?.position ?? 0n
    const seals = rows.map((row) => {
      position++
      previous = hashRecord(previous, { ...row, position: String(position) })
      return { position, seq: BigInt(row.seq), hash: previous }
    })
    if (seals.length === 0) return 0
    await tx.db.insertInto('ledger_seal').values(seals).execute()
    await tx.db
      .deleteFrom('ledger_pending')
      .where(
        'seq',
        'in',
        seals.map((seal) => seal.seq),
      )
      .execute()
    return seals.length
  })
}

/** Sealed rows after a position, in order. */
export async function readSealed(ctx: Context, after: bigint, limit: number): Promise<SealedRecord[]> {
  const { rows } = await sql<SealedRecord>`select s.position::text as position, s.hash, ${RECORD_COLUMNS}
    from ledger_seal s join ledger_row r on r.seq = s.seq where s.position > ${after} order by s.position limit ${limit}`.execute(
    ctx.db,
  )
  return rows
}

/**
 * Brings the journal up to the chain of the database; returns how many records it wrote. Rows that were journalled and
 * are gone are not written again: later ones go behind the gap, which is said once and seen by `verifyLedger`.
 * @throws precondition ledger.diverged when the two disagree
 */
export function journalLedger(ctx: Context, journal: LedgerJournal): Promise<number> {
  return inTurn(journal.path, async () => {
    const mark = await readMark(ctx)
    await journal.refresh(mark)
    sayGap(ctx, journal)
    await checkLast(ctx, journal.last)
    let total = 0
    for (let count = BATCH; count === BATCH; total += count) count = await journalBatch(ctx, journal)
    await journal.writeHead()
    if (mark.position < journal.last.position) await writeMark(ctx, journal.last)
    return total
  })
}

function sayGap(ctx: Context, journal: LedgerJournal): void {
  const gap = journal.takeGapNews()
  if (gap === undefined) return
  ctx.log.error(
    {
      journal: journal.path,
      presentUntil: String(gap.after),
      missingUntil: String(gap.until),
      writtenTo: String(journal.last.position),
    },
    'the journal of the ledger was cut: see plimsoll audit verify, then plimsoll audit repair',
  )
}

async function checkLast(ctx: Context, { position, hash }: Mark): Promise<void> {
  if (position === 0n) return
  const seal = await ctx.db.selectFrom('ledger_seal').select('hash').where('position', '=', position).executeTakeFirst()
  if (seal?.hash !== hash) throw diverged(position)
}

async function journalBatch(ctx: Context, journal: LedgerJournal): Promise<number> {
  const records = await readSealed(ctx, journal.last.position, BATCH)
  checkChain(journal.last, records)
  await journal.append(records)
  return records.length
}

/** The place of the last of these records. @throws precondition ledger.diverged when they do not follow on another */
export function checkChain(from: Mark, records: readonly SealedRecord[]): Mark {
  let previous = from
  for (const record of records) {
    if (BigInt(record.position) !== previous.position + 1n || hashRecord(previous.hash, record) !== record.hash)
      throw diverged(previous.position + 1n)
    previous = { position: BigInt(record.position), hash: record.hash }
  }
  return previous
}

export function diverged(position: bigint): PlimsollError {
  return new PlimsollError(
    'precondition',
    'ledger.diverged',
    `Cannot go on with the ledger: database and journal disagree at position ${position}`,
    {
      position: String(position),
      action: 'Run: plimsoll audit verify',
    },
  )
}

export interface Sealer {
  wake(): void
  /** Seals and journals what is committed now. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** Seals and journals in the background. After a disagreement it stops adding, and says so at every try. */
export function openSealer(ctx: Context, journal: LedgerJournal, options: { everyMs?: number } = {}): Sealer {
  const pulse = openPulse(ctx.clock)
  let isClosed = false
  let turn: Promise<void> = Promise.resolve()
  const work = async () => {
    await journalLedger(ctx, journal)
    if ((await sealLedger(ctx)) > 0) await journalLedger(ctx, journal)
  }
  const settle = () => {
    turn = turn.then(work, work)
    return turn
  }
  const loop = async () => {
    while (!isClosed) {
      await settle().catch((error: unknown) =>
        ctx.log.error({ error: toPlimsollError(error).message }, 'the ledger was not sealed'),
      )
      if (!isClosed) await pulse.wait(options.everyMs ?? 1_000)
    }
  }
  const looping = loop()
  return {
    wake: pulse.wake,
    settle,
    close: async () => {
      isClosed = true
      pulse.wake()
      await looping
      await turn.catch(() => {}) // its caller has seen it
    },
  }
}
