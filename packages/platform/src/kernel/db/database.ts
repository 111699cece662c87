import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type RawBuilder,
  type TransactionSettings,
} from 'kysely'
import { PlimsollError } from '../errors.ts'
import type { SqlBackend, SqlSession, StatementResult } from './backend.ts'
import type { Tables } from './tables.ts'

/** The open transaction of the current asynchronous flow. `done` ends the guard for work that outlives it. */
export interface TransactionScope {
  backend: SqlBackend
  done: boolean
}

export const transactionScope = new AsyncLocalStorage<TransactionScope>()

class SessionConnection implements DatabaseConnection {
  readonly session: SqlSession
  /** A transaction has ended here: a statement that waited for its turn must not run outside of it. */
  isOver = false

  constructor(session: SqlSession) {
    this.session = session
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.isOver)
      throw new PlimsollError(
        'internal',
        'db.transaction_over',
        'Cannot run a statement: its transaction has ended; await each statement before the next',
      )
    const { rows, affected } = await this.session.query(query.sql, query.parameters)
    const result = { rows: rows as R[] } // rows have the shape that the query's type says
    return affected === undefined ? result : { ...result, numAffectedRows: affected }
  }

  /** The rows of each; see `SqlSession.transact`. */
  async transact(queries: readonly CompiledQuery[]): Promise<StatementResult[]> {
    return this.session.transact(queries.map(({ sql, parameters }) => ({ sql, values: parameters })))
  }

  // biome-ignore lint/correctness/useYield: the interface asks for a generator, and there is nothing to stream
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new PlimsollError(
      'unsupported',
      'db.no_streaming',
      'Cannot stream a query: page with a keyset cursor instead',
    )
  }
}

/** Statements as one transaction of their own. */
export function runTogether(db: Kysely<Tables>, queries: readonly RawBuilder<unknown>[]): Promise<StatementResult[]> {
  const compiled = queries.map((query) => query.compile(db))
  return db.getExecutor().provideConnection((connection) => (connection as SessionConnection).transact(compiled)) // our driver gives no other
}

class SessionDriver implements Driver {
  readonly #backend: SqlBackend

  constructor(backend: SqlBackend) {
    this.#backend = backend
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SessionConnection> {
    const scope = transactionScope.getStore()
    if (scope && !scope.done && scope.backend === this.#backend) {
      throw new PlimsollError(
        'internal',
        'db.root_inside_transaction',
        'Cannot query the root handle inside a transaction: use the transaction that was passed in',
      )
    }
    return new SessionConnection(await this.#backend.acquire())
  }

  async beginTransaction(connection: SessionConnection, settings: TransactionSettings): Promise<void> {
    await connection.session.query(
      settings.isolationLevel ? `begin isolation level ${settings.isolationLevel}` : 'begin',
      [],
    )
  }

  async commitTransaction(connection: SessionConnection): Promise<void> {
    connection.isOver = true
    await connection.session.query('commit', [])
  }

  async rollbackTransaction(connection: SessionConnection): Promise<void> {
    connection.isOver = true
    await connection.session.query('rollback', [])
  }

  async releaseConnection(connection: SessionConnection): Promise<void> {
    await connection.session.release()
  }

  async destroy(): Promise<void> {
    await this.#backend.close()
  }
}

/** A Kysely over a backend. A query on it inside a transaction of the same flow is an error, never a hang. */
export function openDatabase(backend: SqlBackend): Kysely<Tables> {
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new SessionDriver(backend),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
