import { expect, test } from 'vitest'
import { rowsOfInvocations, rowsOfPredict } from './json-rows.ts'
import { isTooDeep, parseJson } from './request-body.ts'

test('isTooDeep() counts brackets outside strings only', () => {
  expect(isTooDeep(Buffer.from('['.repeat(64) + ']'.repeat(64)))).toBe(false)
  expect(isTooDeep(Buffer.from('['.repeat(65)))).toBe(true)
  expect(isTooDeep(Buffer.from(JSON.stringify({ text: `\\"${'['.repeat(100)}` })))).toBe(false)
})

test('parseJson() answers invalid to what is no JSON and to deep nesting', () => {
  expect(() => parseJson(Buffer.from('{'))).toThrow(
    expect.objectContaining({ code: 'serving.bad_json', kind: 'invalid' }),
  )
  expect(() => parseJson(Buffer.from('['.repeat(1_000_000)))).toThrow(/deeper/)
})

test('rowsOfPredict() takes rows, or one row', () => {
  expect(rowsOfPredict({ rows: [{ a: 1 }] })).toEqual({ rows: [{ a: 1 }], isSingle: false })
  expect(rowsOfPredict({ a: 1 })).toEqual({ rows: [{ a: 1 }], isSingle: true })
  expect(() => rowsOfPredict([])).toThrow(/rows/)
  expect(() => rowsOfPredict({ rows: [], more: 1 })).toThrow(/more/)
  expect(() => rowsOfPredict({ rows: 5 })).toThrow(/array/)
})

test('rowsOfInvocations() reads the four shapes of MLflow and refuses none or two', () => {
  const rows = [
    { a: 1, b: 2 },
    { a: 3, b: 4 },
  ]
  expect(
    rowsOfInvocations({
      dataframe_split: {
        columns: ['a', 'b'],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
    }),
  ).toEqual(rows)
  expect(
    rowsOfInvocations({
      dataframe_split: {
        index: [0, 1],
        columns: ['a', 'b'],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
    }),
  ).toEqual(rows)
  expect(rowsOfInvocations({ dataframe_records: rows })).toEqual(rows)
  expect(rowsOfInvocations({ instances: rows })).toEqual(rows)
  expect(rowsOfInvocations({ inputs: { a: [1, 3], b: [2, 4] } })).toEqual(rows)
  expect(() => rowsOfInvocations({})).toThrow(/exactly one/)
  expect(() => rowsOfInvocations({ inputs: [], instances: [] })).toThrow(/exactly one/)
  expect(() => rowsOfInvocations({ dataframe_split: { columns: ['a'], data: [[1, 2]] } })).toThrow(/row 0/)
})
