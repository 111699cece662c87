import { type ColumnType, columnType, definitionName, fieldName } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { checkLocalTimes } from '../datasets/content/index.ts'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand } from '../kernel/step-kind.ts'
import { outputPath, readDatasetInput, writeDatasetOutput } from './step-files.ts'
import { SQL_TYPES } from './view-plan.ts'

export const sqlTransformParams = z.strictObject({
  /** One SELECT over the step's inputs by name. An ORDER BY that leaves no ties makes its output the same each time. */
  sql: z.string().min(1).max(100_000),
  /** Types of the result's columns that the engine's own types do not tell. */
  schema: z.record(fieldName, columnType).default({}),
  /** Registers the result as a version of this dataset. */
  dataset: definitionName.optional(),
})

const FROM_SQL: Readonly<Record<string, ColumnType['type']>> = {
  BOOLEAN: 'boolean',
  TINYINT: 'int32',
  SMALLINT: 'int32',
  INTEGER: 'int32',
  UTINYINT: 'int32',
  USMALLINT: 'int32',
  BIGINT: 'int64',
  UINTEGER: 'int64',
  FLOAT: 'float32',
  DOUBLE: 'float64',
  VARCHAR: 'text',
  TIMESTAMP: 'timestamp',
  'TIMESTAMP WITH TIME ZONE': 'timestamp',
  DATE: 'date',
  BLOB: 'bytes',
}

function columnTypes(
  columns: readonly { name: string; type: string }[],
  declared: Readonly<Record<string, ColumnType>>,
): Record<string, ColumnType> {
  const schema: Record<string, ColumnType> = {}
  for (const { name, type } of columns) {
    const known = declared[name]
    const found = FROM_SQL[type]
    if (known) schema[name] = known
    else if (found) schema[name] = { type: found, nullable: true, ...(found === 'timestamp' ? { zone: 'UTC' } : {}) }
    else
      throw new PlimsollError(
        'invalid',
        'features.column_type',
        `Cannot keep column "${name}" of the statement: it is ${type}`,
        { action: 'Cast it to a type of the SDK' },
      )
  }
  return schema
}

/** The heavy part of `sql-transform`. */
export async function runSqlTransformCommand(command: StepCommand): Promise<void> {
  const { sql, schema, dataset } = sqlTransformParams.parse(command.spec)
  const engine = await command.engine()
  const inputs = Object.fromEntries(
    await Promise.all(
      Object.keys(command.inputs).map(
        async (name) => [name, (await readDatasetInput(command, name)).relation] as const,
      ),
    ),
  )
  const { files, rowCount } = await engine.write({
    sql,
    inputs,
    output: { directory: outputPath(command, 'result') },
    signal: command.signal,
  })
  const { columns } = await engine.rows({
    sql: 'SELECT * FROM made LIMIT 0',
    inputs: { made: { format: 'parquet', files } },
    signal: command.signal,
  })
  const typed = columnTypes(columns, schema)
  const local = columns.filter(
    ({ name, type }) =>
      typed[name]?.type === 'timestamp' && type.startsWith('TIMESTAMP') && type !== SQL_TYPES.timestamp,
  )
  const scan = { engine, relation: { format: 'parquet', files } as const, signal: command.signal }
  await checkLocalTimes(
    scan,
    dataset ?? 'result',
    typed,
    local.map(({ name }) => name),
  )
  await writeDatasetOutput(command, {
    name: 'result',
    manifest: 'manifest',
    schema: typed,
    file: files[0]!,
    rows: rowCount,
  })
  command.progress(1, countText(rowCount, 'row'))
}
