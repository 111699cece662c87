import { expect, test } from 'vitest'
import { EXPECTATION_ARGUMENTS } from '../datasets/expectation/arguments.ts'
import { expectationText } from './expectation-text.ts'

const KWARGS = {
  column: 'delay',
  column_list: ['delay', 'origin'],
  column_set: ['delay', 'origin'],
  value_set: [0, 'a'],
  min_value: 0,
  max_value: 10,
  value: 3,
  regex: '^A',
  type_: 'int32',
}

test('expectationText() has words for every expectation that there is', () => {
  for (const type of Object.keys(EXPECTATION_ARGUMENTS))
    expect(expectationText({ type, kwargs: KWARGS }), type).not.toMatch(/expect_|undefined|[{}]/)
})

test('expectationText() says bounds, sets and shares as they were declared', () => {
  const between = (kwargs: object) =>
    expectationText({ type: 'expect_column_values_to_be_between', kwargs: { column: 'delay', ...kwargs } })
  expect([
    between({ max_value: 10, min_value: 0, mostly: 0.999 }),
    between({ min_value: 0, max_value: null }),
    between({ min_value: 0, strict_min: true, max_value: 10 }),
    between({ max_value: '2001-01-01', strict_max: true }),
    expectationText({ type: 'expect_column_values_to_be_in_set', kwargs: { column: 'label', value_set: [0, 'a'] } }),
    expectationText({ type: 'expect_column_values_to_shine', kwargs: { most: 1, column: 'label' } }),
  ]).toEqual([
    'delay is between 0 and 10, in at least 99.9 % of the rows',
    'delay is at least 0',
    'delay is above 0 and at most 10',
    'delay is below 2001-01-01',
    'label is one of 0, "a"',
    'expect_column_values_to_shine {"column":"label","most":1}',
  ])
})

test('expectationText() rounds a share, and never up to all of the rows', () => {
  const shareOf = (mostly: number) =>
    expectationText({ type: 'expect_column_values_to_be_unique', kwargs: { column: 'id', mostly } })
  for (const [mostly, text] of [
    [1, '100'],
    [0.07, '7'],
    [1 / 3, '33.3333'],
    [0.9999999, '99.99999'],
    [1 - Number.EPSILON / 2, '99.99999999999999'],
  ] as const)
    expect(shareOf(mostly)).toBe(`id has no value twice, in at least ${text} % of the rows`)
})
