import { useEffect, useState } from 'react'
import { client } from './session.ts'
import { isOfServer } from './trouble.ts'

const POLL_MS = 1_000
const RETRY_MS = 5_000
/** What a page keeps of a log: the newest part; the whole is behind `plimsoll logs`. */
export const LOG_KEPT_CHARS = 400_000

export interface StepLog {
  readonly text: string
  readonly isCut: boolean
  readonly error: Error | null
}

const NOTHING: StepLog = { text: '', isCut: false, error: null }

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

/** Follows a step's log until the server says that it has ended; another `attempt` starts over. */
export function useStepLog(target: { run: string; step: string; attempt: number }): StepLog {
  const { run, step, attempt } = target
  const [log, setLog] = useState<StepLog>(NOTHING)
  useEffect(() => {
    const stop = new AbortController()
    // A chunk may end inside a character: the decoder carries the rest over.
    const decoder = new TextDecoder()
    setLog(NOTHING)
    const follow = async () => {
      let offset = 0
      while (attempt > 0 && !stop.signal.aborted) {
        const chunk = await readChunk(run, step, offset, stop.signal).catch(async (error: unknown) => {
          if (!(error instanceof Error && isOfServer(error))) throw error
          await pause(RETRY_MS)
        })
        if (chunk === undefined) continue
        const added = decoder.decode(chunk.bytes, { stream: true })
        if (added !== '') {
          setLog((old) => {
            const whole = old.text + added
            return {
              text: whole.slice(-LOG_KEPT_CHARS),
              isCut: old.isCut || whole.length > LOG_KEPT_CHARS,
              error: null,
            }
          })
        }
        if (chunk.isEnd) return
        if (chunk.next === offset) await pause(POLL_MS)
        offset = chunk.next
      }
    }
    follow().catch((error: unknown) => {
      if (!stop.signal.aborted)
        setLog((old) => ({ ...old, error: error instanceof Error ? error : new Error(String(error)) }))
    })
    return () => stop.abort()
  }, [run, step, attempt])
  return log
}
