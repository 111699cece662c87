import type { ColumnType } from '../wire/definition/name.ts'

/** How CSV files are written. Every field is text until `columns` of the relation gives it a type. */
export interface CsvFormat {
  /** One character, `,` when absent. */
  readonly delimiter?: string
  /** True when absent: the first line of each file names the columns, in any order. */
  readonly header?: boolean
  /** Names of the fields in order, for files without a header. */
  readonly columns?: readonly string[] | undefined
  /** Unquoted text that means null, the empty string when absent. */
  readonly nullText?: string
}

/** Files that one SQL relation reads; the engine verifies nothing, the caller passes files by digest. */
export interface InputRelation {
  readonly format: 'parquet' | 'csv'
  /** Absolute paths or URLs that the engine can read, in a fixed order. Names are taken literally, never as patterns. */
  readonly files: readonly string[]
  /**
   * Columns of the relation with their types: the engine casts to them, a `timestamp` becomes an instant
   * (`TIMESTAMP WITH TIME ZONE`; naive values are read in its zone), other columns are left out. A value that does not
   * fit fails the statement. Without it, Parquet columns come as they are and CSV columns as text.
   */
  readonly columns?: Readonly<Record<string, ColumnType>>
  /**
   * Timestamps among `columns` whose parts of a microsecond are rounded up; those of all others are rounded down. An
   * engine that is given only microseconds by its reader of Parquet has nothing to round.
   */
  readonly roundedUp?: readonly string[]
  readonly csv?: CsvFormat
  /** With it, the relation also has this column: the 0-based position in `files` of the file that a row came from (BIGINT). */
  readonly fileColumn?: string
  /** With it, the relation also has this column: a BIGINT that is unique and grows as `files` and their rows do, with gaps. */
  readonly orderColumn?: string
}

/** One column of a result. */
export interface ResultColumn {
  readonly name: string
  /** The engine's SQL type, for example `BIGINT`, `TIMESTAMP WITH TIME ZONE`. */
  readonly type: string
}

/** One statement with what it reads. */
export interface QueryRequest {
  /** One SELECT. Relations are referred to by the names of `inputs`; values are bound as $1, $2, …. */
  readonly sql: string
  readonly inputs: Readonly<Record<string, InputRelation>>
  readonly values?: readonly (string | number | bigint | boolean | null)[]
  readonly signal?: AbortSignal
}

/** Where and how `write` leaves its files. */
export interface QueryOutput {
  /** Absolute path of a directory that does not exist or is empty. */
  readonly directory: string
  /** Rows per Parquet row group, 122,880 when absent. */
  readonly rowGroupRows?: number
}

/**
 * A value of a result. Integers up to 32 bits and floats are numbers (NaN and infinities included), wider integers
 * bigint, timestamps int64 microseconds (bigint), dates `YYYY-MM-DD`, decimals exact decimal text, times, intervals and
 * UUIDs text, blobs bytes; lists, arrays and structs (fields in order) are lists, maps lists of [key, value].
 */
export type Cell = string | number | bigint | boolean | null | Uint8Array | readonly Cell[]

/**
 * The offline engine. Everything runs with the time zone UTC. Results are reproducible: a statement without ORDER BY has
 * no order that a caller may rely on, and `write` gives equal bytes for equal statements and inputs.
 * A statement reads its inputs and writes its output, and no other file.
 */
export interface QueryEngine {
  readonly dialect: 'duckdb' | 'spark'
  /**
   * All rows, at most `rowsMax` (default 100,000): more is an error. Timestamps come as int64 microseconds (bigint).
   * @throws invalid query.failed · invalid query.not_one_select · invalid query.file_unreadable · forbidden
   * query.file_refused · too_large query.too_many_rows · exhausted query.memory · the signal's reason
   */
  rows(request: QueryRequest & { rowsMax?: number }): Promise<{ columns: ResultColumn[]; rows: Cell[][] }>
  /** Writes the result as Parquet files `part-00000.parquet`, … and returns them in order. @throws as `rows`, and conflict query.output_not_empty */
  write(request: QueryRequest & { output: QueryOutput }): Promise<{ files: string[]; rowCount: number }>
  close(): Promise<void>
}
