import { expect, test } from 'vitest'
import type { Evidence } from './evidence.fixture.ts'
import type { Sailed } from './sail.fixture.ts'
import { isClose } from './traffic.fixture.ts'
import { digestsOf, NONE, violations } from './violations.fixture.ts'

const EVIDENCE: Evidence = {
  runs: new Map([['run_1', { state: 'succeeded', key: 'train-0', pipeline: 'train' }]]),
  steps: [
    {
      run: 'run_1',
      key: 'fit',
      kind: 'python',
      state: 'succeeded',
      outputs: { model: 'sha256:a' },
      attempts: ['lost', 'succeeded'],
    },
  ],
  versions: [{ name: 'm/1', artifact: 'sha256:a', run: 'run_1', step: 'fit' }],
  metrics: {},
  approvals: new Set(['m/1']),
  releases: [{ id: 'rel_1', epoch: 1 }],
  assigned: 'rel_1',
  predictions: ['p1', 'p2'],
  counted: 2,
  labels: new Map([['p1', { label: 1, isJoined: true }]]),
  metricSteps: [0, 1],
  blobs: new Set(['sha256:b']),
}

/** What a calm voyage leaves, with one thing of the evidence changed. */
function sailed(changed: Partial<Evidence>): Sailed {
  return {
    evidence: { ...EVIDENCE, ...changed },
    voyage: {
      runs: new Map([['train-0', 'run_1']]),
      approvals: new Set(['m/1']),
      releases: ['rel_1'],
    } as unknown as Sailed['voyage'], // what violations() reads of it
    acknowledged: {
      predictions: new Map([['p1', 'sha256:a']]),
      labels: new Map([['p1', 1]]),
      blobs: new Set(['sha256:b']),
      metricSteps: new Set([0, 1]),
      trackedRun: 'r',
    },
    kills: [],
    problems: { dishonest: [], wrong: [], failedStarts: [], explained: [], audit: [], stopped: [] },
  }
}

const step = EVIDENCE.steps[0]!

test('isClose() lets pass what batching does to floats, and nothing else', () => {
  const said = [{ label: 0, probabilities: [0.87038719, 0.12961281] }]
  expect(isClose(said, [{ label: 0, probabilities: [0.87038731, 0.12961271] }])).toBe(true)
  expect(isClose(said, [{ label: 0, probabilities: [0.8705, 0.1295] }])).toBe(false)
  expect(isClose(said, [{ label: 1, probabilities: [0.87038719, 0.12961281] }])).toBe(false)
  expect(isClose(said, [])).toBe(false)
  expect(isClose(null, 0)).toBe(false)
})

test('violations() finds nothing where nothing is wrong', () => {
  expect(violations(sailed({}))).toEqual(NONE)
})

test.each<[string, Partial<Evidence>, string]>([
  ['a prediction that never arrived', { predictions: ['p2'], counted: 1 }, 'lost'],
  ['a prediction that arrived twice', { predictions: ['p1', 'p1'] }, 'recordedTwice'],
  ['a prediction that was counted twice', { counted: 3 }, 'countedWrong'],
  ['a label that was not joined', { labels: new Map([['p1', { label: 1, isJoined: false }]]) }, 'lost'],
  ['a lost blob', { blobs: new Set() }, 'lost'],
  ['a lost metric', { metricSteps: [0] }, 'lost'],
  ['a metric of a batch that was taken twice', { metricSteps: [0, 1, 1] }, 'metricTwice'],
  ['a lost run', { runs: new Map() }, 'lost'],
  [
    'a run that never ended',
    { runs: new Map([['run_1', { state: 'running', key: 'train-0', pipeline: 'train' }]]) },
    'runsOpen',
  ],
  ['two adopted attempts', { steps: [{ ...step, attempts: ['succeeded', 'succeeded'] }] }, 'adoptedTwice'],
  ['an attempt that nobody ended', { steps: [{ ...step, attempts: ['running', 'succeeded'] }] }, 'adoptedTwice'],
  ['a lost approval', { approvals: new Set() }, 'lost'],
  ['a lost release', { releases: [], assigned: undefined }, 'lost'],
  ['another release that serves', { assigned: 'rel_0' }, 'serves'],
  ['a step that registered twice', { versions: [...EVIDENCE.versions, ...EVIDENCE.versions] }, 'registeredTwice'],
])('violations() names %s', (_name, changed, rule) => {
  const found = violations(sailed(changed)) as Record<string, unknown>
  expect(found[rule]).not.toEqual((NONE as Record<string, unknown>)[rule])
})

test('digestsOf() tells two runs of one step apart that differ', () => {
  const other = { ...step, outputs: { model: 'sha256:b' } }
  expect(digestsOf({ ...EVIDENCE, steps: [step, other] })['train/fit']).toHaveLength(2)
})
