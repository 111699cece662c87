export interface Statement {
  readonly sql: string
  readonly values: readonly unknown[]
}

export interface StatementResult {
  readonly rows: Record<string, unknown>[]
  readonly affected: bigint | undefined
}

/** One session of a database: what runs here between `begin` and `commit` is one transaction. */
export interface SqlSession {
  query(sql: string, values: readonly unknown[]): Promise<StatementResult>
  /**
   * Queries and writes as one transaction that nothing else belongs to, outside of any other: each sees what those before
   * it did, and a fault undoes all. The embedded database is asked once for them all.
   */
  transact(statements: readonly Statement[]): Promise<StatementResult[]>
  /** Gives the session back. A broken one (connection lost) is thrown away instead of reused. */
  release(): Promise<void>
}

/**
 * A PostgreSQL-speaking database. Two adapters: PGlite in a worker thread (one session) and a pool of PostgreSQL
 * connections. Both return bigint for int8, Date for timestamptz, parsed JSON for jsonb, string for numeric.
 */
export interface SqlBackend {
  readonly name: 'pglite' | 'postgres'
  acquire(): Promise<SqlSession>
  close(): Promise<void>
}
