import type { ServedInput } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import type { Datatype } from '../../inference/index.ts'
import type { PlimsollError } from '../../kernel/errors.ts'
import { compileRoute } from './compiled-route.ts'
import { localTimePart } from './local-time.ts'
import { exampleRoute } from './snapshot.fixture.ts'

const matrix = { inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [-1, 2] }], outputs: [], maxBatchSize: 8 }

function faultsOf(rows: unknown[]): string[] {
  try {
    compileRoute(exampleRoute(), undefined).prepare(rows, 0n, matrix)
  } catch (thrown) {
    return ((thrown as PlimsollError).details.faults ?? []).map((fault) => `${fault.pointer} ${fault.detail}`)
  }
  return []
}

test('prepare() fills one matrix input in the order of the columns', () => {
  const { tensors } = compileRoute(exampleRoute(), undefined).prepare(
    [
      { distance: 100, date: '2001-04-01T04:30:00Z' },
      { distance: -1, date: '2001-07-01T12:00:00+02:00' },
    ],
    0n,
    matrix,
  )
  expect(tensors).toEqual([{ name: 'x', datatype: 'FP32', shape: [2, 2], data: new Float32Array([100, 23, -1, 6]) }])
})

test('prepare() fills named inputs, and says which the route lacks', () => {
  const named = { inputs: [{ name: 'hour', datatype: 'INT64' as const, shape: [-1, 1] }], outputs: [], maxBatchSize: 8 }
  const { tensors } = compileRoute(exampleRoute(), undefined).prepare(
    [{ distance: 1, date: '2001-01-01T12:00:00Z' }],
    0n,
    named,
  )
  expect(tensors).toEqual([{ name: 'hour', datatype: 'INT64', shape: [1, 1], data: new BigInt64Array([7n]) }])
  const other = { inputs: [{ name: 'speed', datatype: 'FP32' as const, shape: [-1, 1] }], outputs: [], maxBatchSize: 8 }
  expect(() =>
    compileRoute(exampleRoute(), undefined).prepare([{ distance: 1, date: '2001-01-01T12:00:00Z' }], 0n, other),
  ).toThrow(/speed/)
})

test('prepare() stops at 100 faults, in one row as in many', () => {
  const row = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`k${at}`, at]))
  expect(faultsOf([row])).toHaveLength(100)
  expect(faultsOf(Array(50).fill({ distance: 'far', date: 1, x: 1 }))).toHaveLength(100)
  expect(() => compileRoute(exampleRoute(), undefined).prepare([row], 0n, matrix)).toThrow(/at least 100 faults/)
})

test('prepare() lists every fault at once with its pointer', () => {
  expect(
    faultsOf([
      { distance: 'far', date: 'yesterday', colour: 1 },
      7,
      { date: '2001-01-01T00:00:00Z', distance: null },
      { date: '2001-01-01T00:00:00Z' },
    ]),
  ).toEqual([
    '/rows/0/distance expected an integer of type int32, found "far"',
    '/rows/0/date expected an RFC 3339 time with a zone, for example 2001-04-01T12:30:00Z, found "yesterday"',
    '/rows/0/colour is not an input of route delay: expected distance, date',
    '/rows/1 expected an object',
    '/rows/2/distance is null: expected a value of type int32',
    '/rows/3/distance is missing: expected int32',
  ])
})

test('prepare() refuses rows of a model that takes more at a time than a request may have', () => {
  const wide = { ...matrix, inputs: [{ ...matrix.inputs[0]!, shape: [10_001, 2] }] }
  const rows = Array.from({ length: 10_001 }, () => ({ distance: 1, date: '2001-01-01T00:00:00Z' }))
  expect(() => compileRoute(exampleRoute(), undefined).prepare(rows, 0n, wide)).toThrow(
    'Cannot predict 10001 rows: the model takes 10001 rows at a time, and a request has at most 10000',
  )
})

test('prepare() takes null, and a row without it, where the route takes it', () => {
  const { inputs } = exampleRoute()
  const route = exampleRoute({ inputs: { ...inputs, distance: { type: 'int32', nullable: true } } })
  const date = '2001-04-01T04:30:00Z'
  const { tensors } = compileRoute(route, undefined).prepare([{ distance: null, date }, { date }], 0n, matrix)
  expect(tensors[0]!.data).toEqual(Float32Array.of(Number.NaN, 23, Number.NaN, 23))
})

test('prepare() takes a key that is null, which finds nothing as in a training set, and refuses one left out', () => {
  const { inputs } = exampleRoute()
  const route = exampleRoute({ inputs: { ...inputs, origin: { type: 'text', entity: 'airport', key: 'origin' } } })
  const compiled = compileRoute(route, undefined)
  const row = { distance: 1, date: '2001-04-01T04:30:00Z' }
  expect(compiled.prepare([{ ...row, origin: null }], 0n, matrix).inputs).toEqual([row])
  expect(() => compiled.prepare([row], 0n, matrix)).toThrow(
    expect.objectContaining({
      details: expect.objectContaining({
        faults: [{ pointer: '/rows/0/origin', detail: 'is missing: expected the key of airport' }],
      }),
    }),
  )
})

test.each([
  [{ distance: 2 ** 31, date: '2001-01-01T00:00:00Z' }],
  [{ distance: 1.5, date: '2001-01-01T00:00:00Z' }],
  [{ distance: 1, date: '2001-01-01T00:00:00' }],
  [JSON.parse('{"distance":1,"date":"2001-01-01T00:00:00Z","__proto__":{"x":1}}') as unknown],
])('prepare() refuses %j', (row) => {
  expect(faultsOf([row])).toHaveLength(1)
})

/** What one input of a type gives a model that takes it in one column, or the faults. */
function filledBy(type: ServedInput['type'], value: unknown, datatype: Datatype, shape = [-1, 1]): unknown {
  const route = exampleRoute({
    inputs: { q: { type, nullable: false } as ServedInput },
    columns: [{ name: 'q', source: { from: 'input', input: 'q' } }],
  })
  const model = { inputs: [{ name: 'x', datatype, shape }], outputs: [], maxBatchSize: 8 }
  try {
    return compileRoute(route, undefined).prepare([{ q: value }], 0n, model).tensors[0]!.data[0]
  } catch (thrown) {
    const { code, details } = thrown as PlimsollError
    return [code, ...(details.faults ?? []).map(({ detail }) => detail)].join(': ')
  }
}

test.each([
  ['abc', "is abc, which the model's FP32 cannot hold"],
  ['', "is , which the model's FP32 cannot hold"],
  ['5', "is 5, which the model's FP32 cannot hold"],
])('prepare() refuses the text %j for a number', (text, detail) => {
  expect(filledBy('text', text, 'FP32')).toBe(`serving.no_value: ${detail}`)
  expect(filledBy('text', text, 'BYTES')).toBe(text)
})

test('prepare() refuses for BOOL what is neither 0 nor 1', () => {
  expect([filledBy('boolean', true, 'BOOL'), filledBy('int32', 0, 'BOOL')]).toEqual([1, 0])
  expect(filledBy('int32', 2, 'BOOL')).toBe("serving.no_value: is 2, which the model's BOOL cannot hold")
})

test.each([
  ['a\0b', 'is a text with the character U+0000'],
  ['a\ud800', 'is a text with a lone surrogate'],
])('prepare() refuses the text %j, which would not arrive whole', (text, detail) => {
  expect(filledBy('text', text, 'BYTES')).toBe(`serving.invalid_input: ${detail}`)
})

test('prepare() fills a matrix of any width with one column', () => {
  expect(filledBy('float64', 2.5, 'FP32', [-1, -1])).toBe(2.5)
})

test.each(['2001-02-30', '2001-04-31', '2001-13-01', '2001-04-01T10:00:00Z', '2001-04-01T00:00:00+02:00', 'then'])(
  'prepare() refuses the date %s',
  (text) => {
    const detail = `expected a day of the calendar, for example 2001-04-01, found "${text}"`
    expect(filledBy('date', text, 'FP64')).toBe(`serving.invalid_input: ${detail}`)
  },
)

test.each(['2001-04-01', '2001-04-01T00:00:00', '2001-04-01T00:00:00.000', '2001-04-01T00:00:00Z'])(
  'prepare() takes the date %s',
  (text) => expect(filledBy('date', text, 'FP64')).toBe(Date.UTC(2001, 3, 1)),
)

test('prepare() refuses what is no RFC 3339 time, and takes one in a leap year', () => {
  for (const text of ['2001-02-29T10:00:00Z', '2001-04-01 (noon) 10:00Z', '2001-04-01T10:00:00'])
    expect(filledBy('timestamp', text, 'FP64')).toMatch(/^serving.invalid_input: expected an RFC 3339/)
  expect(filledBy('timestamp', '2004-02-29T10:00:00+02:00', 'FP64')).toBe(Date.UTC(2004, 1, 29, 8))
})

test('compileRoute() refuses a column whose feature the service does not have', () => {
  const route = exampleRoute({ columns: [{ name: 'm', source: { from: 'feature', feature: 'origin__mean' } }] })
  expect(() => compileRoute(route, undefined)).toThrow(expect.objectContaining({ code: 'serving.unknown_feature' }))
  const lookup = { names: ['origin__mean'], lookup: () => ({ values: [4], statuses: ['PRESENT'] }) }
  const { tensors } = compileRoute(route, lookup).prepare([{ distance: 1, date: '2001-01-01T00:00:00Z' }], 0n, {
    ...matrix,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }],
  })
  expect(tensors[0]!.data).toEqual(new Float32Array([4]))
})

test('prepare() gives a version the columns that it states, in its order, and looks up only for those that need it', () => {
  let lookups = 0
  const lookup = {
    names: ['origin__mean'],
    lookup: () => {
      lookups++
      return { values: [4], statuses: ['PRESENT'] }
    },
  }
  const base = exampleRoute()
  const columns = [
    ...base.columns,
    { name: 'origin__mean', source: { from: 'feature' as const, feature: 'origin__mean' } },
  ]
  const compiled = compileRoute(exampleRoute({ columns }), lookup)
  const row = { distance: 100, date: '2001-04-01T04:30:00Z' }
  const filled = (stated: readonly string[]) =>
    compiled.prepare([row], 0n, { ...matrix, inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }] }, stated)
  expect(filled(['hour', 'distance']).tensors[0]!.data).toEqual(new Float32Array([23, 100]))
  expect(lookups).toBe(0)
  expect(filled(['origin__mean', 'distance']).tensors[0]!.data).toEqual(new Float32Array([4, 100]))
  expect(lookups).toBe(1)
  expect(() => filled(['speed', 'hour'])).toThrow(expect.objectContaining({ code: 'serving.columns_mismatch' }))
})

test('prepare() names the features that could not be had, and no count that is 0 of an unknown entity', () => {
  const column = (name: string) => ({ name, source: { from: 'feature' as const, feature: `origin__${name}` } })
  const route = exampleRoute({ columns: [column('mean'), column('share'), column('count')] })
  const names = ['origin__mean', 'origin__share', 'origin__count']
  const statuses = ['OUTSIDE_MAX_AGE', 'NULL_VALUE', 'NOT_FOUND']
  const lookup = { names, lookup: () => ({ values: [Number.NaN, Number.NaN, 0], statuses }) }
  const taken = ['mean', 'share', 'count']
  const model = {
    inputs: taken.map((name) => ({ name, datatype: 'FP32' as const, shape: [-1] })),
    outputs: [],
    maxBatchSize: 8,
  }
  const row = { distance: 1, date: '2001-01-01T00:00:00Z' }
  expect(compileRoute(route, lookup).prepare([row, row], 0n, model, taken).missing).toEqual([
    { row: 0, feature: 'origin__mean', status: 'OUTSIDE_MAX_AGE' },
    { row: 1, feature: 'origin__mean', status: 'OUTSIDE_MAX_AGE' },
  ])
})

test.each([
  ['INT64', '/rows/0/m has no value, and the model takes INT64, which cannot say so'],
  ['INT32', '/rows/0/m has no value, and the model takes INT32, which cannot say so'],
  ['BYTES', '/rows/0/m has no value, and the model takes BYTES, which cannot say so'],
] as const)('prepare() refuses a feature without a value for %s instead of making one up', (datatype, fault) => {
  const route = exampleRoute({ columns: [{ name: 'm', source: { from: 'feature', feature: 'origin__mean' } }] })
  const lookup = { names: ['origin__mean'], lookup: () => ({ values: [Number.NaN], statuses: ['NOT_FOUND'] }) }
  const model = { inputs: [{ name: 'm', datatype, shape: [-1] }], outputs: [], maxBatchSize: 8 }
  const prepare = () => compileRoute(route, lookup).prepare([{ distance: 1, date: '2001-01-01T00:00:00Z' }], 0n, model)
  expect(prepare).toThrow(
    expect.objectContaining({
      kind: 'invalid',
      code: 'serving.no_value',
      details: expect.objectContaining({
        faults: [{ pointer: fault.split(' ')[0], detail: fault.slice(fault.indexOf(' ') + 1) }],
      }),
    }),
  )
})

test.each([
  ['FP32', 1e300],
  ['FP16', 70_000],
  ['INT8', 300],
  ['UINT32', -1],
  ['INT64', 3.5],
] as const)('prepare() refuses what %s cannot hold instead of another value: %d', (datatype, value) => {
  const route = exampleRoute({ columns: [{ name: 'm', source: { from: 'feature', feature: 'origin__mean' } }] })
  const lookup = { names: ['origin__mean'], lookup: () => ({ values: [value], statuses: ['PRESENT'] }) }
  const model = { inputs: [{ name: 'm', datatype, shape: [-1] }], outputs: [], maxBatchSize: 8 }
  const prepare = () => compileRoute(route, lookup).prepare([{ distance: 1, date: '2001-01-01T00:00:00Z' }], 0n, model)
  expect(prepare).toThrow(
    expect.objectContaining({
      details: expect.objectContaining({
        faults: [{ pointer: '/rows/0/m', detail: `is ${value}, which the model's ${datatype} cannot hold` }],
      }),
    }),
  )
})

test('prepare() gives FP16 its half bits, and floats their NaN', () => {
  const route = exampleRoute({ columns: [{ name: 'm', source: { from: 'feature', feature: 'origin__mean' } }] })
  const filled = (datatype: 'FP16' | 'FP32', value: number) => {
    const lookup = { names: ['origin__mean'], lookup: () => ({ values: [value], statuses: ['PRESENT'] }) }
    const model = { inputs: [{ name: 'm', datatype, shape: [-1] }], outputs: [], maxBatchSize: 8 }
    return compileRoute(route, lookup).prepare([{ distance: 1, date: '2001-01-01T00:00:00Z' }], 0n, model).tensors[0]!
      .data[0]
  }
  expect([filled('FP16', 0.5), filled('FP16', -2)]).toEqual([0x3800, 0xc000])
  expect(filled('FP32', Number.NaN)).toBeNaN()
})

test.each([
  ['2001-04-01T06:59:00Z', 'America/New_York', 1],
  ['2001-04-01T07:00:00Z', 'America/New_York', 3],
  ['2001-10-28T05:30:00Z', 'America/New_York', 1],
  ['2001-10-28T06:30:00Z', 'America/New_York', 1],
  ['2001-06-15T00:00:00Z', 'Asia/Kolkata', 5],
])('localTimePart() of %s in %s is hour %i, summer time included', (at, zone, hour) => {
  expect(localTimePart(Date.parse(at), zone, 'hour')).toBe(hour)
})

test('localTimePart() counts Monday as 1 and knows days before 1970', () => {
  expect(localTimePart(Date.parse('2001-01-01T12:00:00Z'), 'UTC', 'day-of-week')).toBe(1)
  expect(localTimePart(Date.parse('1969-12-28T12:00:00Z'), 'UTC', 'day-of-week')).toBe(7)
  expect(localTimePart(Date.parse('1969-12-31T23:59:00Z'), 'UTC', 'minute-of-day')).toBe(1_439)
})
