import { z } from 'zod'

const column = z.string().min(1).max(63)
const mostly = z.number().min(0).max(1).default(1)
const scalar = z.union([z.number(), z.string().max(10_000), z.boolean()])
const bound = z
  .union([z.number(), z.string().max(100)])
  .nullable()
  .optional()
const strict = { strict_min: z.boolean().default(false), strict_max: z.boolean().default(false) }
const rowCount = z.int().nonnegative().nullable().optional()
const finite = z.number().nullable().optional()
const columnList = z.array(column).min(1).max(2_000)

/** A set that is null passes everything and an empty one fails everything in Great Expectations: both are refused here. */
const valueSet = z
  .array(scalar, { error: 'expected a list of values; null is refused, since it would pass everything' })
  .min(1, 'an empty set is refused, since every value would fail')
  .max(10_000)

/** RE2 has neither look-around nor back references: data of any length is matched in linear time. */
const pattern = z
  .string()
  .min(1)
  .max(1_000)
  .refine((text) => !/\(\?(?:=|!|<=|<!)/.test(text), 'look-around is not part of RE2, the syntax used here')
  .refine(
    (text) => !/(?:^|[^\\])(?:\\\\)*\\[1-9]/.test(text),
    'back references are not part of RE2, the syntax used here',
  )

const between = { min_value: bound, max_value: bound, ...strict }
const aggregateBetween = z.strictObject({ column, min_value: finite, max_value: finite, ...strict })
const orderedBetween = z.strictObject({ column, ...between })

/**
 * Arguments of each expectation, in Great Expectations' names. Bounds are inclusive unless strict; an absent or null bound
 * is open.
 * @source great_expectations 1.x, core expectations
 */
export const EXPECTATION_ARGUMENTS = {
  expect_table_row_count_to_be_between: z.strictObject({ min_value: rowCount, max_value: rowCount, ...strict }),
  expect_table_row_count_to_equal: z.strictObject({ value: z.int().nonnegative() }),
  expect_table_column_count_to_be_between: z.strictObject({ min_value: rowCount, max_value: rowCount, ...strict }),
  expect_table_column_count_to_equal: z.strictObject({ value: z.int().nonnegative() }),
  expect_table_columns_to_match_set: z.strictObject({ column_set: columnList, exact_match: z.boolean().default(true) }),
  expect_table_columns_to_match_ordered_list: z.strictObject({ column_list: columnList }),
  expect_column_to_exist: z.strictObject({ column, column_index: z.int().nonnegative().optional() }),
  expect_column_values_to_not_be_null: z.strictObject({ column, mostly }),
  expect_column_values_to_be_null: z.strictObject({ column, mostly }),
  expect_column_values_to_be_between: z.strictObject({ column, ...between, mostly }),
  expect_column_values_to_be_in_set: z.strictObject({ column, value_set: valueSet, mostly }),
  expect_column_values_to_not_be_in_set: z.strictObject({ column, value_set: valueSet, mostly }),
  expect_column_values_to_be_unique: z.strictObject({ column, mostly }),
  expect_column_values_to_match_regex: z.strictObject({ column, regex: pattern, mostly }),
  expect_column_values_to_not_match_regex: z.strictObject({ column, regex: pattern, mostly }),
  expect_column_value_lengths_to_be_between: z.strictObject({
    column,
    min_value: rowCount,
    max_value: rowCount,
    ...strict,
    mostly,
  }),
  expect_column_value_lengths_to_equal: z.strictObject({ column, value: z.int().nonnegative(), mostly }),
  expect_column_values_to_be_of_type: z.strictObject({ column, type_: z.string().min(1).max(100) }),
  expect_column_min_to_be_between: orderedBetween,
  expect_column_max_to_be_between: orderedBetween,
  expect_column_mean_to_be_between: aggregateBetween,
  expect_column_median_to_be_between: aggregateBetween,
  expect_column_sum_to_be_between: aggregateBetween,
  expect_column_stdev_to_be_between: aggregateBetween,
  expect_column_unique_value_count_to_be_between: aggregateBetween,
  expect_column_proportion_of_unique_values_to_be_between: aggregateBetween,
  expect_compound_columns_to_be_unique: z.strictObject({
    column_list: z.array(column).min(2, 'expected at least two columns').max(32),
    ignore_row_if: z
      .enum(['all_values_are_missing', 'any_value_is_missing', 'never'])
      .default('all_values_are_missing'),
    mostly,
  }),
} as const satisfies Record<string, z.ZodType>

export type ExpectationType = keyof typeof EXPECTATION_ARGUMENTS
export type ExpectationArguments<T extends ExpectationType> = z.output<(typeof EXPECTATION_ARGUMENTS)[T]>

export function isExpectationType(type: string): type is ExpectationType {
  return Object.hasOwn(EXPECTATION_ARGUMENTS, type)
}
