import { expect, test } from 'vitest'
import { csv, defineDataset, expectColumn, expectTable, int32, parquet, text, timestamp } from './dataset.ts'

test('defineDataset() gives plain canonical JSON', () => {
  const flights = defineDataset({
    name: 'flights',
    source: parquet('data/flights.parquet'),
    schema: { date: timestamp({ zone: 'UTC' }), origin: text(), delay: int32() },
    expectations: [
      expectColumn('delay').between(-120, 2_000).mostly(0.999),
      expectColumn('origin').matches('^[A-Z0-9]{3}$'),
      expectTable().rowCountBetween(1, null),
    ],
  })
  expect(JSON.parse(JSON.stringify(flights))).toEqual({
    kind: 'dataset',
    name: 'flights',
    source: { format: 'parquet', path: 'data/flights.parquet' },
    storage: 'in-place',
    schema: {
      date: { type: 'timestamp', zone: 'UTC', nullable: false },
      origin: { type: 'text', nullable: false },
      delay: { type: 'int32', nullable: false },
    },
    expectations: [
      {
        type: 'expect_column_values_to_be_between',
        kwargs: { column: 'delay', min_value: -120, max_value: 2000, mostly: 0.999 },
      },
      { type: 'expect_column_values_to_match_regex', kwargs: { column: 'origin', regex: '^[A-Z0-9]{3}$' } },
      { type: 'expect_table_row_count_to_be_between', kwargs: { min_value: 1 } },
    ],
  })
})

test('defineDataset() lists every fault at once', () => {
  const define = () =>
    defineDataset({
      name: 'Flights',
      source: csv('a.csv'),
      schema: {
        a: int32(),
        A: int32(),
        at: { type: 'timestamp', zone: 'Mars/Base', nullable: false },
        n: { type: 'int32', zone: 'UTC', nullable: true },
      },
    })
  expect(define).toThrow(/expected a lower-case letter[\s\S]*only by case[\s\S]*Mars\/Base[\s\S]*timestamps only/)
})

test('defineDataset() names the member of each fault, what was found and what was expected', () => {
  const define = (options: object) => () => defineDataset({ name: 'd', schema: { x: int32() }, ...options } as never)
  expect(define({ source: 'a.csv', schema: { x: 'int64' } })).toThrow(
    /^Cannot define dataset "d": source: expected a record \(members by name\), found "a.csv"; schema\/x: expected a record .*, found "int64"$/,
  )
  expect(define({ source: csv('a.csv'), storage: 'moved', columns: {} })).toThrow(
    /^Cannot define dataset "d": storage: expected one of in-place, copy, found "moved"; takes no "columns": it takes kind, name, /,
  )
  expect(() => csv(5 as never)).toThrow('A csv source: path: expected a text, found 5')
  expect(() => expectColumn('x').oneOf('abc' as never)).toThrow('expectColumn("x").oneOf: expected a list, found "abc"')
})
