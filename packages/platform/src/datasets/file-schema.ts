import type { Cell, QueryEngine } from '@plimsoll/sdk/seams'
import { type ColumnType, type DatasetDefinition, listedNames, shownValue } from '@plimsoll/sdk/wire'
import { countText } from '../kernel/count-text.ts'
import { readCsvHeader } from '../kernel/csv-header.ts'
import { type Fault, isPlimsollError, PlimsollError } from '../kernel/errors.ts'
import { hasOffset } from './content/local-times.ts'
import { type Measure, quoted, type Scan, selectRows } from './content/measure.ts'

const FILES_PER_STATEMENT = 200
const FAULTS_MAX = 100

/** Types of files that a column type accepts; wider integers when every value fits. A naive timestamp needs a declared zone besides. */
const ACCEPTED: Record<ColumnType['type'], RegExp> = {
  boolean: /^BOOLEAN$/,
  int32: /^(?:U?BIGINT|U?INTEGER|U?SMALLINT|U?TINYINT)$/,
  int64: /^(?:U?BIGINT|U?INTEGER|U?SMALLINT|U?TINYINT)$/,
  float32: /^FLOAT$/,
  float64: /^(?:DOUBLE|FLOAT|DECIMAL\(\d+,\d+\))$/,
  text: /^(?:VARCHAR|UUID|ENUM\(.*\))$/s,
  timestamp: /^TIMESTAMP(?: WITH TIME ZONE|_S|_MS|_NS)?$/,
  date: /^DATE$/,
  bytes: /^BLOB$/,
}

const ZONED = 'TIMESTAMP WITH TIME ZONE'

/** Integers that may not fit the declared type. */
const WIDER: Partial<Record<ColumnType['type'], RegExp>> = { int32: /^(?:U?BIGINT|UINTEGER)$/, int64: /^UBIGINT$/ }

/** Closest declaration for a type of the engine, for messages. */
const SUGGESTED: Record<string, string> = {
  BOOLEAN: 'boolean()',
  INTEGER: 'int32()',
  SMALLINT: 'int32()',
  TINYINT: 'int32()',
  BIGINT: 'int64()',
  UINTEGER: 'int64()',
  FLOAT: 'float32()',
  DOUBLE: 'float64()',
  VARCHAR: 'text()',
  DATE: 'date()',
  BLOB: 'bytes()',
  [ZONED]: 'timestamp()',
  TIMESTAMP: "timestamp({ zone: '…' })",
}

/** How the engine names a column whose name was there before. */
const RENAMED = /_[0-9]+$/

export interface FoundSchema {
  /** Columns of the first file, in order. */
  readonly columns: readonly string[]
  /** Columns of any file that the schema does not name. */
  readonly extra: readonly string[]
  /** Columns whose values must be looked at: text of CSV files, and integers wider than declared. */
  readonly unsure: readonly string[]
  /** Timestamps whose values name no instant without the declared zone: of CSV all, since text may or may not. */
  readonly local: readonly string[]
}

/** Columns and engine types of each file, by name, in the order of the files. */
async function readColumns(
  engine: QueryEngine,
  source: DatasetDefinition['source'],
  files: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, string>[]> {
  const found: Map<string, string>[] = []
  for (let start = 0; start < files.length; start += FILES_PER_STATEMENT) {
    const batch = files.slice(start, start + FILES_PER_STATEMENT)
    const inputs = Object.fromEntries(
      batch.map((file, index) => [
        `f${index}`,
        { format: source.format, files: [file], ...(source.csv ? { csv: source.csv } : {}) },
      ]),
    )
    const sql = `SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index`
    const { rows } = await engine.rows({ sql, inputs, signal, rowsMax: 2_000_000 })
    const columns = batch.map(() => new Map<string, string>())
    for (const [table, name, type] of rows) columns[Number(String(table).slice(1))]?.set(String(name), String(type))
    found.push(...columns)
  }
  return found
}

/** The message says itself which file it is about where it knows the line. */
function withFile(file: string, message: string): string {
  return message.includes(file) ? message : `${file}: ${message}`
}

/** When a batch cannot be read, each file is tried alone, so that every unreadable one is named. */
async function readAllColumns(
  engine: QueryEngine,
  definition: DatasetDefinition,
  files: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, string>[]> {
  try {
    return await readColumns(engine, definition.source, files, signal)
  } catch (thrown) {
    signal.throwIfAborted()
    if (!isPlimsollError(thrown) || thrown.kind !== 'invalid') throw thrown
    const faults: Fault[] = []
    for (const [index, file] of files.entries()) {
      if (faults.length >= FAULTS_MAX) break
      await readColumns(engine, definition.source, [file], signal).catch((error: unknown) => {
        signal.throwIfAborted()
        faults.push({
          pointer: `/files/${index}`,
          detail: withFile(file, error instanceof Error ? error.message : String(error)),
        })
      })
    }
    if (faults.length === 0) throw thrown
    throw new PlimsollError(
      'invalid',
      'datasets.unreadable_files',
      `Cannot read ${faults.length} of ${countText(files.length, 'file')} of dataset "${definition.name}"`,
      { faults },
      thrown,
    )
  }
}

/**
 * Compares every file with the declared schema; columns that the schema does not name are returned, not refused.
 * @throws invalid datasets.schema_mismatch (faults: every missing or repeated column, wrong type and zone in question)
 * @throws invalid datasets.unreadable_files
 */
export async function checkFileSchema(
  engine: QueryEngine,
  definition: DatasetDefinition,
  files: readonly string[],
  signal: AbortSignal,
): Promise<FoundSchema> {
  const { source, schema, name } = definition
  const found = await readAllColumns(engine, definition, files, signal)
  const faults: Fault[] = []
  const extra = new Set<string>()
  const unsure = new Set<string>()
  const zoned = new Set(
    found.flatMap((columns) => [...columns].flatMap(([name, type]) => (type === ZONED ? [name] : []))),
  )
  const local = new Set<string>()
  const delimiters = new Set<string>()
  for (const [index, columns] of found.entries()) {
    const missing = Object.keys(schema).find((column) => !columns.has(column))
    const delimiter = missing === undefined ? undefined : otherDelimiter(source, columns)
    if (delimiter !== undefined) delimiters.add(delimiter)
    const twice = await repeatedNames(source, files[index]!, columns)
    for (const column of columns.keys()) if (!Object.hasOwn(schema, column)) extra.add(column)
    for (const [column, type] of Object.entries(schema)) {
      const foundType = columns.get(column)
      if (source.format === 'csv' || (foundType && WIDER[type.type]?.test(foundType))) unsure.add(column)
      if (type.type === 'timestamp' && foundType !== ZONED) local.add(column)
      const names = twice.get(column.toLowerCase())
      const again = names && `the column is there twice, as ${names.map((each) => `"${each}"`).join(' and ')}`
      const absent = `the column is missing${column === missing ? `; the file has ${namesText(columns)}` : ''}`
      const detail =
        again ?? mismatch(type, foundType, source.format, absent) ?? half(type, foundType, zoned.has(column))
      if (detail) faults.push({ pointer: `/schema/${column}`, detail: `${files[index]}: ${detail}` })
    }
  }
  if (faults.length > 0) {
    const message = `Cannot read dataset "${name}": ${countText(faults.length, 'column differs', 'columns differ')} from its schema`
    throw new PlimsollError('invalid', 'datasets.schema_mismatch', message, {
      faults: faults.slice(0, FAULTS_MAX),
      faultCount: faults.length,
      ...(delimiters.size > 0 ? { action: delimiterHint([...delimiters]) } : {}),
    })
  }
  return { columns: [...(found[0]?.keys() ?? [])], extra: [...extra].sort(), unsure: [...unsure], local: [...local] }
}

/**
 * Names that the header of a CSV file has more than once, by their small letters, since SQL takes them for one name. The
 * engine has renamed all but the first, so that only the file tells.
 */
async function repeatedNames(
  { format, csv }: DatasetDefinition['source'],
  file: string,
  columns: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string[]>> {
  const repeated = new Map<string, string[]>()
  if (format !== 'csv' || csv?.header === false || ![...columns.keys()].some((name) => RENAMED.test(name)))
    return repeated
  const header = (await readCsvHeader(file, csv?.delimiter ?? ',')) ?? []
  const byName = Map.groupBy(header, (name) => name.toLowerCase())
  for (const [name, all] of byName) if (all.length > 1) repeated.set(name, all)
  return repeated
}

const namesText = (columns: ReadonlyMap<string, string>) => listedNames([...columns.keys()].map(shownValue))

const DELIMITERS = [',', ';', '\t', '|']

/** The delimiter that the header of a CSV file has in place of the declared one, since all of it is read as one name. */
function otherDelimiter(
  { format, csv }: DatasetDefinition['source'],
  columns: ReadonlyMap<string, string>,
): string | undefined {
  if (format !== 'csv' || columns.size !== 1 || csv?.header === false) return undefined
  return DELIMITERS.find((each) => [...columns.keys()].some((name) => name.includes(each)))
}

function delimiterHint(found: readonly string[]): string {
  const [first = ''] = found
  const written = first === '\t' ? String.raw`\t` : first
  return `If ${found.map(shownValue).join(' or ')} separates its fields, say so in its source: csv('…', { delimiter: '${written}' })`
}

function mismatch(
  type: ColumnType,
  found: string | undefined,
  format: 'parquet' | 'csv',
  absent: string,
): string | undefined {
  if (found === undefined) return absent
  if (format === 'csv') return undefined
  if (!ACCEPTED[type.type].test(found)) {
    const suggestion = SUGGESTED[found]
    return `declared ${type.type}, found ${found}${suggestion ? `: declare ${suggestion}` : ''}`
  }
  if (type.type === 'timestamp' && found !== ZONED && type.zone === undefined) {
    return `found ${found} without a time zone: declare the zone of its values, for example timestamp({ zone: 'UTC' })`
  }
  return undefined
}

/** Read together with instants, times without a zone would be taken as UTC. */
function half(type: ColumnType, found: string | undefined, isZonedElsewhere: boolean): string | undefined {
  if (type.type !== 'timestamp' || type.zone === 'UTC' || found === ZONED || !isZonedElsewhere) return undefined
  return `found ${found} without a time zone, and other files have one: write the column the same way in all files`
}

const CAST: Record<ColumnType['type'], string> = {
  boolean: 'BOOLEAN',
  int32: 'INTEGER',
  int64: 'BIGINT',
  float32: 'FLOAT',
  float64: 'DOUBLE',
  text: 'VARCHAR',
  timestamp: 'TIMESTAMP',
  date: 'DATE',
  bytes: 'BLOB',
}

/**
 * Looks for values that are none of their column's type, in all columns in question at once.
 * @throws invalid datasets.bad_values (faults: count and an example by column)
 */
export async function checkValues(
  engine: QueryEngine,
  definition: DatasetDefinition,
  files: readonly string[],
  unsure: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { format, csv } = definition.source
  const scan: Scan = { engine, relation: { format, files, ...(csv ? { csv } : {}) }, signal }
  const typed = Object.entries(definition.schema).filter(
    ([column, type]) => type.type !== 'text' && unsure.includes(column),
  )
  if (typed.length === 0) return
  const conditions = typed.map(([column, type]) => unreadable(column, type, format))
  const chosen = conditions.flatMap(({ sql }, index) => {
    const name = quoted(typed[index]![0])
    return [`count(*) FILTER (WHERE ${sql})`, `min(${name}) FILTER (WHERE ${sql})`]
  })
  const [row = []] = await selectRows(scan, `SELECT ${chosen.join(', ')} FROM data`)
  const faults: Fault[] = []
  for (const [index, [column, type]] of typed.entries()) {
    const count = Number(row[index * 2] ?? 0)
    if (count === 0) continue
    const zone =
      type.type === 'timestamp' && type.zone === undefined ? ' (a time without an offset needs a declared zone)' : ''
    const placed = faults.length < PLACED_MAX ? await findFirst(scan, column, conditions[index]!) : undefined
    const example = JSON.stringify(String(placed?.value ?? row[index * 2 + 1]).slice(0, 100))
    const place = placed === undefined ? '' : ` in row ${placed.row} of ${placed.file}`
    faults.push({
      pointer: `/schema/${column}`,
      detail: `${countText(count, 'value is', 'values are')} no ${type.type}${zone}, for example ${example}${place}`,
    })
  }
  if (faults.length === 0) return
  throw new PlimsollError(
    'invalid',
    'datasets.bad_values',
    `Cannot read dataset "${definition.name}": ${countText(faults.length, 'column holds values that are not of its type', 'columns hold values that are not of their type')}`,
    { faults },
  )
}

/** Columns whose first value at fault is looked for: each takes a scan of the files, and one of a file in one thread. */
const PLACED_MAX = 10
const FILE = '__plimsoll_file_index'
const ROW = '__plimsoll_row'

/** The first value of a column for which a condition holds. A row is counted as data, from 1: a header is none. */
async function findFirst(
  scan: Scan,
  column: string,
  { sql: condition }: Measure,
): Promise<{ value: Cell; file: string; row: string } | undefined> {
  const { files } = scan.relation
  const numbered: Scan = { ...scan, relation: { ...scan.relation, fileColumn: FILE } }
  const [[index] = []] = await selectRows(numbered, `SELECT min(${FILE}) FROM data WHERE ${condition}`)
  const file = index == null ? undefined : files[Number(index)]
  if (file === undefined) return undefined
  const rows = `(SELECT *, row_number() OVER () AS ${ROW} FROM data)`
  const [[value, row] = []] = await selectRows(
    { ...scan, relation: { ...scan.relation, files: [file] } },
    `SELECT ${quoted(column)}, ${ROW} FROM ${rows} WHERE ${condition} ORDER BY ${ROW} LIMIT 1`,
  )
  return row == null ? undefined : { value: value ?? null, file, row: String(row) }
}

const WHOLE = String.raw`\s*[+-]?\d+(\.0*)?\s*`
const WITH_EXPONENT = String.raw`\s*[+-]?\d+(\.\d*)?[eE][+-]?\d+\s*`
const DAY = String.raw`\s*\d{4,6}[-/]\d{1,2}[-/]\d{1,2}([ T]00:00(:00(\.0*)?)?)?\s*`

/** Text that a cast takes and alters: it rounds fractions, and reads a date no further than its day. */
function altered(name: string, type: ColumnType['type']): string {
  const is = (pattern: string) => `regexp_full_match(${name}, '${pattern}')`
  if (type === 'date') return `NOT ${is(DAY)}`
  if (type !== 'int32' && type !== 'int64') return 'false'
  const isWhole = `TRY_CAST(${name} AS DECIMAL(38, 18)) IS NOT DISTINCT FROM TRY_CAST(${name} AS BIGINT)`
  return `NOT (${is(WHOLE)} OR ${is(WITH_EXPONENT)} AND ${isWhole})`
}

function unreadable(column: string, type: ColumnType, format: 'parquet' | 'csv'): Measure {
  const name = quoted(column)
  if (type.type !== 'timestamp') {
    const isNone = `TRY_CAST(${name} AS ${CAST[type.type]}) IS NULL`
    return { sql: `${name} IS NOT NULL AND (${isNone}${format === 'csv' ? ` OR ${altered(name, type.type)}` : ''})` }
  }
  const naive = type.zone === undefined ? 'true' : `TRY_CAST(${name} AS TIMESTAMP) IS NULL`
  return {
    sql: `${name} IS NOT NULL AND CASE WHEN ${hasOffset(column)} THEN TRY_CAST(${name} AS TIMESTAMPTZ) IS NULL ELSE ${naive} END`,
  }
}
