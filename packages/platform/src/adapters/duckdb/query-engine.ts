import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult, StatementType } from '@duckdb/node-api'
import type { Cell, InputRelation, QueryEngine, QueryOutput, QueryRequest, ResultColumn } from '@plimsoll/sdk/seams'
import { readCsvHeader } from '../../kernel/csv-header.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { cellConverter } from './cell.ts'
import { isCsvFailure, toQueryError } from './failure.ts'
import { checkRelationNames, plainCsvSql, quoteText, readablePaths, scanSql, viewSql } from './relation.ts'

const ROWS_MAX = 100_000
const ROW_GROUP_ROWS = 122_880
const SQL_LENGTH_MAX = 4_000_000
/** After an abort, how often a session is interrupted until it has ended. */
const INTERRUPT_MS = 50

export interface DuckdbOptions {
  /** Existing directory for spilled data and links; each statement has its own folder in it, removed afterwards. */
  readonly tempDirectory: string
  readonly threads?: number
  readonly memoryLimitBytes?: number
  /** Spilled data at most, 32 GiB when absent. */
  readonly tempBytesMax?: number
  /** Probe sides up to this size use DuckDB's other ASOF plan; tests run both. DuckDB's default is 64. */
  readonly asofLoopJoinThreshold?: number
}

/**
 * DuckDB in this process: for step workers only, since a statement may take all memory and all cores.
 * Every statement has a database of its own that may open its inputs, its output and its spill folder, and nothing else;
 * statements of one engine run one after the other.
 */
export function openDuckdbQueryEngine(options: DuckdbOptions): QueryEngine {
  let last: Promise<unknown> = Promise.resolve()
  let isClosed = false
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    if (isClosed)
      throw new PlimsollError('unavailable', 'query.closed', 'Cannot run a statement: the query engine is closed')
    const mine = last.then(work)
    last = mine.catch(() => {})
    return mine
  }
  return {
    dialect: 'duckdb',
    rows: async (request) =>
      inTurn(() => withSession(options, request, undefined, (session) => readRows(session, request))),
    write: async (request) => inTurn(() => writeFiles(options, request)),
    close: async () => {
      isClosed = true
      await last
    },
  }
}

interface Session {
  readonly connection: DuckDBConnection
  readonly request: QueryRequest
}

async function withSession<T>(
  options: DuckdbOptions,
  request: QueryRequest,
  writable: string | undefined,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  request.signal?.throwIfAborted()
  checkRequest(request)
  const scratch = await mkdtemp(join(resolve(options.tempDirectory), 'duckdb-'))
  let instance: DuckDBInstance | undefined
  let connection: DuckDBConnection | undefined
  let interrupting: NodeJS.Timeout | undefined
  const files = new Map<string, string>()
  // Between two statements there is nothing that an interrupt could stop, and the next one would run on.
  const onAbort = () => {
    connection?.interrupt()
    interrupting = setInterval(() => connection?.interrupt(), INTERRUPT_MS)
  }
  try {
    instance = await openInstance(options, scratch)
    connection = await instance.connect()
    request.signal?.addEventListener('abort', onAbort, { once: true })
    await prepareViews(connection, request, scratch, { writable, files })
    request.signal?.throwIfAborted()
    return await work({ connection, request })
  } catch (thrown) {
    request.signal?.throwIfAborted()
    throw toQueryError(thrown, files)
  } finally {
    request.signal?.removeEventListener('abort', onAbort)
    clearInterval(interrupting)
    connection?.closeSync()
    instance?.closeSync()
    await rm(scratch, { recursive: true, force: true })
  }
}

function checkRequest(request: QueryRequest): void {
  checkRelationNames(request.inputs)
  if (request.sql.length > SQL_LENGTH_MAX) {
    throw new PlimsollError(
      'too_large',
      'query.too_long',
      `Cannot run a statement of ${request.sql.length} characters: at most ${SQL_LENGTH_MAX}`,
    )
  }
}

function openInstance(options: DuckdbOptions, scratch: string): Promise<DuckDBInstance> {
  const settings: Record<string, string> = {
    temp_directory: join(scratch, 'spill'),
    max_temp_directory_size: `${options.tempBytesMax ?? 32 * 2 ** 30}B`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    preserve_insertion_order: 'true',
  }
  if (options.threads !== undefined) settings.threads = String(options.threads)
  if (options.memoryLimitBytes !== undefined) settings.memory_limit = `${options.memoryLimitBytes}B`
  return DuckDBInstance.create(':memory:', settings).then(async (instance) => {
    if (options.asofLoopJoinThreshold !== undefined) {
      const connection = await instance.connect()
      await connection.run(`SET GLOBAL asof_loop_join_threshold = ${Math.trunc(options.asofLoopJoinThreshold)}`)
      connection.closeSync()
    }
    return instance
  })
}

/** Paths are allowed first (`files` then knows the file of each), then everything else is shut and the configuration locked; only then is anything read. */
async function prepareViews(
  connection: DuckDBConnection,
  request: QueryRequest,
  scratch: string,
  { writable, files }: { writable: string | undefined; files: Map<string, string> },
): Promise<void> {
  const relations = await Promise.all(
    Object.entries(request.inputs).map(async ([name, relation]) => ({
      name,
      relation,
      paths: await readablePaths(relation, scratch, name),
    })),
  )
  for (const { relation, paths } of relations)
    for (const [index, path] of paths.entries()) files.set(path, relation.files[index]!)
  const allowed = relations.flatMap(({ paths }) => paths)
  if (writable !== undefined) allowed.push(writable)
  await connection.run(`SET TimeZone = 'UTC'`)
  if (allowed.length > 0) await connection.run(`SET allowed_paths = [${allowed.map(quoteText).join(', ')}]`)
  await connection.run('SET enable_external_access = false')
  await connection.run('SET lock_configuration = true')
  for (const { name, relation, paths } of relations) {
    await connection.run(viewSql(name, relation, paths, await readTypes(connection, relation, paths)))
  }
}

/** Types of the columns by name. */
async function readTypes(
  connection: DuckDBConnection,
  relation: InputRelation,
  paths: readonly string[],
): Promise<Map<string, string>> {
  try {
    const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${scanSql(relation, paths)}`)
    return new Map(described.getRowsJS().map((row) => [String(row[0]), String(row[1])]))
  } catch (thrown) {
    if (relation.format === 'csv' && isCsvFailure(thrown))
      for (const path of paths) await readPlainly(connection, relation, path)
    throw thrown
  }
}

/** Fails where a line of the file has not as many fields as its first one. */
async function readPlainly(connection: DuckDBConnection, relation: InputRelation, path: string): Promise<void> {
  const { delimiter = ',', header = true, columns } = relation.csv ?? {}
  const fields = (header ? undefined : columns) ?? (await readCsvHeader(path, delimiter))
  if (fields) await connection.run(plainCsvSql(relation, path, fields.length))
}

async function requireOneSelect(connection: DuckDBConnection, sql: string): Promise<void> {
  const statements = await connection.extractStatements(sql)
  const refuse = (state: string) =>
    new PlimsollError(
      'invalid',
      'query.not_one_select',
      `Cannot run the statement: expected one SELECT, found ${state}`,
    )
  if (statements.count !== 1) throw refuse(`${statements.count} statements`)
  const statement = await statements.prepare(0)
  try {
    if (statement.statementType !== StatementType.SELECT) throw refuse('another kind of statement')
  } finally {
    statement.destroySync()
  }
}

async function execute({ connection, request }: Session, sql: string): Promise<DuckDBResult> {
  const statement = await connection.prepare(sql)
  for (const [index, value] of (request.values ?? []).entries()) {
    const place = index + 1
    if (value === null) statement.bindNull(place)
    else if (typeof value === 'string') statement.bindVarchar(place, value)
    else if (typeof value === 'boolean') statement.bindBoolean(place, value)
    else if (typeof value === 'bigint') bindBigint(statement, place, value)
    else if (Number.isSafeInteger(value) && !Object.is(value, -0)) statement.bindBigInt(place, BigInt(value))
    else statement.bindDouble(place, value)
  }
  return statement.stream()
}

function bindBigint(
  statement: { bindBigInt(place: number, value: bigint): void; bindHugeInt(place: number, value: bigint): void },
  place: number,
  value: bigint,
): void {
  if (BigInt.asIntN(64, value) === value) statement.bindBigInt(place, value)
  else statement.bindHugeInt(place, value)
}

async function readRows(
  session: Session,
  request: QueryRequest & { rowsMax?: number },
): Promise<{ columns: ResultColumn[]; rows: Cell[][] }> {
  await requireOneSelect(session.connection, request.sql)
  const rowsMax = request.rowsMax ?? ROWS_MAX
  const result = await execute(session, request.sql)
  const types = result.columnTypes()
  const columns = result.columnNames().map((name, index) => ({ name, type: String(types[index]) }))
  const rows: Cell[][] = []
  for await (const chunk of result.yieldConvertedRows(cellConverter)) {
    request.signal?.throwIfAborted()
    if (rows.length + chunk.length > rowsMax) {
      throw new PlimsollError('too_large', 'query.too_many_rows', `Cannot return the result: more than ${rowsMax} rows`)
    }
    for (const row of chunk) rows.push(row)
  }
  return { columns, rows }
}

async function writeFiles(
  options: DuckdbOptions,
  request: QueryRequest & { output: QueryOutput },
): Promise<{ files: string[]; rowCount: number }> {
  const directory = resolve(request.output.directory)
  await mkdir(directory, { recursive: true })
  if ((await readdir(directory)).length > 0) {
    throw new PlimsollError(
      'conflict',
      'query.output_not_empty',
      `Cannot write to "${directory}": the directory is not empty`,
    )
  }
  const file = join(directory, 'part-00000.parquet')
  const rowGroupRows = request.output.rowGroupRows ?? ROW_GROUP_ROWS
  if (!Number.isSafeInteger(rowGroupRows) || rowGroupRows < 2_048) {
    throw new PlimsollError(
      'invalid',
      'query.bad_row_group',
      `Cannot write row groups of ${rowGroupRows} rows: expected an integer of at least 2048`,
    )
  }
  try {
    return await withSession(options, request, file, async (session) => {
      await requireOneSelect(session.connection, request.sql)
      const settings = `FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v1, ROW_GROUP_SIZE ${rowGroupRows}, USE_TMP_FILE false`
      const result = await execute(
        session,
        `COPY (\n${request.sql.replace(/;\s*$/, '')}\n) TO ${quoteText(file)} (${settings})`,
      )
      const [row] = await result.getRows()
      return { files: [file], rowCount: Number(row?.[0] ?? 0) }
    })
  } catch (thrown) {
    await rm(file, { force: true })
    throw thrown
  }
}
