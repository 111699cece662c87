import { type Expectation, listedNames } from '@plimsoll/sdk/wire'
import { canonicalJson, type Json } from '../kernel/canonical.ts'

type Kwargs = Readonly<Record<string, unknown>>

function rangeOf({ min_value: min, max_value: max, strict_min: aboveMin, strict_max: belowMax }: Kwargs): string {
  const isOpen = aboveMin !== true && belowMax !== true
  if (min != null && max != null && isOpen) return `between ${text(min)} and ${text(max)}`
  const low = min == null ? [] : [`${aboveMin === true ? 'above' : 'at least'} ${text(min)}`]
  const high = max == null ? [] : [`${belowMax === true ? 'below' : 'at most'} ${text(max)}`]
  return [...low, ...high].join(' and ') || 'anything'
}

/** An instant or a name as it is, anything else as JSON. */
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
const list = (values: unknown): string =>
  listedNames(Array.isArray(values) ? values.map((value) => JSON.stringify(value)) : [])
const names = (values: unknown): string => listedNames(Array.isArray(values) ? values.map(String) : [])

const WORDS: Readonly<Record<string, (kwargs: Kwargs, column: string) => string>> = {
  expect_table_row_count_to_be_between: (of) => `the number of rows is ${rangeOf(of)}`,
  expect_table_row_count_to_equal: (of) => `the number of rows is ${text(of['value'])}`,
  expect_table_column_count_to_be_between: (of) => `the number of columns is ${rangeOf(of)}`,
  expect_table_column_count_to_equal: (of) => `the number of columns is ${text(of['value'])}`,
  expect_table_columns_to_match_set: (of) =>
    `the columns are ${names(of['column_set'])}, in any order${of['exact_match'] === false ? ' and among others' : ''}`,
  expect_table_columns_to_match_ordered_list: (of) => `the columns are ${names(of['column_list'])}, in this order`,
  expect_compound_columns_to_be_unique: (of) => `no two rows have the same ${names(of['column_list'])}`,
  expect_column_to_exist: (of, column) =>
    `column ${column} is there${of['column_index'] == null ? '' : ` at position ${text(of['column_index'])}`}`,
  expect_column_values_to_be_between: (of, column) => `${column} is ${rangeOf(of)}`,
  expect_column_values_to_be_in_set: (of, column) => `${column} is one of ${list(of['value_set'])}`,
  expect_column_values_to_not_be_in_set: (of, column) => `${column} is none of ${list(of['value_set'])}`,
  expect_column_values_to_match_regex: (of, column) => `${column} matches ${text(of['regex'])}`,
  expect_column_values_to_not_match_regex: (of, column) => `${column} does not match ${text(of['regex'])}`,
  expect_column_value_lengths_to_be_between: (of, column) => `the length of ${column} is ${rangeOf(of)}`,
  expect_column_value_lengths_to_equal: (of, column) => `the length of ${column} is ${text(of['value'])}`,
  expect_column_values_to_not_be_null: (_, column) => `${column} is not null`,
  expect_column_values_to_be_null: (_, column) => `${column} is null`,
  expect_column_values_to_be_unique: (_, column) => `${column} has no value twice`,
  expect_column_values_to_be_of_type: (of, column) => `${column} has type ${text(of['type_'])}`,
  expect_column_min_to_be_between: (of, column) => `the smallest ${column} is ${rangeOf(of)}`,
  expect_column_max_to_be_between: (of, column) => `the greatest ${column} is ${rangeOf(of)}`,
  expect_column_mean_to_be_between: (of, column) => `the mean of ${column} is ${rangeOf(of)}`,
  expect_column_median_to_be_between: (of, column) => `the median of ${column} is ${rangeOf(of)}`,
  expect_column_sum_to_be_between: (of, column) => `the sum of ${column} is ${rangeOf(of)}`,
  expect_column_stdev_to_be_between: (of, column) => `the standard deviation of ${column} is ${rangeOf(of)}`,
  expect_column_unique_value_count_to_be_between: (of, column) =>
    `the number of different values of ${column} is ${rangeOf(of)}`,
  expect_column_proportion_of_unique_values_to_be_between: (of, column) =>
    `the share of different values of ${column} is ${rangeOf(of)}`,
}

/** What an expectation says, in words; of one that this release does not know its name and arguments. */
export function expectationText({ type, kwargs }: Pick<Expectation, 'type' | 'kwargs'>): string {
  const { mostly, ...of } = kwargs as Kwargs // JSON by the wire schema
  const words = Object.hasOwn(WORDS, type) ? WORDS[type]!(of, String(of['column'])) : undefined
  const said = words ?? `${type} ${canonicalJson(of as Json)}`
  return mostly === undefined ? said : `${said}, in at least ${percentText(Number(mostly))} % of the rows`
}

/** In few digits; in as many as it takes where not all of the rows are meant. */
function percentText(share: number): number {
  const percent = share * 100
  const [rounded = percent] = [6, 15].map((digits) => Number(percent.toPrecision(digits))).filter((said) => said < 100)
  return rounded
}

/** Whether two say the same, in whatever order their arguments stand. */
export function isSameExpectation(
  a: Pick<Expectation, 'type' | 'kwargs'>,
  b: Pick<Expectation, 'type' | 'kwargs'>,
): boolean {
  return a.type === b.type && canonicalJson(a.kwargs as Json) === canonicalJson(b.kwargs as Json)
}
