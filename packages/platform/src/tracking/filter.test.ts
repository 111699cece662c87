import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Comparison, parseFilter, printFilter } from './filter.ts'

const text = fc
  .string({ unit: fc.constantFrom(..."ab%_\\ .'É😀-1".split('')), maxLength: 8 })
  .filter((value) => !(value.includes("'") && value.includes('"')))
const comparison: fc.Arbitrary<Comparison> = fc.oneof(
  fc.record({
    entity: fc.constantFrom('', 'params', 'tags'),
    key: fc.constantFrom('a', 'a.b', 'with space', 'é'),
    comparator: fc.constantFrom('=' as const, '!=' as const, 'LIKE' as const, 'ILIKE' as const),
    value: text,
  }),
  fc.record({
    entity: fc.constant('metrics'),
    key: fc.constantFrom('m', 'm.n'),
    comparator: fc.constantFrom('<' as const, '>=' as const, '=' as const),
    value: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value)),
  }),
  fc.record({
    entity: fc.constant('attributes'),
    key: fc.constant('run_id'),
    comparator: fc.constantFrom('IN' as const, 'NOT IN' as const),
    value: fc.array(text, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    entity: fc.constantFrom('params', 'tags'),
    key: fc.constantFrom('a', 'is', 'not null'),
    comparator: fc.constantFrom('IS NULL' as const, 'IS NOT NULL' as const),
    value: fc.constant(null),
  }),
)

test('parseFilter() reads what printFilter() prints', () => {
  fc.assert(
    fc.property(fc.array(comparison, { maxLength: 6 }), (clauses) => {
      expect(parseFilter(printFilter(clauses))).toEqual(clauses)
    }),
  )
})

test('parseFilter() either reads any text or refuses it as invalid', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab.=\'"`<>!(), \n1e-ANDORLIKEISNOTNULL;\\%'.split('')), maxLength: 60 }),
      (filter) => {
        try {
          parseFilter(filter)
        } catch (error) {
          expect(error).toMatchObject({ kind: 'invalid' })
        }
      },
    ),
    { numRuns: 5_000 },
  )
})

test.each([
  ['metrics.`my metric` > 1.5', [{ entity: 'metrics', key: 'my metric', comparator: '>', value: 1.5 }]],
  ['metric."a.b" = -1e-3', [{ entity: 'metric', key: 'a.b', comparator: '=', value: -0.001 }]],
  [`params.model = "it's"`, [{ entity: 'params', key: 'model', comparator: '=', value: "it's" }]],
  [
    "name like 'a%' and Tags.k ILIKE 'B'",
    [
      { entity: '', key: 'name', comparator: 'LIKE', value: 'a%' },
      { entity: 'tags', key: 'k', comparator: 'ILIKE', value: 'B' },
    ],
  ],
  ["run_id NOT IN ('a','123')", [{ entity: '', key: 'run_id', comparator: 'NOT IN', value: ['a', '123'] }]],
  ["attributes.`Run name` = 'x'", [{ entity: 'attributes', key: 'Run name', comparator: '=', value: 'x' }]],
  [
    'params.a is Null AND tags.`is` IS not NULL',
    [
      { entity: 'params', key: 'a', comparator: 'IS NULL', value: null },
      { entity: 'tags', key: 'is', comparator: 'IS NOT NULL', value: null },
    ],
  ],
  ['', []],
  ['  ', []],
])('parseFilter(%j)', (filter, clauses) => {
  expect(parseFilter(filter)).toEqual(clauses)
})
