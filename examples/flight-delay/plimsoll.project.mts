import {
  datasetVersion,
  defineDataset,
  defineModel,
  definePipeline,
  defineProject,
  defineRoute,
  expectColumn,
  expectTable,
  int,
  int32,
  int64,
  latency,
  nonInferior,
  parquet,
  python,
  register,
  text,
  timestamp,
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
    origin: text(),
    destination: text(),
    distance: int32(),
    delay: int32(),
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

const code = { files: ['steps/*.py'], lock: 'steps/requirements.lock', resources: { cpu: 2, memory: '2Gi' } } as const

export const train = definePipeline({
  name: 'train',
  description: 'Two models on the plain features, judged on 1–14 April, the better one of them to be released',
  params: { sample: int(5), trees: int(100) },
  build: (p) => {
    const data = datasetVersion(flights)
    const baseline = python('steps/train.py', {
      key: 'baseline',
      ...code,
      params: { model: 'logistic', sample: p.param('sample') },
      inputs: { flights: data },
      outputs: { model: 'onnx', metrics: 'json' },
    })
    const trees = python('steps/train.py', {
      key: 'trees',
      ...code,
      params: { model: 'trees', sample: p.param('sample'), trees: p.param('trees') },
      inputs: { flights: data },
      outputs: { model: 'onnx', metrics: 'json' },
    })
    register({ key: 'register-baseline', model: delayModel, from: baseline, description: 'logistic regression' })
    register({ key: 'register-trees', model: delayModel, from: trees, description: 'gradient-boosted trees' })
  },
})

export const delayRoute = defineRoute({
  name: 'flight-delay',
  model: delayModel,
  slo: '50ms',
  inputs: { hour: int32(), day_of_week: int32(), distance: int64() },
})
