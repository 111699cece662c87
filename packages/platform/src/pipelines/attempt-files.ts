import { lstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { HIDES_NOTHING, type Redactor } from '../kernel/redaction.ts'
import { openRegular, readRegular } from '../kernel/regular-file.ts'
import { type AttemptFile, CONTRACT_FILE } from './launch.ts'
import { isNodeFailure, nodeException } from './node-failure.ts'
import { pythonException } from './python-failure.ts'
import { readHidden, streamHidden } from './redacted-file.ts'

/** Of a log that is too long, what is kept of its beginning: a quarter of all that is kept at most. */
const LOG_HEAD_BYTES = 1 << 20
/** Params and inputs of a step are as large as a definition may be. */
const CONTRACT_BYTES_MAX = 64 << 20
const MESSAGE_TAIL_BYTES = 2_000
/** Node writes its trace, and what the exception holds, below the exception; a step of ours each place below its fault. */
const FAULT_TAIL_BYTES = 16_384
const MESSAGE_LINES = 5
const EVENTS_TAIL_BYTES = 16_384
const PROGRESS_TEXT_MAX = 300

/** Instead of what a step wrote whose secrets are not known any more: nobody could hide them in it. */
const WITHHELD = 'withheld: a secret of the step has changed or cannot be read any more, and so not be hidden'

/** What the launch left; undefined when it did not come so far, or the files are gone. */
export async function readAttempt(workDir: string): Promise<AttemptFile | undefined> {
  try {
    const text = await readRegular(join(workDir, CONTRACT_FILE), CONTRACT_BYTES_MAX)
    return (JSON.parse(String(text)) as { platform: AttemptFile }).platform // written by writeLaunch
  } catch {
    return undefined // a torn file too: the launch ended while it was written
  }
}

async function readTail(path: string, bytes: number, redactor: Redactor): Promise<string> {
  const file = await openRegular(path)
  if (!file) return ''
  try {
    const { size } = await file.stat()
    const part = { start: Math.max(0, size - bytes), end: size, isGrowing: false }
    return (await readHidden(file, part, redactor)).toString('utf8')
  } finally {
    await file.close()
  }
}

/** What a step wrote, as a database can hold it: no NUL, no half of a surrogate pair. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed()
}

/** The last lines; of a Python traceback or a failure of Node among them nothing but the exception, whose first line names it. */
function endOfLog(lines: readonly string[]): readonly string[] {
  const exception = nodeException(lines) ?? pythonException(lines)
  return exception === undefined ? lines.slice(-MESSAGE_LINES) : shortened(exception)
}

function shortened(said: readonly string[]): readonly string[] {
  return said.length > MESSAGE_LINES ? [said[0]!, '…', ...said.slice(2 - MESSAGE_LINES)] : said
}

async function readLines(workDir: string, bytes: number, redactor: Redactor): Promise<readonly string[]> {
  const text = storable(await readTail(join(workDir, 'log'), bytes, redactor))
  return text.trimEnd().split('\n')
}

/** The end of the log, for the reason of a failed step. */
export async function lastLines(workDir: string, redactor: Redactor | undefined): Promise<string> {
  if (redactor === undefined) return `: its log is ${WITHHELD}`
  const tail = await readLines(workDir, MESSAGE_TAIL_BYTES, redactor)
  const lines = isNodeFailure(tail) ? await readLines(workDir, FAULT_TAIL_BYTES, redactor) : tail
  const said = endOfLog(lines).join('\n')
  return said === '' ? '' : `:\n${said.slice(0, MESSAGE_TAIL_BYTES)}`
}

/** The code of a fault and its message, as a step of ours writes them above each place and what to do. */
const FAULT = /^[a-z]\w*\.\w+: /
const FAULT_LINES = 10

/** The fault that a step of a contributed kind named last. */
export async function saidFault(workDir: string, redactor: Redactor | undefined): Promise<string | undefined> {
  if (redactor === undefined) return undefined
  const lines = await readLines(workDir, FAULT_TAIL_BYTES, redactor)
  const fault = lines.findLastIndex((line) => FAULT.test(line))
  if (fault === -1) return undefined
  const said = lines.slice(fault)
  const shown = said.length > FAULT_LINES ? [...said.slice(0, FAULT_LINES - 2), '…', said.at(-1)!] : said
  return shown.join('\n').slice(0, MESSAGE_TAIL_BYTES)
}

/** At once: a thread costs more. Undefined of what the step put in its place. */
function sizeOf(path: string): number | undefined {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    return stat?.isFile() ? stat.size : undefined
  } catch {
    return undefined // the step took away our rights
  }
}

/** What went wrong with what a step left, which may name what it holds. */
export function faultText(text: string, redactor: Redactor | undefined): string {
  return redactor === undefined ? `What is wrong is ${WITHHELD}` : storable(redactor.hideText(text))
}

/** Stores the log; of one beyond the limit its beginning and its end, saying how much fell out between them. */
export async function shipLog(
  blobs: BlobStore,
  workDir: string,
  limitBytes: number,
  redactor: Redactor | undefined,
): Promise<{ digest: string; sizeBytes: number } | undefined> {
  const path = join(workDir, 'log')
  const size = sizeOf(path)
  if (size === undefined || size === 0) return undefined
  if (redactor === undefined) return blobs.put(Buffer.from(`The log is ${WITHHELD}\n`))
  const part = (start: number, end: number) => streamHidden(path, { start, end }, redactor)
  if (size <= limitBytes) return blobs.put(part(0, size))
  const headBytes = Math.min(LOG_HEAD_BYTES, Math.floor(limitBytes / 4))
  const cut = async function* () {
    yield* part(0, headBytes)
    yield Buffer.from(`\n… ${size - limitBytes} bytes left out …\n`)
    yield* part(size - (limitBytes - headBytes), size)
  }
  return blobs.put(cut())
}

/** Whole, an overlong log of which the ends are stored would take its disk for as long as the work directory is kept. */
export function dropLog(workDir: string): void {
  rmSync(join(workDir, 'log'), { force: true })
}

export interface StepProgress {
  readonly fraction: number
  readonly message: string
}

/** The newest progress line that the step left in its events file. */
export async function readProgress(workDir: string, redactor: Redactor): Promise<StepProgress | undefined> {
  if (!sizeOf(join(workDir, 'events'))) return undefined
  const lines = (await readTail(join(workDir, 'events'), EVENTS_TAIL_BYTES, HIDES_NOTHING)).split('\n').reverse()
  for (const line of lines) {
    try {
      const event = JSON.parse(line) as { t?: unknown; fraction?: unknown; message?: unknown } // checked below
      if (event.t !== 'progress' || typeof event.fraction !== 'number') continue
      const message = storable(redactor.hideText(String(event.message ?? '')).slice(0, PROGRESS_TEXT_MAX))
      return { fraction: Math.min(1, Math.max(0, event.fraction)), message }
    } catch {
      // A torn or foreign line.
    }
  }
  return undefined
}
