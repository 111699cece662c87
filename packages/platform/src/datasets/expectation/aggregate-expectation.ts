import type { Cell } from '@plimsoll/sdk/seams'
import type { ColumnType, Expectation } from '@plimsoll/sdk/wire'
import { type Measure, quoted } from '../content/measure.ts'
import { printCell } from '../printed-cell.ts'
import type { ExpectationArguments, ExpectationType } from './arguments.ts'
import { type CompiledExpectation, isWithin } from './compiled.ts'
import { outside } from './map-expectation.ts'

type NumberExpectation = Extract<
  ExpectationType,
  | 'expect_column_mean_to_be_between'
  | 'expect_column_median_to_be_between'
  | 'expect_column_sum_to_be_between'
  | 'expect_column_stdev_to_be_between'
  | 'expect_column_unique_value_count_to_be_between'
  | 'expect_column_proportion_of_unique_values_to_be_between'
>

function isFloat(type: ColumnType): boolean {
  return type.type === 'float32' || type.type === 'float64'
}

/** Nulls and NaN are left out, as pandas does. */
function present(name: string, type: ColumnType): string {
  return isFloat(type) ? `FILTER (WHERE NOT isnan(${name}))` : ''
}

/** stdev has ddof 1; the median of an even count is the mean of the two middle values. */
function aggregateSql(expectation: NumberExpectation, name: string, type: ColumnType): string {
  const filter = present(name, type)
  switch (expectation) {
    case 'expect_column_mean_to_be_between':
      return `CAST(avg(${name}) ${filter} AS DOUBLE)`
    case 'expect_column_median_to_be_between':
      return `CAST(quantile_cont(${name}, 0.5) ${filter} AS DOUBLE)`
    case 'expect_column_sum_to_be_between':
      return `CAST(sum(${name}) ${filter} AS DOUBLE)`
    case 'expect_column_stdev_to_be_between':
      return `CAST(stddev_samp(CAST(${name} AS DOUBLE)) ${filter} AS DOUBLE)`
    case 'expect_column_unique_value_count_to_be_between':
      return `count(DISTINCT ${name})`
    case 'expect_column_proportion_of_unique_values_to_be_between':
      return `count(DISTINCT ${name}) / nullif(count(${name}), 0)`
  }
}

/** An aggregate that has no value (no row, only nulls) fails, unlike an expectation on values. */
export function compileNumber(
  config: Expectation,
  expectation: NumberExpectation,
  args: ExpectationArguments<NumberExpectation>,
  type: ColumnType,
): CompiledExpectation {
  return {
    config,
    measures: [{ sql: aggregateSql(expectation, quoted(args.column), type) }],
    judge: ([cell]) => {
      const observed = toNumber(cell)
      return { success: observed !== null && isWithin(observed, args), result: { observed_value: observed } }
    },
  }
}

function toNumber(cell: Cell | undefined): number | null {
  if (cell === null || cell === undefined) return null
  const value = Number(cell)
  return Number.isFinite(value) ? value : null
}

/** The extreme is compared in SQL, where it has its own type: int64 and instants keep every digit. */
export function compileExtreme(
  config: Expectation,
  extreme: 'min' | 'max',
  args: ExpectationArguments<'expect_column_min_to_be_between'>,
  type: ColumnType,
): CompiledExpectation {
  const name = quoted(args.column)
  const value = `${extreme}(${name}) ${present(name, type)}`
  const beyond: Measure = outside(value, args, { ...type, type: isFloat(type) ? 'float64' : type.type })
  return {
    config,
    measures: [{ sql: value }, { ...beyond, sql: `(${beyond.sql})` }],
    judge: ([observed, isOutside]) => ({
      success: observed !== null && observed !== undefined && isOutside === false,
      result: { observed_value: printCell(observed ?? null, type) },
    }),
  }
}
