import { expect, test } from 'vitest'
import { mustNameOrigin, mustReach, mustReplay, mustTellDamage, mustTrack } from '../../scripts/demo/musts.mjs'

const COMMIT = 'a'.repeat(40)
const FLIGHTS = 20_000

/** What a platform answers to a demo in which everything is as it must be. */
function sound() {
  const failing = (column: string, example: unknown) => ({
    success: false,
    expectation_config: { type: 'expect', kwargs: { column } },
    result: { unexpected_count: 7, partial_unexpected_list: [example] } as Record<string, unknown>,
  })
  return {
    damaged: { verdict: 'failed', expectations: { failed: 2 } },
    results: [
      { success: true, expectation_config: { type: 'expect', kwargs: { column: 'hour' } }, result: {} },
      failing('origin', 'jfk'),
      failing('delay', 9999),
    ],
    version: {
      bound: { code: { commit: COMMIT } as { commit: string | null } | null, data: [{}], metrics: { auc: 0.75 } },
    },
    run: {
      data: { metrics: [{ key: 'auc', value: 0.75 }], params: [{}] },
      outputs: { model_outputs: [{}] },
    },
    files: [{ path: 'metrics.json' }],
    found: {
      requests: FLIGHTS,
      failures: 0,
      failuresByName: {} as Record<string, number>,
      labelled: FLIGHTS,
      parity: { values: 100, differing: 0 },
      tookMs: { p50: 5, p95: 10, p99: 20 },
      waitedMs: { p50: 0, p95: 1, p99: 2 },
      lagMinutes: { p50: 60, p95: 200, p99: 300 },
      cpuUsPerPrediction: 400 as number | null,
    },
    chain: {
      isIntact: true,
      links: [
        ['training-data', 'at-departure-training/1', 'verified'],
        ['source-data', 'flights/5', 'verified'],
        ['source-data', 'labels/1', 'verified'],
        ['commit', COMMIT, 'recorded'],
      ].map(([kind, name, check]) => ({ kind: kind!, name: name!, check: check! })),
    },
  }
}

type Demo = ReturnType<typeof sound>

function mustAll({ damaged, results, version, run, files, found, chain }: Demo): void {
  mustTellDamage(damaged, results)
  mustNameOrigin(version, COMMIT)
  mustTrack(run, files, version)
  mustReplay(found, FLIGHTS, true)
  mustReach(chain, COMMIT)
}

test('the demo is content with what is as it must be', () => {
  const demo = sound()
  expect(() => mustAll(demo)).not.toThrow()
  expect(mustTellDamage(demo.damaged, demo.results)).toEqual(demo.results.slice(1))
  expect(mustTrack(demo.run, demo.files, demo.version)).toBe('1 params, 1 metrics, an artifact and the model')
  demo.found.cpuUsPerPrediction = null
  expect(() => mustReplay(demo.found, FLIGHTS, false), 'where no system tells processor time').not.toThrow()
})

const without = (demo: Demo, kind: string, name: string) => {
  demo.chain.links = demo.chain.links.filter((link) => link.kind !== kind || link.name !== name)
}

test.each<[what: string, breakIt: (demo: Demo) => void, says: string]>([
  ['a damaged month that passes', (demo) => (demo.damaged.verdict = 'passed'), 'the damaged month fails'],
  ['no result of the damaged month', (demo) => (demo.results = []), 'the damaged month fails'],
  ['a failure that is not told', (demo) => (demo.damaged.expectations.failed = 3), 'each of 3 that failed is told (2)'],
  [
    'a column that fails and was not damaged',
    (demo) => (demo.results[1]!.expectation_config.kwargs.column = 'hour'),
    'what was damaged is what fails (delay, hour)',
  ],
  ['a failure without a count', (demo) => (demo.results[1]!.result = {}), 'the rows in which origin fails are counted'],
  [
    'a failure of no row',
    (demo) => (demo.results[2]!.result['unexpected_count'] = 0),
    'in which delay fails are counted',
  ],
  [
    'a failure without an example',
    (demo) => (demo.results[2]!.result['partial_unexpected_list'] = []),
    'some of the rows in which delay fails are shown',
  ],
  ['a passport without a commit', (demo) => (demo.version.bound.code = null), 'the passport names the commit'],
  [
    'a passport of another commit',
    (demo) => (demo.version.bound.code = { commit: 'b'.repeat(40) }),
    'the passport names the commit',
  ],
  ['a passport without data', (demo) => (demo.version.bound.data = []), 'the passport names the data'],
  ['another metric', (demo) => (demo.run.data.metrics[0]!.value = 0.5), 'mlflow logged the AUC'],
  ['a run without params', (demo) => (demo.run.data.params = []), 'mlflow logged the params'],
  ['a run without an artifact', (demo) => (demo.files = []), 'mlflow logged the metrics as an artifact'],
  ['a run without its model', (demo) => (demo.run.outputs.model_outputs = []), 'mlflow logged the model'],
  [
    'a prediction that failed',
    ({ found }) => Object.assign(found, { failures: 1, failuresByName: { '503': 1 } }),
    'all of 20000 are answered (1 failed: 1 × 503)',
  ],
  ['too few flights', ({ found }) => (found.requests = 10), 'all of 20000 are answered'],
  ['a feature that differs', ({ found }) => (found.parity.differing = 1), 'online equals offline (1 of 100 differ)'],
  ['no feature compared', ({ found }) => (found.parity.values = 0), 'online equals offline'],
  ['a flight without a label', ({ found }) => (found.labelled = FLIGHTS - 1), 'gets its label (19999 did)'],
  ['latencies that are none', ({ found }) => (found.tookMs.p95 = Number.NaN), 'latencies are measured'],
  ['waiting that is none', ({ found }) => (found.waitedMs.p50 = Number.NaN), 'waiting is measured'],
  [
    'features of an hour later',
    ({ found }) => (found.lagMinutes.p50 = 61),
    'at most 60 minutes of the replay after it (61.0)',
  ],
  ['features of nobody knows when', ({ found }) => (found.lagMinutes.p50 = Number.NaN), 'asked at their departure'],
  [
    'processor time that is not measured',
    ({ found }) => (found.cpuUsPerPrediction = null),
    'processor time is measured',
  ],
  ['processor time of no process', ({ found }) => (found.cpuUsPerPrediction = 0), 'processor time is measured'],
  ['a broken chain', ({ chain }) => (chain.isIntact = false), 'the chain is intact'],
  ['a chain without a commit', (demo) => without(demo, 'commit', COMMIT), 'the chain leads to the commit'],
  ['a chain to another commit', ({ chain }) => (chain.links[3]!.name = 'unknown'), 'the chain leads to the commit'],
  [
    'a chain without the training data',
    (demo) => without(demo, 'training-data', 'at-departure-training/1'),
    'leads to a version of the training-data at-departure-training',
  ],
  [
    'a chain without a source',
    (demo) => without(demo, 'source-data', 'flights/5'),
    'leads to a version of the source-data flights',
  ],
  [
    'data whose bytes nobody looked at',
    ({ chain }) => (chain.links[2]!.check = 'recorded'),
    'leads to a version of the source-data labels, and its bytes are verified',
  ],
])('the demo ends at %s', (_what, breakIt, says) => {
  const demo = sound()
  breakIt(demo)
  expect(() => mustAll(demo)).toThrow('this must hold and does not: ')
  expect(() => mustAll(demo)).toThrow(says)
})
