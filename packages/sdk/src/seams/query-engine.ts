/** Files that one SQL relation reads; the engine verifies nothing, the caller passes files by digest. */
export interface InputRelation {
  readonly format: 'parquet' | 'csv'
  /** Absolute paths or URLs that the engine can read, in a fixed order. */
  readonly files: readonly string[]
}

export interface ResultColumn {
  readonly name: string
  /** The engine's SQL type, for example `BIGINT`, `TIMESTAMP WITH TIME ZONE`. */
  readonly type: string
}

export interface QueryRequest {
  /** One statement. Relations are referred to by the names of `inputs`; values are bound as $1, $2, …. */
  readonly sql: string
  readonly inputs: Readonly<Record<string, InputRelation>>
  readonly values?: readonly (string | number | bigint | boolean | null)[]
  readonly signal?: AbortSignal
}

export interface QueryOutput {
  /** Absolute path of a directory that does not exist or is empty. */
  readonly directory: string
  /** Rows per Parquet row group. */
  readonly rowGroupRows?: number
}

export type Cell = string | number | bigint | boolean | null | Uint8Array | readonly Cell[]

/**
 * The offline engine. Everything runs with the time zone UTC. Results are reproducible: a statement without ORDER BY has
 * no order that a caller may rely on, and `write` gives equal bytes for equal statements and inputs.
 */
export interface QueryEngine {
  readonly dialect: 'duckdb' | 'spark'
  /** All rows, at most `rowsMax` (default 100,000): more is an error. Timestamps come as int64 microseconds (bigint). */
  rows(request: QueryRequest & { rowsMax?: number }): Promise<{ columns: ResultColumn[]; rows: Cell[][] }>
  /** Writes the result as Parquet files `part-00000.parquet`, … and returns them in order. */
  write(request: QueryRequest & { output: QueryOutput }): Promise<{ files: string[]; rowCount: number }>
  close(): Promise<void>
}
