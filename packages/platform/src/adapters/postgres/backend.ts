import { createHash } from 'node:crypto'
import pg from 'pg'
import type { SqlBackend, SqlSession, Statement, StatementResult } from '../../kernel/db/backend.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'
import { connectionFault } from './server.ts'

export interface PostgresOptions {
  url: string
  poolSize?: number
  /** A statement that runs longer is cancelled by the server (57014). */
  statementTimeoutMs?: number
  /** Waiting longer for a row or table lock fails (55P03). */
  lockTimeoutMs?: number
  /** A transaction that is idle for longer is ended by the server: it would hold back events and vacuum. */
  idleInTransactionMs?: number
  /** How long a caller waits for a free session. */
  acquireTimeoutMs?: number
  log?: Logger
}

const { builtins, getTypeParser } = pg.types
type TypeId = Parameters<typeof getTypeParser>[0]
const INT8_ARRAY = 1016 as TypeId // the driver's list of names has no arrays
const DATE_TEXT = (text: string) => text

/** Types of values: int8 as bigint, date as text; the driver's own parsers give the rest. */
function parserOf(oid: TypeId, format?: 'text' | 'binary'): unknown {
  if (oid === builtins.INT8) return (text: string) => BigInt(text)
  if (oid === builtins.DATE) return DATE_TEXT
  if (oid === INT8_ARRAY) {
    const parse = getTypeParser(oid, 'text') as (text: string) => (string | null)[] // an array of decimal texts
    return (text: string) => parse(text).map((item) => (item === null ? null : BigInt(item)))
  }
  return getTypeParser(oid, format as 'text')
}

/** Whether what the driver threw is of the connection, and not of a statement. */
export function isConnectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  // A statement that the server refused carries a SQLSTATE, of a class that no code of the system begins with: EPIPE is as long.
  return typeof code !== 'string' || !/^[0-9FHPX][0-9A-Z]{4}$/.test(code) || /^(57P0|08)/.test(code)
}

function unavailable(error: unknown): PlimsollError {
  return new PlimsollError('unavailable', 'db.unavailable', 'The database does not answer', {}, error)
}

/** A pool of PostgreSQL connections. A connection that broke is thrown away; the next caller gets a new one. */
export async function openPostgres(options: PostgresOptions): Promise<SqlBackend> {
  const max = options.poolSize ?? 10
  const pool = new pg.Pool({
    connectionString: options.url,
    max,
    application_name: 'plimsoll',
    connectionTimeoutMillis: options.acquireTimeoutMs ?? 10_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    lock_timeout: options.lockTimeoutMs ?? 10_000,
    idle_in_transaction_session_timeout: options.idleInTransactionMs ?? 60_000,
    options: '-c timezone=UTC',
    pipeline: true,
    types: { getTypeParser: parserOf as typeof getTypeParser }, // the same signature, with our own parsers in front
  })
  pool.on('error', (error) => options.log?.warn({ error: error.message }, 'an idle database connection was lost'))
  const plans: Plans = { era: 0 }
  let closing: Promise<void> | undefined
  const backend: SqlBackend = {
    name: 'postgres',
    acquire: async () => {
      if (closing) throw new PlimsollError('unavailable', 'db.closed', 'The database is closed')
      try {
        return openSession(await pool.connect(), plans)
      } catch (error) {
        const isFull = pool.totalCount >= max && pool.idleCount === 0
        if (isFull)
          throw new PlimsollError(
            'overloaded',
            'db.pool_exhausted',
            `All ${max} database connections are in use`,
            {},
            error,
          )
        throw unavailable(error)
      }
    },
    close: () => {
      closing ??= pool.end()
      return closing
    },
  }
  await probe(pool, options.url)
  return backend
}

/** Fails at the start rather than at the first request. */
async function probe(pool: pg.Pool, url: string): Promise<void> {
  try {
    const client = await pool.connect()
    await client.query('select 1').finally(() => client.release())
  } catch (error) {
    await pool.end()
    throw connectionFault(url, error)
  }
}

/** Longer texts are bulk writes, which differ each time. */
const KEPT_CHARS_MAX = 8_192
/** A plan that was made before the schema changed. */
const STALE_PLAN = '0A000'
/** Part of the names of prepared statements: another era forgets those of before, in all sessions of a pool. */
interface Plans {
  era: number
}

/** Names what the server shall parse and plan once: for small statements that is most of their cost. */
function nameOf({ sql }: Statement, { era }: Plans): string | undefined {
  return sql.length > KEPT_CHARS_MAX ? undefined : `${era}-${createHash('sha256').update(sql).digest('base64url')}`
}

function openSession(client: pg.PoolClient, plans: Plans): SqlSession {
  let lost: Error | undefined
  // A connection that dies while it is ours and idle says so by this event; unheard, it would end the process.
  const onError = (error: Error) => {
    lost = error
  }
  client.on('error', onError)
  const query = async (sql: string, values: readonly unknown[], name?: string): Promise<StatementResult> => {
    try {
      const result = await client.query<Record<string, unknown>>({ text: sql, values: [...values], name })
      return { rows: result.rows, affected: result.rowCount === null ? undefined : BigInt(result.rowCount) }
    } catch (error) {
      if (!isConnectionLost(error)) throw error
      lost = error as Error // thrown by the driver
      throw unavailable(error)
    }
  }
  /** One journey to the server, and one for the commit: it waits for all answers, since a statement may never have left. */
  const transactOnce = async (statements: readonly Statement[]): Promise<StatementResult[]> => {
    const sent = [
      query('begin', []),
      ...statements.map((statement) => query(statement.sql, statement.values, nameOf(statement, plans))),
    ]
    const answers = await Promise.allSettled(sent)
    const failed = answers.find((answer) => answer.status === 'rejected')
    if (failed) {
      if (lost === undefined) await query('rollback', [])
      throw failed.reason
    }
    await query('commit', [])
    return (await Promise.all(sent)).slice(1)
  }
  return {
    query: (sql, values) => query(sql, values),
    async transact(statements) {
      try {
        return await transactOnce(statements)
      } catch (error) {
        if ((error as { code?: unknown }).code !== STALE_PLAN) throw error
        plans.era++
        return transactOnce(statements)
      }
    },
    async release() {
      client.off('error', onError)
      client.release(lost)
    },
  }
}
