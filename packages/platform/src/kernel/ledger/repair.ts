import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Context } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'
import { frame, inTurn, type JournalLine, readJournal, syncDirectory } from './journal.ts'
import { furthest, type Mark, NO_MARK, readHead, readMark } from './mark.ts'
import { checkChain, diverged, readSealed } from './sealer.ts'
import { findSealedFault } from './verify.ts'

const BATCH = 500

export interface JournalRepair {
  /** Rows that were journalled and were gone, or not readable. */
  readonly restored: number
  readonly records: number
  /** Where the journal as it was is kept; null when nothing was missing. */
  readonly kept: string | null
}

/**
 * Writes a journal that was cut or damaged again from the database, and who did so and why into the audit. Refused
 * unless the database's chain is whole, its audit rows say what it says, and it agrees with each line that is left and
 * with what is known of the others.
 * @throws precondition ledger.database_damaged · ledger.diverged
 */
export function repairJournal(ctx: Context, journalPath: string, reason: string): Promise<JournalRepair> {
  return inTurn(journalPath, async () => {
    await refuseDamaged(ctx)
    const temporary = `${journalPath}.repair`
    const marks = [await readHead(journalPath), await readMark(ctx)]
    const file = await open(temporary, 'w', 0o600)
    try {
      const { records, restored } = await refill(ctx, journalPath, marks, file)
      await file.sync()
      if (restored === 0) return { restored, records, kept: null }
      const kept = `${journalPath}.before-${ctx.clock.nowMs()}`
      await ctx.transaction((tx) =>
        tx.audit({ action: 'ledger.repair_journal', subject: 'ledger', data: { reason, restored, records, kept } }),
      )
      await rename(journalPath, kept).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
      await rename(temporary, journalPath)
      await syncDirectory(dirname(journalPath))
      return { restored, records, kept }
    } finally {
      await file.close()
      await rm(temporary, { force: true })
    }
  })
}

async function refuseDamaged(ctx: Context): Promise<void> {
  const fault = await findSealedFault(ctx)
  if (fault === undefined) return
  throw new PlimsollError(
    'precondition',
    'ledger.database_damaged',
    `Cannot repair the journal from the database: it is broken at position ${fault.position} (${fault.where}): ${fault.reason}`,
    {
      position: fault.position,
      action: 'Run plimsoll audit rebuild --reason TEXT, with a whole copy of the journal when this one is not',
    },
  )
}

/** Writes all sealed rows, comparing them with the lines and the marks. */
async function refill(ctx: Context, journalPath: string, marks: readonly Mark[], file: FileHandle) {
  await using lines = readable(readJournal(journalPath))
  let line = await lines.next()
  let last = NO_MARK
  let restored = 0
  const written = furthest(...marks).position
  for (let records = await readSealed(ctx, 0n, BATCH); records.length > 0; ) {
    const end = checkChain(last, records)
    for (const record of records) {
      if (marks.some((mark) => String(mark.position) === record.position && mark.hash !== record.hash))
        throw diverged(BigInt(record.position))
      const isGone = line.done ? BigInt(record.position) <= written : line.value.position !== record.position
      if (isGone) restored++
      else if (!line.done) {
        if (line.value.hash !== record.hash) throw diverged(BigInt(record.position))
        if (frame(line.value) !== frame(record)) restored++
        line = await lines.next()
      }
    }
    await file.appendFile(records.map(frame).join(''))
    last = end
    records = await readSealed(ctx, last.position, BATCH)
  }
  if (!line.done || marks.some((mark) => mark.position > last.position)) throw diverged(last.position + 1n)
  return { records: Number(last.position), restored }
}

async function* readable(lines: AsyncGenerator<JournalLine>) {
  for await (const { record } of lines) if (record) yield record
}
