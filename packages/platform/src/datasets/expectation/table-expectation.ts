import type { ColumnType, Expectation } from '@plimsoll/sdk/wire'
import { toCount } from '../printed-cell.ts'
import type { ExpectationArguments } from './arguments.ts'
import type { CompiledExpectation, SuiteContext } from './compiled.ts'

export function compileRowCount(config: Expectation, accepts: (count: number) => boolean): CompiledExpectation {
  return {
    config,
    measures: [{ sql: 'count(*)' }],
    judge: ([cell]) => ({ success: accepts(toCount(cell)), result: { observed_value: toCount(cell) } }),
  }
}

export function compileColumnCount(
  config: Expectation,
  context: SuiteContext,
  accepts: (count: number) => boolean,
): CompiledExpectation {
  const observed = context.foundColumns.length
  return { config, measures: [], judge: () => ({ success: accepts(observed), result: { observed_value: observed } }) }
}

/** Order plays no part; `exact_match` forbids columns that are not in the set. */
export function compileColumnSet(
  config: Expectation,
  context: SuiteContext,
  args: ExpectationArguments<'expect_table_columns_to_match_set'>,
): CompiledExpectation {
  const wanted = new Set(args.column_set)
  const found = new Set(context.foundColumns)
  const unexpected = [...found].filter((name) => !wanted.has(name)).sort()
  const missing = [...wanted].filter((name) => !found.has(name)).sort()
  const success = missing.length === 0 && (!args.exact_match || unexpected.length === 0)
  const mismatched = { ...(unexpected.length > 0 ? { unexpected } : {}), ...(missing.length > 0 ? { missing } : {}) }
  const details = unexpected.length + missing.length > 0 ? { details: { mismatched } } : {}
  return { config, measures: [], judge: () => ({ success, result: { observed_value: [...found].sort(), ...details } }) }
}

export function compileColumnList(
  config: Expectation,
  context: SuiteContext,
  wanted: readonly string[],
): CompiledExpectation {
  const found = context.foundColumns
  const length = Math.max(found.length, wanted.length)
  const mismatched = Array.from({ length }, (_, index) => ({
    'Expected Column Position': index,
    Expected: wanted[index] ?? null,
    Found: found[index] ?? null,
  })).filter((place) => place.Expected !== place.Found)
  const details = mismatched.length > 0 ? { details: { mismatched } } : {}
  return {
    config,
    measures: [],
    judge: () => ({ success: mismatched.length === 0, result: { observed_value: [...found], ...details } }),
  }
}

/** `column_index` counts from 0. */
export function compileColumnExists(
  config: Expectation,
  context: SuiteContext,
  args: ExpectationArguments<'expect_column_to_exist'>,
): CompiledExpectation {
  const index = context.foundColumns.indexOf(args.column)
  const success = index >= 0 && (args.column_index === undefined || args.column_index === index)
  return { config, measures: [], judge: () => ({ success, result: {} }) }
}

/** Names of types elsewhere (pandas, SQL, Spark), in lower case, for each type here. */
const TYPE_NAMES: Record<ColumnType['type'], readonly string[]> = {
  boolean: ['boolean', 'bool', 'booleantype'],
  int32: ['int32', 'integer', 'int', 'integertype', 'int4'],
  int64: ['int64', 'bigint', 'long', 'longtype', 'int8'],
  float32: ['float32', 'float', 'real', 'floattype', 'float4'],
  float64: ['float64', 'double', 'double precision', 'doubletype', 'double_precision', 'float8'],
  text: ['text', 'varchar', 'string', 'str', 'object', 'stringtype'],
  timestamp: [
    'timestamp',
    'timestamptz',
    'timestamp with time zone',
    'datetime',
    'datetime64',
    'datetime64[ns]',
    'datetime64[us]',
    'timestamptype',
  ],
  date: ['date', 'datetype'],
  bytes: ['bytes', 'blob', 'bytea', 'binary', 'binarytype'],
}

export function compileOfType(
  config: Expectation,
  args: ExpectationArguments<'expect_column_values_to_be_of_type'>,
  type: ColumnType,
): CompiledExpectation {
  const success = TYPE_NAMES[type.type].includes(args.type_.toLowerCase())
  return { config, measures: [], judge: () => ({ success, result: { observed_value: type.type } }) }
}
