import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { PlimsollError } from '../errors.ts'
import { furthest, type Mark, NO_MARK, readHead, writeHead } from './mark.ts'
import type { SealedRecord } from './record.ts'

const LINE_BYTES_MAX = 64 * 1024 * 1024
const FRAME = /^([0-9a-f]{8}) (\d{1,9}) /

/** One record as a line: CRC-32 and length of its JSON, then the JSON. */
export function frame(record: SealedRecord): string {
  const { position, seq, project, kind, subject, at, data, hash } = record
  const json = JSON.stringify({ position, seq, project, kind, subject, at, data, hash })
  return `${crc32(json).toString(16).padStart(8, '0')} ${Buffer.byteLength(json)} ${json}\n`
}

function parseFrame(line: Buffer): SealedRecord | undefined {
  const match = FRAME.exec(line.subarray(0, 32).toString('latin1'))
  if (!match) return undefined
  const json = line.subarray(match[0].length)
  if (json.length !== Number(match[2]) || crc32(json) !== Number.parseInt(match[1]!, 16)) return undefined
  return JSON.parse(json.toString('utf8')) as SealedRecord // framed by us: length and checksum agree
}

/** A line of the journal: its record, or undefined when its frame is broken. `isTorn`: the file ends before the line does. */
export interface JournalLine {
  readonly record: SealedRecord | undefined
  readonly isTorn: boolean
  readonly endOffset: number
}

/** All lines in order; nothing for a file that does not exist. */
export async function* readJournal(path: string): AsyncGenerator<JournalLine> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = 0
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        offset += end + 1
        yield { record: parseFrame(rest.subarray(0, end)), isTorn: false, endOffset: offset }
        rest = rest.subarray(end + 1)
      }
      if (rest.length > LINE_BYTES_MAX)
        throw new PlimsollError(
          'precondition',
          'ledger.journal_damaged',
          `A line of ${path} is longer than ${LINE_BYTES_MAX} bytes`,
          { action: 'Put a whole copy of the journal back' },
        )
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (rest.length > 0) yield { record: undefined, isTorn: true, endOffset: offset }
}

/** Rows that were journalled and are not in the file any more: those after one position, to another. */
export interface JournalGap {
  readonly after: bigint
  readonly until: bigint
}

interface Scan {
  last: Mark
  /** The first rows that are missing between two lines. */
  gap: JournalGap | undefined
  /** Without a line that is cut off. */
  sizeBytes: number
}

/** @throws precondition ledger.journal_damaged when a line before the last is broken */
async function scanJournal(path: string): Promise<Scan> {
  const scan: Scan = { last: NO_MARK, gap: undefined, sizeBytes: 0 }
  let broken: number | undefined
  let lines = 0
  for await (const line of readJournal(path)) {
    lines++
    if (broken !== undefined)
      throw new PlimsollError(
        'precondition',
        'ledger.journal_damaged',
        `Cannot append to ${path}: line ${broken} is damaged`,
        { action: 'Run: plimsoll audit verify' },
      )
    if (line.record === undefined) broken = lines
    else {
      const position = BigInt(line.record.position)
      if (position > scan.last.position + 1n) scan.gap ??= { after: scan.last.position, until: position - 1n }
      scan.last = { position, hash: line.record.hash }
      scan.sizeBytes = line.endOffset
    }
  }
  return scan
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync()
  await directory.close()
}

const turns = new Map<string, Promise<unknown>>()

/** One at a time changes a journal of this process: who appends, and who repairs. */
export function inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
  const turn = (turns.get(path) ?? Promise.resolve()).then(work, work)
  turns.set(
    path,
    turn.catch(() => {}),
  )
  return turn
}

/** The ledger outside the database: an append-only file that is flushed before `append` returns. One writer. */
export class LedgerJournal implements AsyncDisposable {
  readonly path: string
  #file: FileHandle | undefined
  #inode = 0n
  #sizeBytes = 0n
  #head: Mark = NO_MARK
  #last: Mark = NO_MARK
  #gap: JournalGap | undefined
  #gapSaid: bigint | undefined

  constructor(path: string) {
    this.path = path
  }

  /** How far the journal was written, whether or not all of it is still there. */
  get last(): Mark {
    return this.#last
  }

  /** What was cut from it. Later rows are added behind it, and it stays until it is repaired. */
  get gap(): JournalGap | undefined {
    return this.#gap
  }

  /** The gap, once. */
  takeGapNews(): JournalGap | undefined {
    if (this.#gapSaid === this.#gap?.after) return undefined
    this.#gapSaid = this.#gap?.after
    return this.#gap
  }

  /** Looks whether the file is as the last append left it, and reads it again when it is not. */
  async refresh(mark: Mark): Promise<void> {
    const found = await stat(this.path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    const isAsLeft = this.#file !== undefined && found?.ino === this.#inode && found.size === this.#sizeBytes
    if (isAsLeft && mark.position <= this.#last.position) return
    const scan = await this.#reopen()
    this.#head = await readHead(this.path)
    this.#last = furthest(this.#last, this.#head, mark, scan.last)
    const { position } = this.#last
    this.#gap = scan.gap ?? (scan.last.position < position ? { after: scan.last.position, until: position } : undefined)
  }

  /** A last line that is cut off is removed, be it of a crash or of an append that failed. */
  async #reopen(): Promise<Scan> {
    const scan = await scanJournal(this.path)
    await this.#file?.close()
    this.#file = undefined
    const file = await open(this.path, 'a', 0o600)
    this.#file = file
    await file.truncate(scan.sizeBytes)
    await file.sync()
    await syncDirectory(dirname(this.path))
    this.#inode = (await file.stat({ bigint: true })).ino
    this.#sizeBytes = BigInt(scan.sizeBytes)
    return scan
  }

  async append(records: readonly SealedRecord[]): Promise<void> {
    const last = records.at(-1)
    if (last === undefined) return
    const bytes = Buffer.from(records.map(frame).join(''))
    await this.#file?.appendFile(bytes)
    await this.#file?.datasync()
    this.#sizeBytes += BigInt(bytes.length)
    this.#last = { position: BigInt(last.position), hash: last.hash }
  }

  /** Remembers beside the file how far it was written. */
  async writeHead(): Promise<void> {
    if (this.#head.position >= this.#last.position) return
    await writeHead(this.path, this.#last)
    this.#head = this.#last
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Opens the journal for appending, reading it through once. A last line that a crash cut off is removed; the sealer
 * writes it again from the database.
 * @throws precondition ledger.journal_damaged when a line before the last is broken
 */
export async function openJournal(path: string): Promise<LedgerJournal> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const journal = new LedgerJournal(path)
  await journal.refresh(NO_MARK)
  return journal
}
