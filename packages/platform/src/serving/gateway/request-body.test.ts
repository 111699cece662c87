import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ReadRows, rowsOfInvocations, rowsOfPredict } from './json-rows.ts'
import { discardBody, parseJson, readBody } from './request-body.ts'

test.each([
  ['readBody()', (request: IncomingMessage) => readBody(request, 1_000, undefined)],
  ['discardBody()', (request: IncomingMessage) => discardBody(request, 1_000)],
])('%s ends when its connection closes before the body has', async (_, read) => {
  const request = Object.assign(new PassThrough(), { headers: {} })
  const reading = read(request as unknown as IncomingMessage) // its headers and its bytes are looked at
  request.write('half')
  request.destroy()
  await expect(reading).rejects.toMatchObject({ kind: 'invalid', code: 'serving.body_cut' })
})

test('parseJson() answers invalid to what is no JSON and to deep nesting', () => {
  expect(() => parseJson(Buffer.from('{'))).toThrow(
    expect.objectContaining({ code: 'serving.bad_json', kind: 'invalid' }),
  )
  expect(() => parseJson(Buffer.from('['.repeat(1_000_000)))).toThrow(/deeper/)
})

test.each([
  '{"rows":[{"a":1,"a":2}]}',
  '{"rows":[{"a":1}],"rows":[]}',
  '{"a":{"b":{"c":1}},"a":2}',
  '{"a":1,"\\u0061":2}',
  '{"__proto__":1,"__proto__":2}',
])('parseJson() refuses %s, which names a member twice', (text) => {
  expect(() => parseJson(Buffer.from(text))).toThrow(
    expect.objectContaining({ code: 'serving.bad_json', message: expect.stringMatching(/names a member twice$/) }),
  )
})

test('parseJson() refuses a key that is not UTF-8', () => {
  const body = Buffer.concat([Buffer.from('{"'), Buffer.from([0xff]), Buffer.from('":1}')])
  expect(() => parseJson(body)).toThrow(
    expect.objectContaining({ code: 'serving.bad_json', message: expect.stringMatching(/not UTF-8$/) }),
  )
})

test('parseJson() takes a bare NaN for null where MLflow may write it, outside strings and not beside Infinity', () => {
  const split = '{"dataframe_split":{"columns":["a","NaN \\" NaN"],"data":[[NaN,1],[2,NaN]]}}'
  const read = (text: string, nanIsNull = true) => parseJson(Buffer.from(text), { nanIsNull })
  expect(read(split)).toEqual({
    dataframe_split: {
      columns: ['a', 'NaN " NaN'],
      data: [
        [null, 1],
        [2, null],
      ],
    },
  })
  const refusal = expect.objectContaining({ code: 'serving.bad_json' })
  expect(() => read(split, false)).toThrow(refusal)
  expect(() => read('{"a":NaN,"b":Infinity}')).toThrow(refusal)
  expect(() => read('{"a":NaN,"a":1}')).toThrow(/names a member twice/)
  expect(() => read(`${'['.repeat(65)}NaN${']'.repeat(65)}`)).toThrow(/deeper/)
})

test('parseJson() takes every JSON whose members are named once', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      expect(parseJson(Buffer.from(JSON.stringify(value, null, 1)))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
  const odd = '{"a\\":\\\\":"::\\"","__proto__":{"a":{}},"é:":[{"a":1},{"a":1}]}'
  expect(parseJson(Buffer.from(odd))).toEqual(JSON.parse(odd))
})

/** Where faults at these pointers are told; behind a name where that says what of it is meant. */
function placesOf({ place }: ReadRows, ...pointers: string[]): string[] {
  return pointers.map((pointer) => {
    const { pointer: at, detail } = place({ pointer, detail: 'is missing' })
    return detail === 'is missing' ? at : `${at}: ${detail.replace(' is missing', '')}`
  })
}

test('rowsOfPredict() takes rows, or one row, and says where they were', () => {
  const several = rowsOfPredict({ rows: [{ a: 1 }] })
  expect([several.rows, placesOf(several, '/rows/0/a', '/rows/0', '/rows')]).toEqual([
    [{ a: 1 }],
    ['/rows/0/a', '/rows/0', '/rows'],
  ])
  const single = rowsOfPredict({ a: 1 })
  expect([single.rows, placesOf(single, '/rows/0/a~1b', '/rows/0', '/rows')]).toEqual([[{ a: 1 }], ['/a~1b', '', '']])
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
    }).rows,
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
    }).rows,
  ).toEqual(rows)
  expect(rowsOfInvocations({ dataframe_records: rows }).rows).toEqual(rows)
  expect(rowsOfInvocations({ instances: rows }).rows).toEqual(rows)
  expect(rowsOfInvocations({ inputs: { a: [1, 3], b: [2, 4] } }).rows).toEqual(rows)
  expect(() => rowsOfInvocations({})).toThrow(/exactly one/)
  expect(() => rowsOfInvocations({ inputs: [], instances: [] })).toThrow(/exactly one/)
  expect(() => rowsOfInvocations({ dataframe_split: { columns: ['a'], data: [[1, 2]] } })).toThrow(/row 0/)
  expect(() => rowsOfInvocations({ dataframe_split: { columns: ['a', 'a'], data: [[1, 2]] } })).toThrow(/named twice/)
  expect(() => rowsOfInvocations({ instances: [{ a: 1 }, [1, 2]] })).toThrow(/go in dataframe_split/)
})

test.each<[unknown, string[]]>([
  [
    { dataframe_split: { columns: ['a', 'b'], data: [[1, 2]] } },
    ['/dataframe_split/data/0/1', '/dataframe_split/data/0: c', '/dataframe_split/data'],
  ],
  [{ inputs: { a: [1], b: [2] } }, ['/inputs/b/0', '/inputs: c of row 0', '/inputs']],
  [{ inputs: { a: 1, b: 2 } }, ['/inputs/b', '/inputs/c', '/inputs']],
  [{ instances: [{ a: 1, b: 2 }] }, ['/instances/0/b', '/instances/0/c', '/instances']],
])('rowsOfInvocations() tells faults of %j at their places', (given, places) => {
  const pointers = ['/rows/0/b', '/rows/0/c', '/rows', '/elsewhere']
  expect(placesOf(rowsOfInvocations(given), ...pointers)).toEqual([...places, '/elsewhere'])
  const odd = rowsOfInvocations({ inputs: { 'x/y~z': [1] } })
  expect(placesOf(odd, '/rows/0/x~1y~0z')).toEqual(['/inputs/x~1y~0z/0'])
})
