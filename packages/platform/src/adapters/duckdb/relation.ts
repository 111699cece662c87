import { stat, symlink } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { InputRelation } from '@plimsoll/sdk/seams'
import type { ColumnType } from '@plimsoll/sdk/wire'
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

function castColumn(name: string, type: ColumnType, source: string | undefined): string {
  const column = quoteName(name)
  if (type.type !== 'timestamp') return `CAST(${column} AS ${sqlType(type)}) AS ${column}`
  const zone = type.zone ?? 'UTC'
  const naive = (expression: string) => `timezone(${quoteText(zone)}, CAST(${expression} AS TIMESTAMP))`
  if (source === 'VARCHAR') {
    const withOffset = `CAST(${column} AS TIMESTAMP WITH TIME ZONE)`
    const choice = `CASE WHEN regexp_matches(${column}, ${quoteText(HAS_OFFSET)}) AND contains(${column}, ':') THEN ${withOffset} ELSE ${naive(column)} END`
    return `${choice} AS ${column}`
  }
  if (source === 'TIMESTAMP WITH TIME ZONE') return column
  return `${naive(column)} AS ${column}`
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

const FILE = '__plimsoll_file'
/** The reader's own name for it. */
const FILE_ROW = 'file_row_number'
/** Beyond this the look-up of a row's file costs more than one thread's numbering. */
const FILES_PLACED_MAX = 16
/** More than a file of any format has. */
const FILE_ROWS_MAX = 2 ** 40

function needsFile({ fileColumn, orderColumn, files, format }: InputRelation): boolean {
  return (
    fileColumn !== undefined ||
    (orderColumn !== undefined && format === 'parquet' && files.length > 1 && files.length <= FILES_PLACED_MAX)
  )
}

/** The table function call that reads the files as they are; of Parquet `withFileRow` also each row's place in its file. */
export function scanSql(relation: InputRelation, paths: readonly string[], withFileRow = false): string {
  const list = `[${paths.map(quoteText).join(', ')}]`
  const options = ['union_by_name = true', 'hive_partitioning = false']
  if (needsFile(relation)) options.push(`filename = ${quoteText(FILE)}`)
  if (relation.format === 'parquet') {
    if (withFileRow) options.push(`${FILE_ROW} = true`)
    return `read_parquet(${[list, ...options].join(', ')})`
  }
  const { delimiter = ',', header = true, nullText = '' } = relation.csv ?? {}
  if (delimiter.length !== 1 || /["\n\r]/.test(delimiter)) throw refused('the CSV delimiter must be one character')
  options.push(
    'all_varchar = true',
    'auto_detect = true',
    `delim = ${quoteText(delimiter)}`,
    `quote = '"'`,
    `escape = '"'`,
    `header = ${header}`,
    `nullstr = ${quoteText(nullText)}`,
    'strict_mode = true',
    'ignore_errors = false',
    'max_line_size = 16777216',
  )
  const names = relation.csv?.columns
  if (!header && names) options.push(`names = [${names.map(quoteText).join(', ')}]`)
  return `read_csv(${[list, ...options].join(', ')})`
}

/** SQL of the view for one relation. `sourceTypes` are the types of the scan's columns by name. */
export function viewSql(
  name: string,
  relation: InputRelation,
  paths: readonly string[],
  sourceTypes: ReadonlyMap<string, string>,
): string {
  const chosen = relation.columns
    ? Object.entries(relation.columns).map(([column, type]) => castColumn(column, type, sourceTypes.get(column)))
    : [...sourceTypes.keys()].filter((column) => column !== FILE).map(quoteName)
  const file = `CAST(list_position([${paths.map(quoteText).join(', ')}], ${quoteName(FILE)}) - 1 AS BIGINT)`
  if (relation.fileColumn) chosen.push(`${file} AS ${quoteName(relation.fileColumn)}`)
  // Numbering rows as they come reads them in one thread: Parquet knows the places, unless a column has their name.
  const isNamed = [...sourceTypes.keys()].some((column) => column.toLowerCase() === FILE_ROW)
  const knowsPlaces = relation.format === 'parquet' && paths.length <= FILES_PLACED_MAX && !isNamed
  const placed = paths.length > 1 ? `${file} * ${FILE_ROWS_MAX} + ${FILE_ROW}` : FILE_ROW
  if (relation.orderColumn)
    chosen.push(`${knowsPlaces ? placed : 'row_number() OVER ()'} AS ${quoteName(relation.orderColumn)}`)
  return `CREATE VIEW ${quoteName(name)} AS SELECT ${chosen.join(', ')} FROM ${scanSql(relation, paths, relation.orderColumn !== undefined && knowsPlaces)}`
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
