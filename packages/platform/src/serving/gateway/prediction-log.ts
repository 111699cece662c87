import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { newId } from '../../kernel/ids.ts'
import type { Logger } from '../../kernel/log.ts'
import { listSetAside } from '../../kernel/set-aside.ts'
import { FRAME_BYTES_MAX, frame, HEADER_BYTES } from './segment-frame.ts'
import { putAside, recoverSegments } from './segment-recovery.ts'
import { boundSetAside, setAsideBytes } from './set-aside.ts'

export interface Segment {
  readonly boot: string
  readonly sequence: number
  readonly path: string
}

/** A record to be written: JSON members of its identity as text, and what it has besides. */
export interface RecordText {
  readonly head: string
  readonly requestId?: string | undefined
  /** Hex digits. */
  readonly traceId?: string | undefined
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
  /** Puts a segment aside that will never be taken, so that those behind it ship; what of it is whole stays to be shipped. */
  refuse(segment: Segment, reason: string): void
  spooledBytes(): number
  setAsideBytes(): number
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
  readonly log: Logger
  readonly segmentBytesMax: number
  readonly segmentAgeMs: number
  /** Of what is to be shipped, and once more of what was put aside. */
  readonly spoolBytesMax: number
  /** Called when a segment became ready to be shipped. */
  readonly onReady?: () => void
}

function parseName(directory: string, name: string): Segment | undefined {
  const match = /^(boot_[0-9a-f]+)-(\d+)\.segment$/.exec(name)
  return match ? { boot: match[1]!, sequence: Number(match[2]), path: join(directory, name) } : undefined
}

const spoolFull = () =>
  new PlimsollError('unavailable', 'serving.spool_full', 'Cannot record the prediction: the spool is full', {
    retryAfterMs: 5_000,
  })

function toLogFailure(error: unknown): PlimsollError {
  if (error instanceof PlimsollError) return error
  return new PlimsollError('unavailable', 'serving.log_failed', 'Cannot record the prediction', {}, error)
}

/** An append-only log of predictions in segments of one boot, each shipped once by (boot, sequence). */
export function openPredictionLog(options: PredictionLogOptions): PredictionLog {
  const { directory, clock } = options
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  recoverSegments(directory, options.log)
  boundSetAside(directory, options.spoolBytesMax, options.log)
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
      if (spooled > options.spoolBytesMax) throw spoolFull()
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
    refuse(segment, reason) {
      putAside(segment.path, reason, options.log)
      boundSetAside(directory, options.spoolBytesMax, options.log)
      spooled = sizesOf(directory)
    },
    spooledBytes: () => spooled,
    setAsideBytes: () => setAsideBytes(listSetAside(directory)),
    close() {
      if (waiting.length > 0) flush()
      log.rotate(true)
    },
  }
  return log
}

/** A record that is too large for a frame loses its payload, then its outputs; the identity always fits. */
function encodeRecord({ head, requestId, traceId, outputs, payload }: RecordText): Buffer {
  const request = requestId === undefined ? head : `${head},"requestId":${JSON.stringify(requestId)}`
  const identity = traceId === undefined ? request : `${request},"traceId":"${traceId}"`
  const withOutputs = outputs === undefined ? identity : `${identity},"outputs":${JSON.stringify(outputs)}`
  const whole = payload === undefined ? withOutputs : `${withOutputs},"payload":${JSON.stringify(payload)}`
  for (const text of [whole, withOutputs]) {
    const framed = frame(`{${text}}`)
    if (framed.length <= HEADER_BYTES + FRAME_BYTES_MAX) return framed
  }
  return frame(`{${identity}}`)
}

/** Bytes that are still to be shipped: what was put aside does not fill the spool. */
function sizesOf(directory: string): number {
  return readdirSync(directory)
    .filter((name) => /\.(open|segment)$/.test(name))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
}
