import { parentPort, workerData } from 'node:worker_threads'
import { PGlite, types } from '@electric-sql/pglite'
import type { Statement, StatementResult } from '../../kernel/db/backend.ts'
import { openStatements } from './statements.ts'

export interface WorkerRequest {
  id: number
  statements: readonly Statement[]
  /** They are one transaction; otherwise each is for itself, or one of them begins one. */
  isTransaction: boolean
}

export type WorkerReply =
  | { id: number; results: StatementResult[] }
  | {
      id: number
      error: {
        message: string
        code?: string | undefined
        detail?: string | undefined
        constraint?: string | undefined
      }
    }

const { directory } = workerData as { directory: string } // set by backend.ts, its only starter
if (!parentPort) throw new Error('adapters/pglite/worker.ts runs in a worker thread only')
const port = parentPort

const lite = await PGlite.create({
  dataDir: directory,
  parsers: {
    [types.INT8]: (text: string) => BigInt(text),
    [types.NUMERIC]: (text: string) => text,
    [types.DATE]: (text: string) => text,
  },
  serializers: { [types.INT8]: (value: unknown) => String(value) },
})

const session = openStatements(lite)

async function answer({ id, statements, isTransaction }: WorkerRequest): Promise<WorkerReply> {
  try {
    if (isTransaction) return { id, results: await session.transact(statements) }
    const results: StatementResult[] = []
    for (const statement of statements) results.push(await session.run(statement))
    return { id, results }
  } catch (thrown) {
    const fault = thrown as { message?: string; code?: string; detail?: string; constraint?: string }
    return {
      id,
      error: {
        message: fault.message ?? String(thrown),
        code: fault.code,
        detail: fault.detail,
        constraint: fault.constraint,
      },
    }
  }
}

let queue: Promise<void> = Promise.resolve()
port.on('message', (request: WorkerRequest | 'close') => {
  queue = queue.then(async () => {
    if (request === 'close') {
      await lite.close()
      port.close()
      return
    }
    port.postMessage(await answer(request))
  })
})
port.postMessage('ready')
