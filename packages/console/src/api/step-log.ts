import { useEffect, useRef, useState } from 'react'
import { client } from './session.ts'
import { isOfServer } from './trouble.ts'

const POLL_MS = 1_000
const RETRY_MS = 5_000
const LONG_BYTES = 200_000
/** What a page keeps of a log: the newest part; the whole is behind `plimsoll logs`. */
export const LOG_KEPT_CHARS = 400_000

export interface StepLog {
  /** Undefined until the server has said what there is. */
  readonly text: string | undefined
  readonly isCut: boolean
  readonly error: Error | null
}

const UNREAD: StepLog = { text: undefined, isCut: false, error: null }

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function readChunk(run: string, step: string, offset: number, signal: AbortSignal) {
  const path = `/api/v1/runs/${encodeURIComponent(run)}/steps/${encodeURIComponent(step)}/log`
  const response = await client().fetch({ path, query: { offset }, signal, headers: { accept: 'text/plain' } })
  const next = Number(response.headers.get('x-plimsoll-next-offset') ?? offset)
  return {
    bytes: await response.arrayBuffer(),
    next: Number.isSafeInteger(next) ? Math.max(offset, next) : offset,
    isEnd: response.headers.get('x-plimsoll-end') === '1',
  }
}

/** The newest part of what was read, and where reading goes on. */
interface Reading {
  text: string
  isCut: boolean
  offset: number
}

function append(reading: Reading, added: string): void {
  // A log that is entered in its middle begins with a part of a line.
  const isEntered = reading.isCut && reading.text === ''
  const whole = isEntered ? added.slice(added.indexOf('\n') + 1) : reading.text + added
  reading.isCut ||= whole.length > LOG_KEPT_CHARS
  reading.text = whole.slice(-LOG_KEPT_CHARS)
}

async function follow(target: Target, signal: AbortSignal, show: (reading: Reading) => void): Promise<void> {
  const { run, step, sizeBytes } = target
  // A chunk may end inside a character: the decoder carries the rest over.
  const decoder = new TextDecoder()
  const offset = Math.max(0, (sizeBytes ?? 0) - LOG_KEPT_CHARS)
  const reading: Reading = { text: '', isCut: offset > 0, offset }
  while (!signal.aborted) {
    const chunk = await readChunk(run, step, reading.offset, signal).catch(async (error: unknown) => {
      if (!(error instanceof Error && isOfServer(error))) throw error
      await pause(RETRY_MS)
    })
    if (chunk === undefined) continue
    const isNew = chunk.next !== reading.offset
    append(reading, decoder.decode(chunk.bytes, { stream: true }))
    reading.offset = chunk.next
    // More follows at once on a long answer: to draw each of them would take longer than to read it.
    if (chunk.isEnd || chunk.bytes.byteLength < LONG_BYTES) show(reading)
    if (chunk.isEnd) return
    if (!isNew) await pause(POLL_MS)
  }
}

interface Target {
  readonly run: string
  readonly step: string
  readonly attempt: number
  /** Of a log that is complete; null while it grows. */
  readonly sizeBytes: number | null
}

/** Follows a step's log until the server says that it has ended; another `attempt` starts over. Of a log that is complete, only the part that a page keeps is read. */
export function useStepLog({ run, step, attempt, sizeBytes }: Target): StepLog {
  const [log, setLog] = useState<StepLog>(UNREAD)
  // Where it begins counts once: the size that becomes known at the end of a log that is followed changes nothing.
  const firstSize = useRef(sizeBytes)
  useEffect(() => {
    const stop = new AbortController()
    setLog(UNREAD)
    follow({ run, step, attempt, sizeBytes: firstSize.current }, stop.signal, ({ text, isCut }) =>
      setLog({ text, isCut, error: null }),
    ).catch((error: unknown) => {
      if (!stop.signal.aborted)
        setLog((old) => ({ ...old, error: error instanceof Error ? error : new Error(String(error)) }))
    })
    return () => stop.abort()
  }, [run, step, attempt])
  return log
}
