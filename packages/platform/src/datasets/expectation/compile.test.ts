import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueryEngine } from '@plimsoll/sdk/seams'
import type { ColumnType, Expectation } from '@plimsoll/sdk/wire'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../../adapters/duckdb/index.ts'
import { evaluateSuite } from './suite.fixture.ts'

let engine: QueryEngine
beforeAll(() => {
  engine = openDuckdbQueryEngine({ tempDirectory: mkdtempSync(join(tmpdir(), 'plimsoll-suite-')), threads: 2 })
})
afterAll(() => engine.close())

const nullable = (type: ColumnType['type'], zone?: string): ColumnType => ({
  type,
  nullable: true,
  ...(zone ? { zone } : {}),
})
const SCHEMA = {
  n: nullable('int32'),
  x: nullable('float64'),
  s: nullable('text'),
  at: nullable('timestamp', 'UTC'),
  b: nullable('boolean'),
  empty: nullable('int32'),
  k: nullable('int64'),
}

/** Ten rows: n = 1..8, 8, null; x has a NaN; s has a null; empty is all null; k repeats in pairs with n. */
const ROWS = `SELECT CAST(CASE WHEN i = 10 THEN NULL ELSE least(i, 8) END AS INTEGER) AS n,
  CASE WHEN i = 1 THEN 'nan'::DOUBLE ELSE i / 2 END AS x,
  CASE i WHEN 10 THEN NULL WHEN 9 THEN 'é🦆' ELSE 'AB' || i END AS s,
  TIMESTAMPTZ '2001-01-01 00:00:00+00' + INTERVAL (i) HOUR AS at, i % 2 = 0 AS b, CAST(NULL AS INTEGER) AS empty, CAST(9007199254740993 AS BIGINT) + (i // 9) AS k
  FROM range(1, 11) t(i)`

type Row = [type: string, kwargs: Expectation['kwargs'], success: boolean, result: Record<string, unknown>]
const V = 'expect_column_values_to_'
const CASES: Row[] = [
  ['expect_table_row_count_to_be_between', { min_value: 10, max_value: 10 }, true, { observed_value: 10 }],
  ['expect_table_row_count_to_be_between', { min_value: 10, strict_min: true }, false, { observed_value: 10 }],
  ['expect_table_row_count_to_equal', { value: 11 }, false, { observed_value: 10 }],
  ['expect_table_column_count_to_equal', { value: 7 }, true, { observed_value: 7 }],
  ['expect_table_columns_to_match_set', { column_set: ['k', 'empty', 'b', 'at', 's', 'x', 'n'] }, true, {}],
  [
    'expect_table_columns_to_match_set',
    { column_set: ['n', 'zz'] },
    false,
    { details: { mismatched: { missing: ['zz'], unexpected: ['at', 'b', 'empty', 'k', 's', 'x'] } } },
  ],
  ['expect_table_columns_to_match_set', { column_set: ['n'], exact_match: false }, true, {}],
  ['expect_table_columns_to_match_ordered_list', { column_list: ['n', 'x', 's', 'at', 'b', 'empty', 'k'] }, true, {}],
  ['expect_table_columns_to_match_ordered_list', { column_list: ['x', 'n', 's', 'at', 'b', 'empty', 'k'] }, false, {}],
  ['expect_column_to_exist', { column: 'x', column_index: 1 }, true, {}],
  ['expect_column_to_exist', { column: 'x', column_index: 0 }, false, {}],
  ['expect_column_to_exist', { column: 'nope' }, false, {}],
  [
    `${V}not_be_null`,
    { column: 'n' },
    false,
    { element_count: 10, unexpected_count: 1, unexpected_percent: 10, partial_unexpected_list: [null] },
  ],
  [`${V}not_be_null`, { column: 'n', mostly: 0.9 }, true, {}],
  [`${V}be_null`, { column: 'empty' }, true, { unexpected_count: 0 }],
  [`${V}be_null`, { column: 'n', mostly: 0.1 }, true, { unexpected_count: 9 }],
  [
    `${V}be_between`,
    { column: 'n', min_value: 1, max_value: 8 },
    true,
    { unexpected_count: 0, missing_count: 1, missing_percent: 10 },
  ],
  [
    `${V}be_between`,
    { column: 'n', min_value: 1, max_value: 8, strict_max: true },
    false,
    {
      unexpected_count: 2,
      unexpected_percent: (2 / 9) * 100,
      unexpected_percent_total: 20,
      partial_unexpected_list: [8, 8],
      partial_unexpected_counts: [{ value: 8, count: 2 }],
    },
  ],
  [`${V}be_between`, { column: 'n', min_value: 2, mostly: 8 / 9 }, true, { unexpected_count: 1 }],
  [
    `${V}be_between`,
    { column: 'x', min_value: -1e300 },
    false,
    { unexpected_count: 1, partial_unexpected_list: ['NaN'] },
  ],
  [`${V}be_between`, { column: 'at', min_value: '2001-01-01', max_value: '2001-01-01T10:00:00Z' }, true, {}],
  [
    `${V}be_between`,
    { column: 'at', max_value: '2001-01-01T09:00:00Z' },
    false,
    { partial_unexpected_list: ['2001-01-01T10:00:00.000Z'] },
  ],
  [
    `${V}be_between`,
    { column: 'empty', min_value: 1 },
    true,
    { element_count: 10, unexpected_count: 0, missing_count: 10, unexpected_percent: null },
  ],
  [`${V}be_in_set`, { column: 'n', value_set: [1, 2, 3, 4, 5, 6, 7] }, false, { unexpected_count: 2 }],
  [`${V}be_in_set`, { column: 'b', value_set: [true, false] }, true, {}],
  [`${V}not_be_in_set`, { column: 's', value_set: ['AB1', "'; --"] }, false, { partial_unexpected_list: ['AB1'] }],
  [`${V}be_unique`, { column: 'n' }, false, { unexpected_count: 2, partial_unexpected_list: [8, 8] }],
  [`${V}be_unique`, { column: 'at' }, true, {}],
  [`${V}match_regex`, { column: 's', regex: 'B' }, false, { unexpected_count: 1, partial_unexpected_list: ['é🦆'] }],
  [`${V}match_regex`, { column: 's', regex: '^B' }, false, { unexpected_count: 9 }],
  [`${V}not_match_regex`, { column: 's', regex: '\\d$' }, false, { unexpected_count: 8 }],
  [`${V}match_regex`, { column: 'n', regex: '^[0-9]$' }, true, {}],
  ['expect_column_value_lengths_to_be_between', { column: 's', min_value: 2, max_value: 3 }, true, {}],
  ['expect_column_value_lengths_to_equal', { column: 's', value: 3 }, false, { unexpected_count: 1 }],
  [`${V}be_of_type`, { column: 'n', type_: 'INTEGER' }, true, { observed_value: 'int32' }],
  [`${V}be_of_type`, { column: 'n', type_: 'float64' }, false, {}],
  ['expect_column_min_to_be_between', { column: 'x', min_value: 1, max_value: 1 }, true, { observed_value: 1 }],
  ['expect_column_max_to_be_between', { column: 'x', min_value: 5, strict_min: true }, false, { observed_value: 5 }],
  [
    'expect_column_max_to_be_between',
    { column: 'at', max_value: '2001-01-01T10:00:00Z' },
    true,
    { observed_value: '2001-01-01T10:00:00.000Z' },
  ],
  [
    'expect_column_mean_to_be_between',
    { column: 'n', min_value: 4.8, max_value: 4.9 },
    true,
    { observed_value: 44 / 9 },
  ],
  ['expect_column_median_to_be_between', { column: 'x', min_value: 3, max_value: 3 }, true, { observed_value: 3 }],
  ['expect_column_sum_to_be_between', { column: 'n', min_value: 44, max_value: 44 }, true, { observed_value: 44 }],
  ['expect_column_stdev_to_be_between', { column: 'n', min_value: 2.57, max_value: 2.58 }, true, {}],
  ['expect_column_mean_to_be_between', { column: 'empty', min_value: 0 }, false, { observed_value: null }],
  [
    'expect_column_unique_value_count_to_be_between',
    { column: 'n', min_value: 8, max_value: 8 },
    true,
    { observed_value: 8 },
  ],
  [
    'expect_column_proportion_of_unique_values_to_be_between',
    { column: 'n', min_value: 8 / 9, max_value: 8 / 9 },
    true,
    { observed_value: 8 / 9 },
  ],
  ['expect_compound_columns_to_be_unique', { column_list: ['n', 'k'] }, true, { unexpected_count: 0 }],
  ['expect_compound_columns_to_be_unique', { column_list: ['b', 'k'] }, false, { unexpected_count: 8 }],
  [
    'expect_compound_columns_to_be_unique',
    { column_list: ['n', 'empty'], ignore_row_if: 'any_value_is_missing' },
    true,
    { missing_count: 10 },
  ],
  [
    'expect_compound_columns_to_be_unique',
    { column_list: ['empty', 'empty'], ignore_row_if: 'never' },
    false,
    { unexpected_count: 10 },
  ],
]

test('compileSuite() keeps the semantics of Great Expectations, case by case', async () => {
  const { results, statistics } = await evaluateSuite(
    engine,
    ROWS,
    SCHEMA,
    CASES.map(([type, kwargs]) => ({ type, kwargs })),
  )
  for (const [index, [type, kwargs, success, result]] of CASES.entries()) {
    const label = `${type} ${JSON.stringify(kwargs)}: ${JSON.stringify(results[index]!.result)}`
    expect(results[index]!.success, label).toBe(success)
    expect(results[index]!.result, label).toMatchObject(result)
  }
  expect(statistics.evaluated_expectations).toBe(CASES.length)
})

test('compileSuite() leaves out no expectation that it does not know', async () => {
  const unknown = evaluateSuite(engine, ROWS, SCHEMA, [{ type: `${V}be_wonderful`, kwargs: { column: 'n' } }])
  await expect(unknown).rejects.toMatchObject({ kind: 'unsupported', code: 'datasets.unknown_expectation' })
})

test('compileSuite() on no rows: values pass vacuously with null percents, aggregates fail', async () => {
  const { results, success } = await evaluateSuite(engine, `${ROWS} WHERE i > 99`, SCHEMA, [
    { type: `${V}be_between`, kwargs: { column: 'n', min_value: 1 } },
    { type: `${V}not_be_null`, kwargs: { column: 'n' } },
    { type: 'expect_column_min_to_be_between', kwargs: { column: 'n', min_value: 1 } },
  ])
  expect(results.map((result) => result.success)).toEqual([true, true, false])
  expect(results[0]!.result).toMatchObject({ element_count: 0, unexpected_percent: null, missing_percent: null })
  expect(success).toBe(false)
})

test('compileSuite() adds the nulls that the schema forbids', async () => {
  const { results } = await evaluateSuite(engine, ROWS, { n: { type: 'int32', nullable: false } }, [])
  expect(results).toMatchObject([
    { success: false, expectation_config: { type: `${V}not_be_null`, meta: { from: 'schema' } } },
  ])
})

test('expectations on values equal a brute-force count over random rows', async () => {
  const value = fc.option(fc.integer({ min: -5, max: 5 }), { nil: null })
  const property = fc.asyncProperty(
    fc.array(value, { minLength: 1, maxLength: 30 }),
    fc.integer({ min: -5, max: 0 }),
    fc.integer({ min: 0, max: 5 }),
    fc.boolean(),
    fc.double({ min: 0, max: 1, noNaN: true }),
    async (values, min, max, strict, mostly) => {
      const select = `SELECT CAST(u AS INTEGER) AS v FROM (SELECT unnest([${values.map((one) => one ?? 'NULL').join(', ')}]) AS u)`
      const { results } = await evaluateSuite(engine, select, { v: nullable('int32') }, [
        { type: `${V}be_between`, kwargs: { column: 'v', min_value: min, max_value: max, strict_min: strict, mostly } },
        { type: `${V}be_in_set`, kwargs: { column: 'v', value_set: [min, max], mostly } },
        { type: `${V}be_unique`, kwargs: { column: 'v', mostly } },
      ])
      const present = values.filter((one): one is number => one !== null)
      const unexpected = [
        present.filter((one) => (strict ? one <= min : one < min) || one > max),
        present.filter((one) => one !== min && one !== max),
        present.filter((one) => present.filter((other) => other === one).length > 1),
      ]
      for (const [index, wrong] of unexpected.entries()) {
        expect(results[index]!.result.unexpected_count).toBe(wrong.length)
        expect(results[index]!.success).toBe(
          present.length === 0 || (present.length - wrong.length) / present.length >= mostly,
        )
        expect(results[index]!.result.partial_unexpected_list).toEqual(wrong.slice(0, 20))
      }
    },
  )
  await fc.assert(property, { numRuns: 25, seed: 20010101 })
})
