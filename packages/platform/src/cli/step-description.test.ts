import { type RunView, type StepDetail, stepDetail } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { describeRun } from './run-follow.ts'
import { describeStep } from './step-description.ts'

const digest = (digit: string) => `sha256:${digit.repeat(64)}`
const DEFINITION = { key: 'fit', kind: 'python', params: { script: 'fit.py', trees: { $param: 'trees' } } }

const stepOf = (change: object = {}): StepDetail =>
  stepDetail.parse({
    key: 'fit',
    kind: 'python',
    state: 'succeeded',
    reason: null,
    needs: [],
    attempts: 1,
    cache: null,
    outputs: [{ name: 'model', type: 'onnx', digest: digest('2'), sizeBytes: 7 }],
    progress: null,
    trackedRun: null,
    startedAt: '2026-01-02T03:04:05.000Z',
    finishedAt: '2026-01-02T03:04:07.500Z',
    definition: DEFINITION,
    params: { script: 'fit.py', trees: 200 },
    spec: null,
    inputs: [{ name: 'rows', type: 'dataset', digest: digest('1'), sizeBytes: 9 }],
    result: null,
    tries: [],
    ...change,
  })
const runOf = (step: StepDetail): RunView => ({
  id: 'run_1',
  pipeline: 'train',
  pipelineDigest: digest('0'),
  state: 'failed',
  reason: null,
  actor: 'ada',
  createdAt: '2026-01-02T03:04:05.000Z',
  startedAt: null,
  finishedAt: null,
  steps: { total: 1, done: 0, cached: 0, failed: 1, running: 0 },
  params: {},
  graph: [step],
})
const verdict = (change: object) => ({ hit: false, reason: 'first-run', key: null, source: null, diff: [], ...change })

test('describeStep() says when a step ran, why, with what, and what came of it', () => {
  const diff = [
    { part: 'code', name: 'fit.py', old: digest('3'), new: digest('4') },
    { part: 'param', name: 'trees', old: '100', new: '200' },
    { part: 'env', name: 'making of model', old: 'a', new: 'b' },
    { part: 'env', name: 'lock', old: 'a', new: 'b' },
  ]
  const attempt = { fence: '1', number: 1, state: 'failed', exitCode: 1, signal: null, failureClass: 'exit' }
  const times = { startedAt: '2026-01-02T03:04:05.000Z', finishedAt: '2026-01-02T03:04:06.000Z' }
  const tries = [
    { ...attempt, ...times, message: 'first\nno memory\u001b[2J\n    at fit (a.mjs:1:1)', logBytes: null, usage: null },
  ]
  expect(describeStep(stepOf({ cache: verdict({ reason: 'code-changed', diff }), tries }))).toEqual([
    'fit (python) succeeded',
    '  time   2026-01-02T03:04:05.000Z – 2026-01-02T03:04:07.500Z  2.5 s',
    '  cache  code-changed',
    '         code fit.py: sha256:333333333333… → sha256:444444444444…',
    '         param trees: 100 → 200',
    '         how its input model was made: a → b',
    '         the lock: a → b',
    '  script "fit.py"',
    '  param  trees  200',
    `  in     rows  dataset  ${digest('1')}`,
    `  out    model  onnx  ${digest('2')}  7 bytes`,
    '  try 1  failed  2026-01-02T03:04:05.000Z – 2026-01-02T03:04:06.000Z  no memory\\u001b[2J',
  ])
})

test('describeStep() names what a step is the same as, and bounds what it lists', () => {
  const source = { run: 'run_1', step: 'fit' }
  expect(describeStep(stepOf({ cache: verdict({ hit: true, reason: 'hit', source }) }))[2]).toBe(
    '  cache  hit, same as run_1/fit',
  )
  const diff = Array.from({ length: 12 }, (_, index) => ({ part: 'code', name: `f${index}`, old: null, new: 'x' }))
  const lines = describeStep(stepOf({ cache: verdict({ reason: 'code-changed', diff }) }))
  expect(lines.filter((line) => line.includes('nothing → x'))).toHaveLength(10)
  expect(lines).toContain('         and 2 more')
  expect(describeStep(stepOf({ startedAt: null, cache: verdict({ reason: 'disabled' }) }))[1]).toBe(
    '  cache  disabled: its kind, its definition or the run is without the cache',
  )
  // Also one that failed before: it ran, and left nothing.
  expect(describeStep(stepOf({ startedAt: null, cache: verdict({}) }))[1]).toBe(
    '  cache  first-run: the cache has nothing of it',
  )
})

test('describeStep() cuts long values so that their first difference is seen', () => {
  const changed = (old: string, now: string) => {
    const diff = [{ part: 'param', name: 'p', old, new: now }]
    return describeStep(stepOf({ cache: verdict({ reason: 'param-changed', diff }) })).find((line) =>
      line.includes('→'),
    )
  }
  const [a, b] = ['a'.repeat(150), 'b'.repeat(200)]
  expect(changed(`${a}x${b}`, `${a}y`)).toBe(
    `         param p: …${'a'.repeat(40)}x${'b'.repeat(59)}… → …${'a'.repeat(40)}y`,
  )
  expect(changed(a, `${a}y`)).toBe(`         param p: …${'a'.repeat(40)} → …${'a'.repeat(40)}y`)
  expect(changed(`x${a}`, `y${a}`)).toBe(`         param p: x${'a'.repeat(99)}… → y${'a'.repeat(99)}…`)
})

test.each([
  ['blocked', null, false],
  ['upstream_failed', null, false],
  ['not_run', null, false],
  ['cancelled', null, false],
  ['cancelled', '2026-01-02T03:04:05.000Z', true],
  ['ready', null, true],
  ['failed', '2026-01-02T03:04:05.000Z', true],
])('describeStep() and describeRun() say of a step that is %s since %s why it ran: %s', (state, startedAt, isTold) => {
  const step = stepOf({ state, startedAt, finishedAt: null, cache: verdict({ reason: 'code-changed' }) })
  expect(describeStep(step).some((line) => line.includes('code-changed'))).toBe(isTold)
  expect(describeRun(runOf(step)).some((line) => line.includes('code-changed'))).toBe(isTold)
})

test('describeStep() and describeRun() tell how far a running step is, and the secrets that a step has', () => {
  const progress = { fraction: 0.456, message: 'epoch 3' }
  const secrets = { PASSWORD: 'warehouse' }
  const step = stepOf({ state: 'running', finishedAt: null, progress, definition: { ...DEFINITION, secrets } })
  expect(describeStep(step)).toEqual(expect.arrayContaining(['  at     45 % epoch 3', '  secret PASSWORD  warehouse']))
  expect(describeRun(runOf(step))).toContain('  ▸  fit   running        45 % epoch 3')
})

test('describeRun() says of a step whose turn never came that it was not run, and names only a log that there is', () => {
  const step = stepOf({ state: 'upstream_failed', startedAt: null, finishedAt: null })
  expect(describeRun(runOf(step))).toContain('  ·  fit   not run        a step that it needs failed')
  const failed = runOf(stepOf({ state: 'failed' }))
  expect(describeRun(failed).some((line) => line.includes('Its log'))).toBe(false)
  expect(describeRun(failed, ' --project p', 'fit')).toContain('  Its log: plimsoll logs run_1 fit --project p')
})

test('describeRun() and describeStep() name the version of a model that a step has made', () => {
  const step = stepOf({ made: { type: 'model', name: 'echo', version: 2 } })
  expect(describeRun(runOf(step))).toContain('  fit: model echo/2')
  expect(describeStep(step)).toContain('  made   model echo/2')
  const data = stepOf({ made: { type: 'dataset', name: 'rows', version: 7 } })
  expect(describeStep(data)).toContain('  made   dataset rows/7')
})

test('describeRun() tells once what kept its steps from running', () => {
  const reason = 'Cannot start step fit: trips failed its expectations'
  const lines = describeRun({ ...runOf(stepOf({ state: 'not_run', reason })), reason })
  expect(lines.filter((line) => line.includes(reason))).toEqual([`  ${reason}`])
})

test('describeStep() tells the reason of a failed step line by line', () => {
  const reason = 'The step ended with exit code 1:\nTraceback\n  File "fit.py"\u001b[2J'
  expect(describeStep(stepOf({ state: 'failed', reason })).slice(0, 4)).toEqual([
    'fit (python) failed',
    '      The step ended with exit code 1:',
    '      Traceback',
    '        File "fit.py"\\u001b[2J',
  ])
})
