import { expect, test } from 'vitest'
import { checkExpectations } from './check.ts'

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
