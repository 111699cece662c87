import type { ColumnType, Expectation } from '@plimsoll/sdk/wire'
import { PlimsollError } from '../../kernel/errors.ts'
import { quoted } from '../content/measure.ts'
import { compileExtreme, compileNumber } from './aggregate-expectation.ts'
import {
  EXPECTATION_ARGUMENTS,
  type ExpectationArguments,
  type ExpectationType,
  isExpectationType,
} from './arguments.ts'
import { type CompiledExpectation, isWithin, type SuiteContext } from './compiled.ts'
import {
  compileCompoundUnique,
  compileMap,
  compileNullness,
  compileUnique,
  outside,
  regexCondition,
  setCondition,
} from './map-expectation.ts'
import {
  compileColumnCount,
  compileColumnExists,
  compileColumnList,
  compileColumnSet,
  compileOfType,
  compileRowCount,
} from './table-expectation.ts'

type Compile<T extends ExpectationType> = (
  config: Expectation,
  args: ExpectationArguments<T>,
  context: SuiteContext,
) => CompiledExpectation

function typeOf(context: SuiteContext, column: string): ColumnType {
  const type = context.schema[column]
  if (!type)
    throw new PlimsollError(
      'invalid',
      'datasets.bad_expectations',
      `Cannot check column "${column}": it is not in the schema`,
    )
  return type
}

const LENGTH: ColumnType = { type: 'int64', nullable: true }

const COMPILERS: { [T in ExpectationType]: Compile<T> } = {
  expect_table_row_count_to_be_between: (config, args) => compileRowCount(config, (count) => isWithin(count, args)),
  expect_table_row_count_to_equal: (config, args) => compileRowCount(config, (count) => count === args.value),
  expect_table_column_count_to_be_between: (config, args, context) =>
    compileColumnCount(config, context, (count) => isWithin(count, args)),
  expect_table_column_count_to_equal: (config, args, context) =>
    compileColumnCount(config, context, (count) => count === args.value),
  expect_table_columns_to_match_set: (config, args, context) => compileColumnSet(config, context, args),
  expect_table_columns_to_match_ordered_list: (config, args, context) =>
    compileColumnList(config, context, args.column_list),
  expect_column_to_exist: (config, args, context) => compileColumnExists(config, context, args),
  expect_column_values_to_not_be_null: (config, args) => compileNullness(config, args, false),
  expect_column_values_to_be_null: (config, args) => compileNullness(config, args, true),
  expect_column_values_to_be_between: (config, args, context) =>
    compileMap({ config, ...args, unexpected: outside(quoted(args.column), args, typeOf(context, args.column)) }),
  expect_column_values_to_be_in_set: (config, args, context) =>
    compileMap({ config, ...args, unexpected: setCondition(args, typeOf(context, args.column), true) }),
  expect_column_values_to_not_be_in_set: (config, args, context) =>
    compileMap({ config, ...args, unexpected: setCondition(args, typeOf(context, args.column), false) }),
  expect_column_values_to_be_unique: (config, args) => compileUnique(config, args),
  expect_column_values_to_match_regex: (config, args) =>
    compileMap({ config, ...args, unexpected: regexCondition(args, true) }),
  expect_column_values_to_not_match_regex: (config, args) =>
    compileMap({ config, ...args, unexpected: regexCondition(args, false) }),
  expect_column_value_lengths_to_be_between: (config, args) =>
    compileMap({ config, ...args, unexpected: outside(`length(${quoted(args.column)})`, args, LENGTH) }),
  expect_column_value_lengths_to_equal: (config, args) =>
    compileMap({ config, ...args, unexpected: { sql: `length(${quoted(args.column)}) <> $`, values: [args.value] } }),
  expect_column_values_to_be_of_type: (config, args, context) =>
    compileOfType(config, args, typeOf(context, args.column)),
  expect_column_min_to_be_between: (config, args, context) =>
    compileExtreme(config, 'min', args, typeOf(context, args.column)),
  expect_column_max_to_be_between: (config, args, context) =>
    compileExtreme(config, 'max', args, typeOf(context, args.column)),
  expect_column_mean_to_be_between: (config, args, context) =>
    compileNumber(config, 'expect_column_mean_to_be_between', args, typeOf(context, args.column)),
  expect_column_median_to_be_between: (config, args, context) =>
    compileNumber(config, 'expect_column_median_to_be_between', args, typeOf(context, args.column)),
  expect_column_sum_to_be_between: (config, args, context) =>
    compileNumber(config, 'expect_column_sum_to_be_between', args, typeOf(context, args.column)),
  expect_column_stdev_to_be_between: (config, args, context) =>
    compileNumber(config, 'expect_column_stdev_to_be_between', args, typeOf(context, args.column)),
  expect_column_unique_value_count_to_be_between: (config, args, context) =>
    compileNumber(config, 'expect_column_unique_value_count_to_be_between', args, typeOf(context, args.column)),
  expect_column_proportion_of_unique_values_to_be_between: (config, args, context) =>
    compileNumber(
      config,
      'expect_column_proportion_of_unique_values_to_be_between',
      args,
      typeOf(context, args.column),
    ),
  expect_compound_columns_to_be_unique: (config, args) => compileCompoundUnique(config, args),
}

function compileOne<T extends ExpectationType>(
  type: T,
  config: Expectation,
  context: SuiteContext,
): CompiledExpectation {
  const args = EXPECTATION_ARGUMENTS[type].parse(config.kwargs) as ExpectationArguments<T> // the schema of this very type
  return COMPILERS[type](config, args, context)
}

/** @throws unsupported datasets.unknown_expectation: none is ever left out silently */
export function compileExpectation(config: Expectation, context: SuiteContext): CompiledExpectation {
  if (!isExpectationType(config.type)) {
    throw new PlimsollError(
      'unsupported',
      'datasets.unknown_expectation',
      `Cannot evaluate "${config.type}": it is not an expectation known here`,
    )
  }
  return compileOne(config.type, config, context)
}

/** The declared expectations, then one for each column that the schema says is never null and no expectation covers. */
export function compileSuite(expectations: readonly Expectation[], context: SuiteContext): CompiledExpectation[] {
  const compiled = expectations.map((config) => compileExpectation(config, context))
  const covered = new Set(
    expectations
      .filter((config) => config.type === 'expect_column_values_to_not_be_null')
      .map((config) => String(config.kwargs.column)),
  )
  for (const [column, type] of Object.entries(context.schema)) {
    if (type.nullable || covered.has(column)) continue
    const config = { type: 'expect_column_values_to_not_be_null', kwargs: { column } }
    compiled.push({ ...compileExpectation(config, context), meta: { from: 'schema' } })
  }
  return compiled
}
