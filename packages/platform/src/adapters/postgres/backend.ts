import pg from 'pg'
import type { SqlBackend, SqlSession, StatementResult } from '../../kernel/db/backend.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/log.ts'

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

function isConnectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  // A statement that the server refused carries a five-character SQLSTATE; anything else is the connection.
  return typeof code !== 'string' || !/^[0-9A-Z]{5}$/.test(code) || /^(57P0|08)/.test(code)
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
    types: { getTypeParser: parserOf as typeof getTypeParser }, // the same signature, with our own parsers in front
  })
  pool.on('error', (error) => options.log?.warn({ error: error.message }, 'an idle database connection was lost'))
  let closing: Promise<void> | undefined
  const backend: SqlBackend = {
    name: 'postgres',
    acquire: async () => {
      if (closing) throw new PlimsollError('unavailable', 'db.closed', 'The database is closed')
      try {
        return openSession(await pool.connect())
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
  await probe(backend)
  return backend
}

/** Fails at the start rather than at the first request. */
async function probe(backend: SqlBackend): Promise<void> {
  try {
    const session = await backend.acquire()
    await session.query('select 1', [])
    await session.release()
  } catch (error) {
    await backend.close()
    throw error
  }
}

function openSession(client: pg.PoolClient): SqlSession {
  let lost: Error | undefined
  // A connection that dies while it is ours and idle says so by this event; unheard, it would end the process.
  const onError = (error: Error) => {
    lost = error
  }
  client.on('error', onError)
  const query = async (sql: string, values: readonly unknown[]): Promise<StatementResult> => {
    try {
      const result = await client.query<Record<string, unknown>>(sql, [...values])
      return { rows: result.rows, affected: result.rowCount === null ? undefined : BigInt(result.rowCount) }
    } catch (error) {
      if (!isConnectionLost(error)) throw error
      lost = error as Error // thrown by the driver
      throw unavailable(error)
    }
  }
  return {
    query,
    async transact(statements) {
      await query('begin', [])
      try {
        const results: StatementResult[] = []
        for (const { sql, values } of statements) results.push(await query(sql, values))
        await query('commit', [])
        return results
      } catch (error) {
        if (lost === undefined) await query('rollback', [])
        throw error
      }
    },
    async release() {
      client.off('error', onError)
      client.release(lost)
    },
  }
}
