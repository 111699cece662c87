import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { newId } from '../../kernel/ids.ts'

const FRAME_BYTES_MAX = 1 << 20
const HEADER_BYTES = 8

/** Frame: u32 length, u32 CRC-32 of the payload, payload; little-endian. */
export function frame(payload: Uint8Array | string): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
  const framed = Buffer.allocUnsafe(HEADER_BYTES + length)
  if (typeof payload === 'string') framed.write(payload, HEADER_BYTES)
  else framed.set(payload, HEADER_BYTES)
  framed.writeUInt32LE(length, 0)
  framed.writeUInt32LE(crc32(framed.subarray(HEADER_BYTES)), 4)
  return framed
}

/** Payloads of all whole frames, and the length up to which the bytes are whole. A torn or damaged frame ends the reading. */
export function readFrames(bytes: Uint8Array): { payloads: Buffer[]; wholeBytes: number } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const payloads: Buffer[] = []
  let offset = 0
  while (offset + HEADER_BYTES <= buffer.length) {
    const length = buffer.readUInt32LE(offset)
    const end = offset + HEADER_BYTES + length
    if (length > FRAME_BYTES_MAX || end > buffer.length) break
    const payload = buffer.subarray(offset + HEADER_BYTES, end)
    if (crc32(payload) !== buffer.readUInt32LE(offset + 4)) break
    payloads.push(payload)
    offset = end
  }
  return { payloads, wholeBytes: offset }
}

export interface Segment {
  readonly boot: string
  readonly sequence: number
  readonly path: string
}

/** A record to be written: JSON members of its identity as text, and what it has besides. */
export interface RecordText {
  readonly head: string
  readonly requestId?: string | undefined
  readonly outputs?: object | undefined
  readonly payload?: unknown
}

export interface PredictionLog {
  readonly boot: string
  /**
   * Adds a record and runs `written` once it is in the file: an answer leaves only from there. Records of one turn of
   * the event loop share a single write(2). When the write fails, `failed` runs instead.
   */
  append(record: RecordText, written: () => void, failed: (error: PlimsollError) => void): void
  /** Closed segments that are still to be shipped, oldest first. */
  pending(): Segment[]
  /** Forgets a segment that the control plane has acknowledged. */
  acknowledge(segment: Segment): void
  /** Closes the open segment when it is old or large enough, or always with `force`. */
  rotate(force?: boolean): void
  /** Puts a segment aside that will never be taken, so that those behind it ship. It stays on disk, to be looked at. */
  refuse(segment: Segment): void
  spooledBytes(): number
  close(): void
}

interface Waiting {
  framed: Buffer
  written: () => void
  failed: (error: PlimsollError) => void
}

export interface PredictionLogOptions {
  readonly directory: string
  readonly clock: Clock
  readonly segmentBytesMax: number
  readonly segmentAgeMs: number
  readonly spoolBytesMax: number
  /** Called when a segment became ready to be shipped. */
  readonly onReady?: () => void
}

function parseName(directory: string, name: string): Segment | undefined {
  const match = /^(boot_[0-9a-f]+)-(\d+)\.segment$/.exec(name)
  return match ? { boot: match[1]!, sequence: Number(match[2]), path: join(directory, name) } : undefined
}

/** Cuts what a killed process left half-written, and makes its open segments ready. */
function recover(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.open')) continue
    const path = join(directory, name)
    const { wholeBytes } = readFrames(readFileSync(path))
    if (wholeBytes === 0) unlinkSync(path)
    else {
      truncateSync(path, wholeBytes)
      renameSync(path, path.replace(/\.open$/, '.segment'))
    }
  }
}

function toLogFailure(error: unknown): PlimsollError {
  if (error instanceof PlimsollError) return error
  return new PlimsollError('unavailable', 'serving.log_failed', 'Cannot record the prediction', {}, error)
}

/** An append-only log of predictions in segments of one boot, each shipped once by (boot, sequence). */
export function openPredictionLog(options: PredictionLogOptions): PredictionLog {
  const { directory, clock } = options
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  recover(directory)
  const boot = newId('boot')
  let spooled = sizesOf(directory)
  let sequence = 0
  let fd: number | undefined
  let openBytes = 0
  let openedAtMs = 0
  let waiting: Waiting[] = []
  let isScheduled = false

  const openPath = () => join(directory, `${boot}-${sequence}.open`)
  const flush = () => {
    isScheduled = false
    const batch = waiting
    waiting = []
    try {
      if (spooled > options.spoolBytesMax)
        throw new PlimsollError(
          'unavailable',
          'serving.spool_full',
          'Cannot record the prediction: the spool is full',
          { retryAfterMs: 5_000 },
        )
      if (fd === undefined) {
        fd = openSync(openPath(), 'a', 0o600)
        openBytes = 0
        openedAtMs = clock.monotonicMs()
      }
      const bytes = batch.length === 1 ? batch[0]!.framed : Buffer.concat(batch.map((entry) => entry.framed))
      writeAll(fd, bytes)
      openBytes += bytes.length
      spooled += bytes.length
    } catch (error) {
      // A disk that fills up takes a part of a frame: what comes after it could not be read.
      if (fd !== undefined) ftruncateSync(fd, openBytes)
      const failure = toLogFailure(error)
      for (const entry of batch) entry.failed(failure)
      return
    }
    for (const entry of batch) entry.written()
    if (openBytes >= options.segmentBytesMax) log.rotate(true)
  }

  const log: PredictionLog = {
    boot,
    append(record, written, failed) {
      waiting.push({ framed: encodeRecord(record), written, failed })
      if (!isScheduled) {
        isScheduled = true
        process.nextTick(flush) // after all answers of one run have come: they share a write
      }
    },
    rotate(force = false) {
      if (fd === undefined || openBytes === 0) return
      if (!force && clock.monotonicMs() - openedAtMs < options.segmentAgeMs) return
      fdatasyncSync(fd)
      closeSync(fd)
      fd = undefined
      renameSync(openPath(), join(directory, `${boot}-${sequence}.segment`))
      sequence++
      options.onReady?.()
    },
    pending: () =>
      readdirSync(directory)
        .map((name) => parseName(directory, name))
        .filter((segment) => segment !== undefined)
        .sort((a, b) => (a.boot === b.boot ? a.sequence - b.sequence : a.boot < b.boot ? -1 : 1)),
    acknowledge(segment) {
      spooled -= statSync(segment.path).size
      unlinkSync(segment.path)
    },
    refuse(segment) {
      spooled -= statSync(segment.path).size
      renameSync(segment.path, `${segment.path}.refused`)
    },
    spooledBytes: () => spooled,
    close() {
      if (waiting.length > 0) flush()
      log.rotate(true)
    },
  }
  return log
}

/** A record that is too large for a frame loses its payload, then its outputs; the identity always fits. */
function encodeRecord({ head, requestId, outputs, payload }: RecordText): Buffer {
  const identity = requestId === undefined ? head : `${head},"requestId":${JSON.stringify(requestId)}`
  const withOutputs = outputs === undefined ? identity : `${identity},"outputs":${JSON.stringify(outputs)}`
  const whole = payload === undefined ? withOutputs : `${withOutputs},"payload":${JSON.stringify(payload)}`
  for (const text of [whole, withOutputs]) {
    const framed = frame(`{${text}}`)
    if (framed.length <= HEADER_BYTES + FRAME_BYTES_MAX) return framed
  }
  return frame(`{${identity}}`)
}

function sizesOf(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
}
