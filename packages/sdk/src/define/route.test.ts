import { expect, test } from 'vitest'
import { int32, text, timestamp } from './dataset.ts'
import { defineFeatureService, defineFeatureView, last } from './feature.ts'
import { defineModel, latency, nonInferior, parity, slices } from './model.ts'
import { canary, defineRoute, entity, fromFeature, fromInput, fromTime } from './route.ts'

const view = defineFeatureView({
  name: 'departures',
  entity: 'airport',
  source: 'flights',
  eventTime: 'date',
  features: { newest: last('delay') },
})
const board = defineFeatureService({ name: 'board', views: [{ view, as: 'origin' }] })
const inputs = { origin: entity({ name: 'airport' }, 'code'), distance: int32(), date: timestamp({ zone: 'UTC' }) }

test('defineRoute() takes inputs that are no key, then the features of its service, unless columns are named', () => {
  const route = defineRoute({ name: 'delay', model: { name: 'delay' }, slo: '2s', inputs, features: board })
  expect(JSON.parse(JSON.stringify(route))).toEqual({
    kind: 'route',
    name: 'delay',
    environment: 'production',
    model: 'delay',
    sloMs: 2_000,
    inputs: {
      origin: { entity: 'airport', key: 'code' },
      distance: { type: 'int32', nullable: false },
      date: { type: 'timestamp', zone: 'UTC', nullable: false },
    },
    features: 'board',
    columns: [
      { name: 'distance', source: { from: 'input', input: 'distance' } },
      { name: 'date', source: { from: 'input', input: 'date' } },
      { name: 'origin__newest', source: { from: 'feature', feature: 'origin__newest' } },
    ],
  })
  const named = defineRoute({
    name: 'delay',
    environment: 'staging',
    model: 'delay',
    inputs: { ...inputs, zone: text() },
    features: 'board',
    columns: {
      d: fromInput('distance'),
      f: fromFeature('origin__newest'),
      hour: fromTime('date', 'hour', { zone: 'America/New_York' }),
      day: fromTime('date', 'day-of-week', { zoneOf: 'zone' }),
      minute: fromTime('date', 'minute-of-day'),
    },
    rollout: canary({ steps: [1, 10, 100] }),
  })
  expect(named).toMatchObject({
    environment: 'staging',
    features: 'board',
    sloMs: 50,
    rollout: { type: 'canary', steps: [1, 10, 100] },
  })
  expect(named.columns.map(({ name, source }) => [name, source.from])).toEqual([
    ['d', 'input'],
    ['f', 'feature'],
    ['hour', 'time'],
    ['day', 'time'],
    ['minute', 'time'],
  ])
  expect(named.columns[2]!.source).toEqual({ from: 'time', input: 'date', part: 'hour', zone: 'America/New_York' })
})

test('defineRoute() without columns needs the service itself for its features', () => {
  expect(defineRoute({ name: 'delay', model: 'delay', inputs: {}, features: 'board' }).columns).toEqual([])
  expect(entity({ name: 'airport' })).toEqual({ entity: 'airport' })
})

test.each(['50', 'ms', '1.5s', '50 ms', '1m', '-5ms'])('defineRoute() refuses the SLO %j', (slo) => {
  expect(() => defineRoute({ name: 'delay', model: 'delay', inputs: {}, slo })).toThrow(
    `Cannot read the SLO "${slo}": expected for example 50ms or 2s`,
  )
})

test('defineModel() holds gates, approvals and intent; production needs one approval unless told otherwise', () => {
  const model = defineModel({
    name: 'delay',
    owner: 'ops',
    gates: [
      nonInferior('auc', { to: 'champion', margin: 0.002 }),
      slices({ protected: ['hour'], watch: ['origin'] }),
      slices({ protected: [] }),
      latency('p99', '<=', '5ms'),
      parity('>=', 0.9999),
    ],
    intent: { intendedUse: 'tells late flights' },
  })
  expect(JSON.parse(JSON.stringify(model))).toEqual({
    kind: 'model',
    name: 'delay',
    owner: 'ops',
    approvals: { production: 1 },
    intent: { intendedUse: 'tells late flights' },
    gates: [
      { type: 'non-inferior', kwargs: { metric: 'auc', to: 'champion', margin: 0.002 } },
      { type: 'slices', kwargs: { protected: ['hour'], watch: ['origin'] } },
      { type: 'slices', kwargs: { protected: [], watch: [] } },
      { type: 'latency', kwargs: { percentile: 'p99', operator: '<=', limit: '5ms' } },
      { type: 'parity', kwargs: { operator: '>=', share: 0.9999 } },
    ],
  })
  expect(defineModel({ name: 'delay', approvals: { staging: 2 } }).approvals).toEqual({ staging: 2 })
  expect(() => defineModel({ name: 'Delay' })).toThrow()
  expect(() => defineModel({ name: 'delay', approvals: { production: 11 } })).toThrow()
})
