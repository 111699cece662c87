import {
  count,
  datasetVersion,
  defineDataset,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineModel,
  definePipeline,
  defineProject,
  defineRoute,
  entity,
  expectColumn,
  expectTable,
  int,
  int32,
  int64,
  latency,
  materialize,
  mean,
  nonInferior,
  parquet,
  python,
  register,
  string,
  text,
  timestamp,
  trainingSet,
} from '@plimsoll/sdk'

export const project = defineProject({ name: 'flight-delay' })

export const flights = defineDataset({
  name: 'flights',
  description: 'US flights by month, January to June 2001: a random sample of those that were not cancelled',
  owner: 'flight-operations@example.org',
  source: parquet('data/flights-2001-*.parquet'),
  schema: {
    flight_id: text(),
    date: timestamp({ zone: 'UTC' }),
    landed_at: timestamp({ zone: 'UTC' }),
    reported_at: timestamp({ zone: 'UTC' }),
    origin: text(),
    destination: text(),
    distance: int32(),
    delay: int32(),
    delay_clipped: int32(),
    hour: int32(),
    day_of_week: int32(),
    late: int32(),
  },
  expectations: [
    expectTable().rowCountBetween(100_000, 5_000_000),
    expectColumn('origin').matches('^[A-Z0-9]{3}$'),
    expectColumn('destination').matches('^[A-Z0-9]{3}$'),
    expectColumn('delay').between(-120, 2_000).mostly(0.999),
    expectColumn('distance').between(1, 6_000),
    expectColumn('hour').between(0, 23),
  ],
})

export const labels = defineDataset({
  name: 'labels',
  description:
    'The flights that models learn from (one in five, 8 January – 31 March) and are judged on (1 – 14 April)',
  owner: 'flight-operations@example.org',
  source: parquet('data/labels.parquet'),
  schema: {
    flight_id: text(),
    date: timestamp({ zone: 'UTC' }),
    origin: text(),
    destination: text(),
    distance: int32(),
    hour: int32(),
    day_of_week: int32(),
    late: int32(),
    split: text(),
  },
  expectations: [expectTable().rowCountBetween(100_000, 2_000_000), expectColumn('late').between(0, 1)],
})

export const airport = defineEntity({ name: 'airport', keys: { airport: text() } })
export const connection = defineEntity({ name: 'connection', keys: { origin: text(), destination: text() } })

/** Delays of flights that had landed, by the airport that they had left: known 40 + distance / 8 minutes after departure. */
export const originDelays = defineFeatureView({
  name: 'origin_delays',
  entity: airport,
  source: flights,
  keys: { airport: 'origin' },
  eventTime: 'date',
  knownAt: 'landed_at',
  features: {
    mean_delay_1h: mean('delay_clipped').over('1h'),
    late_share_1h: mean('late').over('1h'),
    n_1h: count().over('1h'),
    mean_delay_3h: mean('delay_clipped').over('3h'),
    late_share_3h: mean('late').over('3h'),
    n_3h: count().over('3h'),
  },
})

export const departures = defineFeatureView({
  name: 'departures',
  entity: airport,
  source: flights,
  keys: { airport: 'origin' },
  eventTime: 'date',
  knownAt: 'reported_at',
  features: { n_1h: count().over('1h') },
})

export const routeDelays = defineFeatureView({
  name: 'route_delays',
  entity: connection,
  source: flights,
  eventTime: 'date',
  knownAt: 'landed_at',
  features: {
    mean_delay_24h: mean('delay_clipped').over('24h'),
    late_share_24h: mean('late').over('24h'),
    n_24h: count().over('24h'),
    mean_delay_7d: mean('delay_clipped').over('7d'),
    late_share_7d: mean('late').over('7d'),
    n_7d: count().over('7d'),
  },
})

export const arrivals = defineFeatureView({
  name: 'arrivals',
  entity: airport,
  source: flights,
  keys: { airport: 'destination' },
  eventTime: 'date',
  knownAt: 'landed_at',
  features: {
    mean_delay_1h: mean('delay_clipped').over('1h'),
    late_share_1h: mean('late').over('1h'),
    n_1h: count().over('1h'),
    mean_delay_3h: mean('delay_clipped').over('3h'),
    late_share_3h: mean('late').over('3h'),
  },
})

/** What is known at a departure: of its origin, its connection, and what has landed at either end. */
export const atDeparture = defineFeatureService({
  name: 'at-departure',
  views: [
    { view: originDelays, keys: { airport: 'origin' } },
    { view: departures, keys: { airport: 'origin' } },
    routeDelays,
    {
      view: arrivals,
      as: 'arrivals_at_destination',
      keys: { airport: 'destination' },
      features: ['mean_delay_1h', 'late_share_1h', 'mean_delay_3h', 'late_share_3h'],
    },
    { view: arrivals, as: 'arrivals_at_origin', keys: { airport: 'origin' } },
  ],
})

export const delayModel = defineModel({
  name: 'flight-delay',
  description: 'Probability that a flight arrives more than 15 minutes late',
  owner: 'flight-operations@example.org',
  intent: {
    intendedUse: 'Rank departures of the day by their risk of arriving late',
    limitations: 'Trained on January to March 2001; it knows the schedule, not the weather',
    outOfScope: 'Compensation, staffing of single crews, other years',
    licence: 'Apache-2.0',
    riskClass: 'minimal',
  },
  gates: [nonInferior('auc', { to: 'champion', margin: 0.002 }), latency('p99', '<=', '5ms')],
  approvals: { production: 1 },
})

/** What each training step imports beside its own script: a changed script concerns its own step only. */
const code = {
  files: ['steps/evaluation.py'],
  lock: 'steps/requirements.lock',
  resources: { cpu: 2, memory: '2Gi' },
} as const

export const train = definePipeline({
  name: 'train',
  description: 'Two models, judged on 1–14 April, and what a careless join would have claimed',
  params: { trees: int(100) },
  build: (p) => {
    const history = datasetVersion(flights)
    const spine = datasetVersion(labels)
    const set = trainingSet({
      key: 'training-set',
      service: atDeparture,
      spine,
      time: 'date',
      sources: { flights: history },
      resources: { cpu: 2, memory: '3Gi' },
    })
    python('steps/leak.py', { key: 'leak', ...code, inputs: { flights: history, set }, outputs: { leak: 'json' } })
    const baseline = python('steps/train_baseline.py', {
      key: 'baseline',
      ...code,
      params: { c: 1 },
      inputs: { set: spine },
      outputs: { model: 'onnx', metrics: 'json' },
    })
    const trees = python('steps/train_trees.py', {
      key: 'trees',
      ...code,
      params: { trees: p.param('trees') },
      inputs: { set },
      outputs: { model: 'onnx', metrics: 'json' },
    })
    register({ key: 'register-baseline', model: delayModel, from: baseline, description: 'logistic regression' })
    register({ key: 'register-trees', model: delayModel, from: trees, description: 'gradient-boosted trees' })
  },
})

/**
 * The flights of a replay are all there, and its clock may run an hour a second: what is filled for twelve days lasts nearly
 * five minutes then. Each instant from a day before now on is answered as it was known then.
 */
export const refresh = definePipeline({
  name: 'refresh',
  description: 'Brings the online store to what is known twelve days ahead of the clock of the replay',
  params: { until: string('now+12d') },
  build: (p) => {
    materialize({ key: 'materialize', service: atDeparture, until: p.param('until'), slack: '13d' })
  },
})

export const delayRoute = defineRoute({
  name: 'flight-delay',
  model: delayModel,
  slo: '50ms',
  inputs: {
    hour: int32(),
    day_of_week: int32(),
    distance: int64(),
    origin: entity(airport),
    destination: entity(airport),
  },
  features: atDeparture,
})
