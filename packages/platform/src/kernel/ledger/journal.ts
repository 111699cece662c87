import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { PlimsollError } from '../errors.ts'
import { GENESIS, type SealedRecord } from './record.ts'

const LINE_BYTES_MAX = 64 * 1024 * 1024
const FRAME = /^([0-9a-f]{8}) (\d{1,9}) /

/** One record as a line: CRC-32 and length of its JSON, then the JSON. */
function frame(record: SealedRecord): string {
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
          'internal',
          'ledger.journal_damaged',
          `A line of ${path} is longer than ${LINE_BYTES_MAX} bytes`,
        )
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (rest.length > 0) yield { record: undefined, isTorn: true, endOffset: offset }
}

/** The ledger outside the database: an append-only file that is flushed before `append` returns. One writer. */
export class LedgerJournal implements AsyncDisposable {
  readonly path: string
  readonly #file: FileHandle
  #sizeBytes: number
  #last: { position: bigint; hash: string }

  constructor(path: string, file: FileHandle, sizeBytes: number, last: { position: bigint; hash: string }) {
    this.path = path
    this.#file = file
    this.#sizeBytes = sizeBytes
    this.#last = last
  }

  get last(): { readonly position: bigint; readonly hash: string } {
    return this.#last
  }

  async append(records: readonly SealedRecord[]): Promise<void> {
    const last = records.at(-1)
    if (last === undefined) return
    const bytes = Buffer.from(records.map(frame).join(''))
    // At a fixed offset: what a failed append left behind is overwritten by the next one.
    for (let written = 0; written < bytes.length; ) {
      written += (await this.#file.write(bytes, written, bytes.length - written, this.#sizeBytes + written))
        .bytesWritten
    }
    await this.#file.datasync()
    this.#sizeBytes += bytes.length
    this.#last = { position: BigInt(last.position), hash: last.hash }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Opens the journal for appending, reading it through once. A last line that a crash cut off is removed; the sealer
 * writes it again from the database.
 * @throws internal ledger.journal_damaged when a line before the last is broken
 */
export async function openJournal(path: string): Promise<LedgerJournal> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  let last: { position: bigint; hash: string } = { position: 0n, hash: GENESIS }
  let sizeBytes = 0
  let broken: number | undefined
  let lines = 0
  for await (const line of readJournal(path)) {
    lines++
    if (broken !== undefined)
      throw new PlimsollError(
        'internal',
        'ledger.journal_damaged',
        `Cannot append to ${path}: line ${broken} is damaged`,
        { action: 'Run: plimsoll audit verify' },
      )
    if (line.record === undefined) broken = lines
    else {
      last = { position: BigInt(line.record.position), hash: line.record.hash }
      sizeBytes = line.endOffset
    }
  }
  const file = await open(path, lines === 0 ? 'a+' : 'r+', 0o600)
  await file.close()
  const appending = await open(path, 'r+', 0o600)
  await appending.truncate(sizeBytes)
  await appending.sync()
  const directory = await open(dirname(path), 'r')
  await directory.sync()
  await directory.close()
  return new LedgerJournal(path, appending, sizeBytes, last)
}
