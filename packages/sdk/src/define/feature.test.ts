import { expect, test } from 'vitest'
import { int64, text } from './dataset.ts'
import {
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  durationUs,
  featuresOf,
  last,
  max,
  mean,
  min,
  sourcesOf,
  std,
  sum,
} from './feature.ts'

test.each([
  ['1us', 1],
  ['250ms', 250_000],
  ['90s', 90_000_000],
  ['15m', 900_000_000],
  ['3h', 10_800_000_000],
  ['7d', 604_800_000_000],
  ['2w', 1_209_600_000_000],
])('durationUs() of %s is %i', (written, us) => {
  expect(durationUs(written)).toBe(us)
})

test.each(['', '3', 'h', '0h', '-1h', '1.5h', '3 h', '3H', '1y', '999999999999999w', '1e3s'])(
  'durationUs() refuses %j',
  (written) => {
    expect(() => durationUs(written)).toThrow(RangeError)
  },
)

test('aggregates name their function, column, window and type; last() takes a type or a column', () => {
  const windowUs = 10_800_000_000
  const of = (aggregate: { over(window: string): unknown }) => aggregate.over('3h')
  expect(of(count())).toEqual({ from: 'aggregate', function: 'count', windowUs, type: 'int64' })
  expect(of(count('delay'))).toEqual({ from: 'aggregate', function: 'count', column: 'delay', windowUs, type: 'int64' })
  for (const [name, made] of Object.entries({ sum, mean, min, max, std }))
    expect(of(made('delay'))).toEqual({ from: 'aggregate', function: name, column: 'delay', windowUs, type: 'float64' })
  expect(last('delay')).toEqual({ from: 'column', column: 'delay', type: 'float64' })
  expect(last('delay', 'int32')).toEqual({ from: 'column', column: 'delay', type: 'int32' })
  expect(last('delay', int64())).toEqual({ from: 'column', column: 'delay', type: 'int64' })
})

const airport = defineEntity({ name: 'airport', keys: { code: text(), region: 'int32' } })
const departures = defineFeatureView({
  name: 'departures',
  entity: airport,
  source: { name: 'flights' },
  keys: { code: 'origin' },
  eventTime: 'date',
  knownAt: 'landed_at',
  ttl: '1d',
  features: { newest: last('delay'), mean_3h: mean('delay').over('3h') },
})

test('definitions are plain canonical JSON, with names in place of what they name', () => {
  expect(JSON.parse(JSON.stringify(airport))).toEqual({
    kind: 'entity',
    name: 'airport',
    keys: [
      { name: 'code', type: 'text' },
      { name: 'region', type: 'int32' },
    ],
  })
  expect(JSON.parse(JSON.stringify(departures))).toEqual({
    kind: 'feature-view',
    name: 'departures',
    entity: 'airport',
    source: 'flights',
    keyColumns: { code: 'origin' },
    eventTime: 'date',
    knownAt: 'landed_at',
    ttlUs: 86_400_000_000,
    features: {
      newest: { from: 'column', column: 'delay', type: 'float64' },
      mean_3h: { from: 'aggregate', function: 'mean', column: 'delay', windowUs: 10_800_000_000, type: 'float64' },
    },
    online: true,
  })
  expect(
    defineFeatureView({
      name: 'bare',
      entity: 'airport',
      source: 'flights',
      eventTime: 'date',
      features: {},
      online: false,
    }),
  ).toMatchObject({ keyColumns: {}, ttlUs: null, online: false })
})

test('a service names its views; featuresOf() and sourcesOf() say what is behind it', () => {
  const board = defineFeatureService({
    name: 'board',
    views: [
      departures,
      { view: departures, as: 'destination', keys: { code: 'destination' }, features: ['newest'] },
      { view: 'departures', as: 'again' },
    ],
  })
  expect(board.views).toEqual([
    { view: 'departures', keys: {} },
    { view: 'departures', as: 'destination', keys: { code: 'destination' }, features: ['newest'] },
    { view: 'departures', as: 'again', keys: {} },
  ])
  expect(featuresOf(board)).toEqual([
    'departures__mean_3h',
    'departures__newest',
    'destination__newest',
    'again__mean_3h',
    'again__newest',
  ])
  expect(sourcesOf(board)).toEqual(['flights'])
  const unknown = defineFeatureService({ name: 'unknown', views: [{ view: 'elsewhere' }] })
  expect(() => sourcesOf(unknown)).toThrow('view "elsewhere" was not defined before')
})

test('definitions name what is wrong with them', () => {
  expect(() => defineEntity({ name: 'airport', keys: {} })).toThrow('Cannot define entity "airport"')
  expect(() => defineEntity({ name: 'airport', keys: { code: 'float64' } })).toThrow(TypeError)
  expect(() =>
    defineFeatureView({
      name: 'departures',
      entity: 'a',
      source: 'b',
      eventTime: 'date',
      features: { a__b: last('x') },
    }),
  ).toThrow('Cannot define feature view "departures"')
  expect(() => defineFeatureService({ name: 'board', views: [] })).toThrow('Cannot define feature service "board"')
})
