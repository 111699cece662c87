import { expectColumn, expectTable } from '@plimsoll/sdk'
import type { Expectation } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { EXPECTATION_ARGUMENTS } from './arguments.ts'
import { checkExpectations } from './check.ts'

type Made = readonly [made: Expectation, name: string, kwargs: Expectation['kwargs']]
const n = expectColumn('n')
const s = expectColumn('s')
const table = expectTable()
const [BOTH, STRICT] = [
  { min_value: 1, max_value: 2 },
  { strict_min: true, strict_max: true },
]
const strictly = { strictMin: true, strictMax: true }

/** Each builder of the SDK, the name behind `expect_column_`, and its arguments but the column. */
const OF_COLUMN: Record<keyof typeof n, readonly [...Made, column: 'n' | 's']> = {
  between: [n.between(1, 2, strictly), 'values_to_be_between', { ...BOTH, ...STRICT }, 'n'],
  oneOf: [n.oneOf([1, 2]), 'values_to_be_in_set', { value_set: [1, 2] }, 'n'],
  notOneOf: [s.notOneOf(['a']), 'values_to_not_be_in_set', { value_set: ['a'] }, 's'],
  matches: [s.matches('^a$'), 'values_to_match_regex', { regex: '^a$' }, 's'],
  doesNotMatch: [s.doesNotMatch('^a$'), 'values_to_not_match_regex', { regex: '^a$' }, 's'],
  lengthBetween: [s.lengthBetween(1, null), 'value_lengths_to_be_between', { min_value: 1 }, 's'],
  lengthEquals: [s.lengthEquals(3), 'value_lengths_to_equal', { value: 3 }, 's'],
  notNull: [n.notNull(), 'values_to_not_be_null', {}, 'n'],
  isNull: [n.isNull(), 'values_to_be_null', {}, 'n'],
  unique: [n.unique(), 'values_to_be_unique', {}, 'n'],
  exists: [n.exists(0), 'to_exist', { column_index: 0 }, 'n'],
  ofType: [n.ofType('int32'), 'values_to_be_of_type', { type_: 'int32' }, 'n'],
  minBetween: [n.minBetween(1, 2, strictly), 'min_to_be_between', { ...BOTH, ...STRICT }, 'n'],
  maxBetween: [s.maxBetween('a', 'b'), 'max_to_be_between', { min_value: 'a', max_value: 'b' }, 's'],
  meanBetween: [n.meanBetween(1, 2), 'mean_to_be_between', BOTH, 'n'],
  medianBetween: [n.medianBetween(null, 2), 'median_to_be_between', { max_value: 2 }, 'n'],
  sumBetween: [n.sumBetween(1, null), 'sum_to_be_between', { min_value: 1 }, 'n'],
  stdevBetween: [n.stdevBetween(1, 2), 'stdev_to_be_between', BOTH, 'n'],
  uniqueCountBetween: [n.uniqueCountBetween(1, 2), 'unique_value_count_to_be_between', BOTH, 'n'],
  uniqueProportionBetween: [
    n.uniqueProportionBetween(0.5, 1, { strictMin: true }),
    'proportion_of_unique_values_to_be_between',
    { min_value: 0.5, max_value: 1, strict_min: true },
    'n',
  ],
}
/** The same of tables, with the name behind `expect_`. */
const OF_TABLE: Record<keyof typeof table, Made> = {
  rowCountBetween: [table.rowCountBetween(1, 2), 'table_row_count_to_be_between', BOTH],
  rowCountEquals: [table.rowCountEquals(1), 'table_row_count_to_equal', { value: 1 }],
  columnCountBetween: [table.columnCountBetween(null, 2), 'table_column_count_to_be_between', { max_value: 2 }],
  columnCountEquals: [table.columnCountEquals(2), 'table_column_count_to_equal', { value: 2 }],
  columnsMatchSet: [
    table.columnsMatchSet(['s', 'n'], { exact: false }),
    'table_columns_to_match_set',
    { column_set: ['s', 'n'], exact_match: false },
  ],
  columnsMatchList: [
    table.columnsMatchList(['n', 's']),
    'table_columns_to_match_ordered_list',
    { column_list: ['n', 's'] },
  ],
  compoundUnique: [table.compoundUnique(['n', 's']), 'compound_columns_to_be_unique', { column_list: ['n', 's'] }],
}

test('checkExpectations() takes what each builder of the SDK makes, which are all that there are', () => {
  expect([Object.keys(OF_COLUMN), Object.keys(OF_TABLE)]).toEqual([Object.keys(n), Object.keys(table)])
  const rows = [
    ...Object.values(OF_COLUMN).map(([made, name, kwargs, column]) => ({
      made,
      wanted: { type: `expect_column_${name}`, kwargs: { column, ...kwargs } },
    })),
    ...Object.values(OF_TABLE).map(([made, name, kwargs]) => ({ made, wanted: { type: `expect_${name}`, kwargs } })),
  ]
  expect(rows.map(({ made }) => made)).toEqual(rows.map(({ wanted }) => wanted))
  expect(new Set(rows.map(({ made }) => made.type))).toEqual(new Set(Object.keys(EXPECTATION_ARGUMENTS)))
  const mostly = rows.flatMap(({ made }) =>
    'mostly' in made ? [(made as ReturnType<typeof n.unique>).mostly(0.9)] : [],
  )
  expect(mostly.map(({ kwargs }) => kwargs['mostly'])).toEqual(Array(11).fill(0.9))
  const expectations = [...rows.map(({ made }) => made), ...mostly]
  const schema = { n: { type: 'int32', nullable: true }, s: { type: 'text', nullable: true } } as const
  expect(checkExpectations({ schema, expectations: JSON.parse(JSON.stringify(expectations)) })).toEqual([])
})

test('checkExpectations() lists every fault with its pointer', () => {
  const faults = checkExpectations({
    schema: {
      n: { type: 'int32', nullable: false },
      s: { type: 'text', nullable: false },
      at: { type: 'timestamp', nullable: false },
    },
    expectations: [
      { type: 'expect_column_values_to_be_wonderful', kwargs: {} },
      { type: 'expect_column_values_to_be_in_set', kwargs: { column: 'n', value_set: [] } },
      { type: 'expect_column_values_to_be_in_set', kwargs: { column: 'n', value_set: null } },
      { type: 'expect_column_values_to_be_in_set', kwargs: { column: 'n', value_set: [1, 'x'] } },
      { type: 'expect_column_values_to_be_between', kwargs: { column: 'n' } },
      { type: 'expect_column_values_to_be_between', kwargs: { column: 'n', min_value: 3, max_value: 1, mostly: 2 } },
      { type: 'expect_column_values_to_be_between', kwargs: { column: 'gone', min_value: 1 } },
      {
        type: 'expect_column_values_to_be_between',
        kwargs: { column: 'at', min_value: '2001-02-31', max_value: '2001-01-01T00:00:00' },
      },
      { type: 'expect_column_mean_to_be_between', kwargs: { column: 's', min_value: 1 } },
      { type: 'expect_column_values_to_match_regex', kwargs: { column: 's', regex: '(?=a)\\1' } },
      { type: 'expect_compound_columns_to_be_unique', kwargs: { column_list: ['n', 'gone'] } },
      { type: 'expect_table_row_count_to_equal', kwargs: { value: -1, extra: 1 } },
      { type: 'expect_column_values_to_not_be_null', kwargs: { column: '__proto__' } },
    ],
  })
  const pointers = faults.map((fault) => fault.pointer.replace('/expectations/', ''))
  expect([...new Set(pointers.map((pointer) => pointer.split('/')[0]))]).toEqual([
    '0',
    '1',
    '2',
    '3',
    '4',
    '5',
    '6',
    '7',
    '8',
    '9',
    '10',
    '11',
    '12',
  ])
  expect(pointers).toEqual(
    expect.arrayContaining([
      '3/kwargs/value_set/1',
      '5/kwargs/mostly',
      '7/kwargs/min_value',
      '7/kwargs/max_value',
      '10/kwargs/column_list/1',
    ]),
  )
})

test('checkExpectations() says which name was meant, or all that there are', () => {
  const detailOf = (type: string) =>
    checkExpectations({ schema: {}, expectations: [{ type, kwargs: {} }] }).map(({ detail }) => detail)
  expect(detailOf('expect_column_value_to_be_unique')).toEqual([
    '"expect_column_value_to_be_unique" is not an expectation known here: did you mean expect_column_values_to_be_unique?',
  ])
  expect(detailOf('expect_colum')).toEqual([
    `"expect_colum" is not an expectation known here; there are ${Object.keys(EXPECTATION_ARGUMENTS).join(', ')}`,
  ])
})
