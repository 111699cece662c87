import { stat, symlink } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { InputRelation } from '@plimsoll/sdk/seams'
import type { ColumnType } from '@plimsoll/sdk/wire'
import { CSV_LINE_BYTES_MAX } from '../../kernel/csv-header.ts'
import { PlimsollError } from '../../kernel/errors.ts'

const FILES_MAX = 100_000
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/
/** A file whose name DuckDB would read as a pattern is reached through a link with a plain name. */
const PATTERN_CHARACTERS = /[*?[\]{}]/

/** A text literal. DuckDB's literals know no escape but the doubled quote. */
export function quoteText(text: string): string {
  if (text.includes('\0')) throw refused('a text with a zero byte')
  return `'${text.replaceAll("'", "''")}'`
}

/** An identifier in double quotes. */
export function quoteName(name: string): string {
  if (name.includes('\0')) throw refused('a name with a zero byte')
  return `"${name.replaceAll('"', '""')}"`
}

function refused(what: string): PlimsollError {
  return new PlimsollError('invalid', 'query.bad_input', `Cannot read the inputs of a statement: ${what}`)
}

const SQL_TYPES: Record<ColumnType['type'], string> = {
  boolean: 'BOOLEAN',
  int32: 'INTEGER',
  int64: 'BIGINT',
  float32: 'FLOAT',
  float64: 'DOUBLE',
  text: 'VARCHAR',
  timestamp: 'TIMESTAMP WITH TIME ZONE',
  date: 'DATE',
  bytes: 'BLOB',
}

/** The DuckDB type that a column type of the SDK is read as. */
export function sqlType(type: ColumnType): string {
  return SQL_TYPES[type.type]
}

/** CSV text with its own offset is an instant; without one it is read in the declared zone. */
const HAS_OFFSET = `(?i)(Z|[+-][0-9]{2}(:?[0-9]{2})?)$`

/** CSV text with more than microseconds, which a cast to a timestamp cuts off. */
const HAS_REST = '[.][0-9]{6}[0-9]*[1-9]'

function castColumn(name: string, type: ColumnType, source: string | undefined, isRoundedUp: boolean): string {
  const column = quoteName(name)
  if (type.type !== 'timestamp') return `CAST(${column} AS ${sqlType(type)}) AS ${column}`
  const zone = type.zone ?? 'UTC'
  const naive = (expression: string) => `timezone(${quoteText(zone)}, CAST(${expression} AS TIMESTAMP))`
  if (source === 'VARCHAR') {
    const withOffset = `CAST(${column} AS TIMESTAMP WITH TIME ZONE)`
    const choice = `CASE WHEN regexp_matches(${column}, ${quoteText(HAS_OFFSET)}) AND contains(${column}, ':') THEN ${withOffset} ELSE ${naive(column)} END`
    const rest = `CASE WHEN regexp_matches(${column}, ${quoteText(HAS_REST)}) THEN 1 ELSE 0 END`
    return `${isRoundedUp ? `${choice} + to_microseconds(${rest})` : choice} AS ${column}`
  }
  if (source === 'TIMESTAMP WITH TIME ZONE') return column
  return `${naive(source === 'TIMESTAMP_NS' ? wholeMicros(column, isRoundedUp) : column)} AS ${column}`
}

/** Nanoseconds as whole microseconds. A cast would round towards 1970. */
function wholeMicros(column: string, isRoundedUp: boolean): string {
  const nanos = isRoundedUp ? `(epoch_ns(${column}) + 999)` : `epoch_ns(${column})`
  const micros = `(${nanos} - (${nanos} % 1000 + 1000) % 1000) // 1000`
  return `CASE WHEN isfinite(${column}) THEN make_timestamp(${micros}) ELSE CAST(${column} AS TIMESTAMP) END`
}

/** Paths as the engine may read them: checked, and linked where a name would be taken for a pattern. */
export async function readablePaths(relation: InputRelation, linkDirectory: string, prefix: string): Promise<string[]> {
  if (relation.files.length === 0) throw refused(`relation "${prefix}" has no file`)
  if (relation.files.length > FILES_MAX) throw refused(`relation "${prefix}" has more than ${FILES_MAX} files`)
  const paths: string[] = []
  for (const [index, file] of relation.files.entries()) {
    if (!isAbsolute(file)) throw refused(`"${file}" is not an absolute path`)
    if (file.includes('\0')) throw refused('a path with a zero byte')
    const found = await stat(file).catch(() => undefined)
    if (!found?.isFile())
      throw new PlimsollError(
        'invalid',
        'query.file_unreadable',
        `Cannot read an input file: "${file}" is ${found ? 'not a regular file' : 'not there'}`,
      )
    if (!PATTERN_CHARACTERS.test(file)) {
      paths.push(file)
      continue
    }
    const link = join(linkDirectory, `${prefix}-${index}.${relation.format}`)
    await symlink(file, link)
    paths.push(link)
  }
  return paths
}

/** The reader's own name for a row's place in its file. */
const FILE_ROW = 'file_row_number'
/** Beyond this the look-up of a row's file costs more than one thread's numbering. */
const FILES_PLACED_MAX = 16
/** More than a file of any format has. */
const FILE_ROWS_MAX = 2 ** 40

/** The table function call that reads the files as they are, with what the options add. */
export function scanSql(relation: InputRelation, paths: readonly string[], added: readonly string[] = []): string {
  const list = `[${paths.map(quoteText).join(', ')}]`
  const options = ['union_by_name = true', 'hive_partitioning = false', ...added]
  if (relation.format === 'parquet') return `read_parquet(${[list, ...options].join(', ')})`
  options.push(...csvOptions(relation.csv), 'auto_detect = true')
  const names = relation.csv?.columns
  if (relation.csv?.header === false && names) options.push(`names = [${names.map(quoteText).join(', ')}]`)
  return `read_csv(${[list, ...options].join(', ')})`
}

/** Everything about the form of the files. What is left open here is guessed: lines would be skipped, or taken for comments. */
function csvOptions(csv: InputRelation['csv']): string[] {
  const { delimiter = ',', header = true, nullText = '' } = csv ?? {}
  if (delimiter.length !== 1 || /["\n\r]/.test(delimiter)) throw refused('the CSV delimiter must be one character')
  return [
    'all_varchar = true',
    `delim = ${quoteText(delimiter)}`,
    `quote = '"'`,
    `escape = '"'`,
    `header = ${header}`,
    `nullstr = ${quoteText(nullText)}`,
    'skip = 0',
    `comment = ''`,
    'strict_mode = true',
    'ignore_errors = false',
    `max_line_size = ${CSV_LINE_BYTES_MAX}`,
  ]
}

/** Reads one file with `width` fields in every line, and guesses nothing: its failure names the line, as one of guessing does not. */
export function plainCsvSql(relation: InputRelation, path: string, width: number): string {
  const columns = Array.from({ length: width }, (_, index) => `'c${index}': 'VARCHAR'`).join(', ')
  const options = [...csvOptions(relation.csv), 'auto_detect = false', `columns = {${columns}}`]
  return `SELECT count(*) FROM read_csv(${[quoteText(path), ...options].join(', ')})`
}

/** Options of the scan and columns of the view that say where each row comes from. The only place that decides how. */
function placesOf(relation: InputRelation, paths: readonly string[], taken: ReadonlySet<string>) {
  const { fileColumn, orderColumn, format } = relation
  // Numbering rows as they come reads them in one thread: Parquet knows the places, unless a column has their name.
  const knowsRows = format === 'parquet' && paths.length <= FILES_PLACED_MAX && !taken.has(FILE_ROW)
  const readsRows = orderColumn !== undefined && knowsRows
  const readsFile = fileColumn !== undefined || (readsRows && paths.length > 1)
  let file = '__plimsoll_file'
  while (taken.has(file)) file += '_'
  const options = [
    ...(readsFile ? [`filename = ${quoteText(file)}`] : []),
    ...(readsRows ? [`${FILE_ROW} = true`] : []),
  ]
  const index = `CAST(list_position([${paths.map(quoteText).join(', ')}], ${quoteName(file)}) - 1 AS BIGINT)`
  const row = paths.length > 1 ? `${index} * ${FILE_ROWS_MAX} + ${FILE_ROW}` : FILE_ROW
  const columns: [string, string][] = []
  if (fileColumn !== undefined) columns.push([fileColumn, index])
  if (orderColumn !== undefined) columns.push([orderColumn, readsRows ? row : 'row_number() OVER ()'])
  return { options, columns }
}

/** SQL of the view for one relation. `sourceTypes` are the types of the scan's columns by name. */
export function viewSql(
  name: string,
  relation: InputRelation,
  paths: readonly string[],
  sourceTypes: ReadonlyMap<string, string>,
): string {
  const taken = new Set([...sourceTypes.keys()].map((column) => column.toLowerCase()))
  const { options, columns } = placesOf(relation, paths, taken)
  const own = relation.columns ? Object.keys(relation.columns) : [...sourceTypes.keys()]
  for (const [column] of columns) {
    const same = own.find((each) => each.toLowerCase() === column.toLowerCase())
    if (same !== undefined)
      throw refused(`the column "${same}" of relation "${name}" has a name that is kept for the platform; rename it`)
  }
  const chosen = relation.columns
    ? Object.entries(relation.columns).map(([column, type]) =>
        castColumn(column, type, sourceTypes.get(column), relation.roundedUp?.includes(column) ?? false),
      )
    : own.map(quoteName)
  chosen.push(...columns.map(([column, sql]) => `${sql} AS ${quoteName(column)}`))
  return `CREATE VIEW ${quoteName(name)} AS SELECT ${chosen.join(', ')} FROM ${scanSql(relation, paths, options)}`
}

/** Refuses names that are no plain identifier, or that differ only in case (SQL would see one relation). */
export function checkRelationNames(inputs: Readonly<Record<string, InputRelation>>): void {
  const seen = new Set<string>()
  for (const name of Object.keys(inputs)) {
    if (!NAME.test(name)) throw refused(`"${name}" is not a name of a relation`)
    if (seen.has(name.toLowerCase())) throw refused(`two relations are named "${name.toLowerCase()}"`)
    seen.add(name.toLowerCase())
  }
}
