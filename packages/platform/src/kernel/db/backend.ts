/** One session of a database: what runs here between `begin` and `commit` is one transaction. */
export interface SqlSession {
  query(
    sql: string,
    values: readonly unknown[],
  ): Promise<{ rows: Record<string, unknown>[]; affected: bigint | undefined }>
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
