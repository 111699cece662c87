import { mkdir } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { realClock } from '../../kernel/clock.ts'
import type { SqlBackend, SqlSession, Statement, StatementResult } from '../../kernel/db/backend.ts'
import { lockDirectory } from '../../kernel/directory-lock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { siblingModule } from '../../kernel/sibling-module.ts'
import { freeBytes, openFailure } from './open-failure.ts'
import { openUpkeep } from './upkeep.ts'
import type { WorkerReply, WorkerRequest } from './worker.ts'

const STATEMENT_TIMEOUT_MS = 120_000
const UPKEEP_MS = 15_000

const BEGIN: Statement = { sql: 'begin', values: [] }

type Send = (statements: readonly Statement[], isTransaction: boolean) => Promise<StatementResult[]>

interface Waiting {
  resolve: (results: StatementResult[]) => void
  reject: (error: Error) => void
}

/**
 * PGlite in a worker thread, so that a query never blocks the event loop. One session: callers queue for it.
 * Survives the death of the process, not the loss of power.
 * PGlite cannot cancel a statement: one that runs over `statementTimeoutMs` ends the worker, and every later query is
 * `unavailable` until the database is opened again.
 *
 * @throws conflict pglite.directory_in_use, naming the holder · full disk.full · unavailable pglite.open_failed
 */
export async function openPglite(
  directory: string,
  options: { statementTimeoutMs?: number } = {},
): Promise<SqlBackend> {
  const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const unlock = await lockDirectory(directory, 'pglite.directory_in_use')
  const worker = new Worker(siblingModule(import.meta.url, './worker'), {
    workerData: { directory },
  })
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  try {
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
      worker.once('exit', (code) => reject(new Error(`the worker exited with ${code}`)))
    })
  } catch (error) {
    await unlock()
    throw openFailure(error as Error, directory, await freeBytes(directory))
  }
  const { send, isOpen } = openMessages(worker, statementTimeoutMs)
  const turn = openTurn()
  const acquire = async () => {
    const done = await turn()
    return openSession(send, done)
  }
  const stopUpkeep = startUpkeep(acquire)
  let closing: Promise<void> | undefined
  const close = async () => {
    stopUpkeep()
    const done = await turn()
    if (isOpen()) worker.postMessage('close')
    await exited
    done()
    await unlock()
  }
  return {
    name: 'pglite',
    acquire,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/** Statements to the worker and their results back. */
function openMessages(
  worker: Worker,
  statementTimeoutMs: number,
): {
  send: Send
  isOpen(): boolean
} {
  const waiting = new Map<number, Waiting>()
  let nextId = 1
  let failure: Error | undefined
  const fail = (error: Error) => {
    failure ??= new PlimsollError('unavailable', 'pglite.stopped', 'The embedded database has stopped', {}, error)
    for (const waiter of waiting.values()) waiter.reject(failure)
    waiting.clear()
  }
  worker.on('error', fail)
  worker.on('exit', (code) => fail(new Error(`the worker exited with ${code}`)))
  worker.on('message', (reply: WorkerReply) => {
    const waiter = waiting.get(reply.id)
    if (!waiter) return
    waiting.delete(reply.id)
    if ('error' in reply) waiter.reject(Object.assign(new Error(reply.error.message), reply.error))
    else waiter.resolve(reply.results)
  })
  const giveUp = (id: number, reject: (error: Error) => void) => {
    failure ??= stuck(statementTimeoutMs)
    waiting.delete(id)
    reject(failure)
    void worker.terminate()
  }
  return {
    isOpen: () => failure === undefined,
    send: (statements, isTransaction) =>
      new Promise((resolve, reject) => {
        if (failure) {
          reject(failure)
          return
        }
        const id = nextId++
        const timer = setTimeout(() => giveUp(id, reject), statementTimeoutMs)
        const settle =
          <T>(then: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer)
            then(value)
          }
        const waiter = { resolve: settle(resolve), reject: settle(reject) }
        waiting.set(id, waiter)
        try {
          worker.postMessage({ id, statements, isTransaction } satisfies WorkerRequest)
        } catch (error) {
          waiting.delete(id)
          waiter.reject(error as Error) // a value that no thread can be sent
        }
      }),
  }
}

/** What a fault of it leaves undone is done at the next turn. */
function startUpkeep(acquire: SqlBackend['acquire']): () => void {
  const keepUp = openUpkeep(acquire, realClock)
  let isAtWork = false
  const timer = setInterval(() => {
    if (isAtWork) return
    isAtWork = true
    void keepUp()
      .catch(() => {})
      .finally(() => {
        isAtWork = false
      })
  }, UPKEEP_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** A `begin` waits for the statement after it and travels with that: a message between threads costs as much as a small statement. */
function openSession(send: Send, done: () => void): SqlSession {
  let isBegun = false
  return {
    query: async (sql, values) => {
      const isFirst = isBegun
      isBegun = !isFirst && sql === 'begin'
      if (isBegun || (isFirst && (sql === 'commit' || sql === 'rollback'))) return { rows: [], affected: undefined }
      const results = await send(isFirst ? [BEGIN, { sql, values }] : [{ sql, values }], false)
      return results.at(-1)!
    },
    transact: (statements) => send(statements, true),
    release: async () => done(),
  }
}

function stuck(statementTimeoutMs: number): PlimsollError {
  return new PlimsollError(
    'deadline',
    'pglite.statement_timeout',
    `A query took longer than ${statementTimeoutMs} ms: the embedded database was stopped`,
  )
}

/** First come, first served: resolves with the function that ends one's turn. */
function openTurn(): () => Promise<() => void> {
  let tail: Promise<void> = Promise.resolve()
  return async () => {
    const before = tail
    let end = () => {}
    tail = new Promise((resolve) => {
      end = resolve
    })
    await before
    return end
  }
}
