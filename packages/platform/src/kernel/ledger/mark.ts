import { open, readFile, rename } from 'node:fs/promises'
import type { Context } from '../db/index.ts'
import { GENESIS } from './record.ts'
import './tables.ts'

/** A place in the chain: how far the journal was written. */
export interface Mark {
  readonly position: bigint
  readonly hash: string
}

export const NO_MARK: Mark = { position: 0n, hash: GENESIS }

/** The mark that is furthest; of two at one place, the first. */
export function furthest(...marks: readonly Mark[]): Mark {
  return marks.reduce((far, mark) => (mark.position > far.position ? mark : far))
}

/** The mark that the database keeps. Cutting the journal's files does not reach it. */
export async function readMark(ctx: Context): Promise<Mark> {
  return (await ctx.db.selectFrom('ledger_mark').select(['position', 'hash']).executeTakeFirst()) ?? NO_MARK
}

export async function writeMark(ctx: Context, mark: Mark): Promise<void> {
  const { position, hash } = mark
  await ctx.transaction(async (tx) => {
    await tx.db
      .insertInto('ledger_mark')
      .values({ position, hash })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet({ position, hash }).where('ledger_mark.position', '<', position),
      )
      .execute()
  })
}

const HEAD = /^(\d{1,18}) (sha256:[0-9a-f]{64})\n$/

/** The mark beside the journal, which rewriting the database does not reach. One that cannot be read counts as none. */
export async function readHead(journalPath: string): Promise<Mark> {
  const text = await readFile(`${journalPath}.head`, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const match = HEAD.exec(text)
  return match ? { position: BigInt(match[1]!), hash: match[2]! } : NO_MARK
}

export async function writeHead(journalPath: string, { position, hash }: Mark): Promise<void> {
  const temporary = `${journalPath}.head.tmp`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(`${position} ${hash}\n`)
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(temporary, `${journalPath}.head`)
}
