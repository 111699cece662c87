import { type Expectation, type HostileCase, json, POLLUTION, rawJson } from './case.ts'

const INVALID: Expectation = { status: 400, code: 'http.invalid_request' }
const REFUSED: Expectation = { status: [400, 409, 412, 501] }
const DIGEST = `sha256:${'1'.repeat(64)}`

type Content = Record<string, unknown>

const BAD_NAMES = [
  '',
  'A',
  '../x',
  'a b',
  'x'.repeat(64),
  '__proto__',
  'a/b',
  'é',
  5,
  null,
  ['a'],
  '-rf',
  'a\u0000',
  'a\ud800',
]
const model = (more: object = {}) => ({ kind: 'model', name: 'other', ...more })
const dataset = (more: object = {}) => ({
  kind: 'dataset',
  name: 'other',
  source: { format: 'csv', path: 'x.csv' },
  schema: { x: { type: 'int64' } },
  ...more,
})
const route = (more: object = {}) => ({
  kind: 'route',
  name: 'other',
  model: 'numbers',
  inputs: { x: { type: 'float64' } },
  columns: [{ name: 'x', source: { from: 'input', input: 'x' } }],
  ...more,
})
const step = (more: object = {}) => ({ key: 'a', kind: 'command', params: { argv: ['true'] }, ...more })
const pipeline = (...steps: object[]) => ({ kind: 'pipeline', name: 'other', steps })

/** Definitions that no schema takes, and such that fit it but cannot be meant. */
const BAD_DEFINITIONS: readonly (readonly [name: string, definition: unknown, expect?: Expectation])[] = [
  ...[
    null,
    5,
    'x',
    [],
    {},
    { kind: 'nothing', name: 'a' },
    { kind: '__proto__', name: 'a' },
    { kind: ['model'], name: 'a' },
  ].map((value) => [JSON.stringify(value), value] as const),
  ...BAD_NAMES.map((name) => [`a model called ${String(JSON.stringify(name)).slice(0, 20)}`, model({ name })] as const),
  ['an unknown member', model({ zz: 1 })],
  ['a description of 1 MB', model({ description: 'x'.repeat(1 << 20) })],
  ['1,000 approvals', model({ approvals: { production: 1_000 } })],
  ['approvals of ../x', model({ approvals: { '../x': 1 } })],
  ['101 gates', model({ gates: Array.from({ length: 101 }, () => ({ type: 'a' })) })],
  ['a dataset of no columns', dataset({ schema: {} })],
  [
    'a dataset of 2,001 columns',
    dataset({
      schema: Object.fromEntries(Array.from({ length: 2_001 }, (_, index) => [`c${index}`, { type: 'int64' }])),
    }),
  ],
  ['columns that differ by case', dataset({ schema: { x: { type: 'int64' }, X: { type: 'int64' } } })],
  ['a column called __proto__', rawDefinition()],
  ['a column that is SQL', dataset({ schema: { 'x"; drop table': { type: 'int64' } } })],
  ['a column of an unknown type', dataset({ schema: { x: { type: 'object' } } })],
  ['a zone that is none', dataset({ schema: { x: { type: 'timestamp', zone: 'Mars/Base' } } })],
  ['a path with a NUL', dataset({ source: { format: 'csv', path: 'a\u0000b' } })],
  ['a path of 2,000 characters', dataset({ source: { format: 'csv', path: 'x'.repeat(2_000) } })],
  ['a format that is none', dataset({ source: { format: 'pickle', path: 'x' } })],
  ['a delimiter of two', dataset({ source: { format: 'csv', path: 'x', csv: { delimiter: '||' } } })],
  ['an expectation that is no name', dataset({ expectations: [{ type: 'drop table', kwargs: {} }] })],
  ['an expectation that is unknown', dataset({ expectations: [{ type: 'expect_nothing', kwargs: {} }] }), REFUSED],
  [
    'an expectation of a column that is not there',
    dataset({ expectations: [{ type: 'expect_column_values_to_not_be_null', kwargs: { column: 'zz' } }] }),
    REFUSED,
  ],
  [
    'a pattern that never ends',
    dataset({ expectations: [{ type: 'expect_column_values_to_match_regex', kwargs: { column: 'x', regex: '(' } }] }),
    REFUSED,
  ],
  ['a route of no model', route({ model: '' })],
  ['a route of an unknown model', route({ model: 'nobody' }), REFUSED],
  [
    'a route of an input that is not there',
    route({ columns: [{ name: 'x', source: { from: 'input', input: 'zz' } }] }),
    REFUSED,
  ],
  [
    'a route of 10,001 columns',
    route({ columns: Array.from({ length: 10_001 }, () => ({ name: 'x', source: { from: 'input', input: 'x' } })) }),
  ],
  ['a route of a zone that is none', route({ inputs: { x: { type: 'timestamp', zone: 'Mars/Base' } } }), REFUSED],
  ['a deadline of 2^60 ms', route({ sloMs: 2 ** 60 })],
  ['a canary of 0', route({ rollout: { type: 'canary', steps: [0] } })],
  ['a pipeline of no steps', pipeline()],
  ['a step that waits for itself', pipeline(step({ after: ['a'] })), REFUSED],
  ['two steps that wait for each other', pipeline(step({ after: ['b'] }), step({ key: 'b', after: ['a'] })), REFUSED],
  ['two steps of one key', pipeline(step(), step()), REFUSED],
  ['a step after one that is not there', pipeline(step({ after: ['zz'] })), REFUSED],
  ['a step of an unknown kind', pipeline(step({ kind: 'unknown' })), REFUSED],
  ['a step of the kind __proto__', pipeline(step({ kind: '__proto__' }))],
  ['a step with a shell in its key', pipeline(step({ key: '"; touch x #' }))],
  [
    'an input of an output that is not there',
    pipeline(step(), step({ key: 'b', inputs: { x: { from: 'step', step: 'a', output: 'zz' } } })),
    REFUSED,
  ],
  ['a param that nobody declares', pipeline(step({ params: { argv: ['true', { $param: 'zz' }] } })), REFUSED],
  ['a param called __proto__', pipeline(step({ params: { argv: ['true', { $param: '__proto__' }] } })), REFUSED],
  ['a step of 2^60 ms', pipeline(step({ timeoutMs: 2 ** 60 }))],
  ['21 retries', pipeline(step({ retries: 21 }))],
  ['minus one CPU', pipeline(step({ resources: { cpu: -1 } }))],
  ['a Python step without code', pipeline({ key: 'a', kind: 'python', params: { script: 'a.py' } }), REFUSED],
]

/** As text, since JavaScript would set the prototype. */
function rawDefinition(): unknown {
  return JSON.parse(
    '{"kind":"dataset","name":"other","source":{"format":"csv","path":"x"},"schema":{"x__y":{"type":"int64"}}}',
  )
}

const BAD_PATHS = [
  '../x',
  '/etc/passwd',
  'a/../../x',
  './x',
  'a//b',
  '',
  'a\\..\\b',
  'a\u0000b',
  'a\nb',
  '.',
  '..',
  'x'.repeat(2_000),
]

function bundleCases(content: Content): HostileCase[] {
  const file = (more: object = {}) => ({ path: 'a.py', digest: DIGEST, sizeBytes: 1, executable: false, ...more })
  const bundles = (name: string, bundle: unknown, expect: Expectation): HostileCase => ({
    name: `a bundle ${name}`,
    input: {
      method: 'POST',
      target: '/api/v1/plan',
      ...json({
        content: {
          ...content,
          definitions: [pipeline({ key: 'a', kind: 'python', params: { script: 'a.py' } })],
          bundles: { other: { a: bundle } },
        },
      }),
    },
    expect,
  })
  return [
    ...BAD_PATHS.map((path) =>
      bundles(`of the path ${path.slice(0, 20)}`, { digest: DIGEST, files: [file({ path })] }, INVALID),
    ),
    bundles('whose digest is none', { digest: 'x', files: [file()] }, INVALID),
    bundles('whose file has no digest', { digest: DIGEST, files: [file({ digest: '../x' })] }, INVALID),
    bundles('of minus one byte', { digest: DIGEST, files: [file({ sizeBytes: -1 })] }, INVALID),
    bundles('of 10,001 files', { digest: DIGEST, files: Array.from({ length: 10_001 }, () => file()) }, INVALID),
    bundles('of nothing', null, INVALID),
  ]
}

/** Plan and apply: what a project says, and who says it. */
export function planCases(content: Content, run: string): HostileCase[] {
  const plan = (name: string, body: unknown, expect: Expectation): HostileCase => ({
    name: `plan ${name}`,
    input: { method: 'POST', target: '/api/v1/plan', ...json(body) },
    expect,
  })
  const apply = (name: string, body: object, expect: Expectation): HostileCase => ({
    name: `apply ${name}`,
    input: { method: 'POST', target: '/api/v1/apply', ...json({ plan: DIGEST, ...body }) },
    expect,
  })
  const text = JSON.stringify(content)
  const lying = { digest: DIGEST, files: [{ path: 'a.py', digest: DIGEST, sizeBytes: 1, executable: false }] }
  return [
    ...BAD_DEFINITIONS.map(([name, definition, expect]) =>
      plan(
        name,
        { content: { ...content, definitions: [definition] } },
        expect === undefined ? INVALID : { status: [200, ...(expect.status as number[])] },
      ),
    ),
    ...bundleCases(content),
    plan(
      'the same twice',
      { content: { ...content, definitions: [model(), model()] } },
      { status: 400, code: 'definitions.invalid' },
    ),
    plan(
      'what another source owns',
      { content: { ...content, source: 'thief' } },
      { status: 409, code: 'definitions.foreign' },
    ),
    plan(
      '10,001 definitions',
      { content: { ...content, definitions: Array.from({ length: 10_001 }, () => 1) } },
      INVALID,
    ),
    plan(
      '5,000 models',
      {
        content: { ...content, definitions: Array.from({ length: 5_000 }, (_, index) => model({ name: `m${index}` })) },
      },
      { status: 200 },
    ),
    ...BAD_NAMES.map((source) =>
      plan(`the source ${String(JSON.stringify(source)).slice(0, 20)}`, { content: { ...content, source } }, INVALID),
    ),
    plan(
      'a commit of 1,000 characters',
      { content: { ...content, origin: { commit: 'x'.repeat(1_000), isDirty: false } } },
      INVALID,
    ),
    plan('no origin', { content: { ...content, origin: undefined } }, INVALID),
    plan('prune as a text', { content, prune: 'yes' }, INVALID),
    {
      name: 'plan __proto__',
      input: {
        method: 'POST',
        target: '/api/v1/plan',
        ...rawJson(`{"content":${text.replace(/^\{/, `{"__proto__":${POLLUTION},`)}}`),
      },
      expect: { status: 400, code: 'http.bad_json' },
    },
    {
      name: 'plan 65 levels of kwargs',
      input: {
        method: 'POST',
        target: '/api/v1/plan',
        ...rawJson(
          `{"content":{"definitions":[{"kind":"model","name":"a","gates":[{"type":"a","kwargs":{"a":${'['.repeat(70)}${']'.repeat(70)}}}]}]}}`,
        ),
      },
      expect: { status: 400, code: 'http.json_too_deep' },
    },
    {
      name: 'plan 17 MB',
      input: { method: 'POST', target: '/api/v1/plan', ...rawJson(`{"content":"${'x'.repeat(17 << 20)}"}`) },
      // Cut off while it still sends, a client may not get to read the answer.
      expect: { status: [413, 0], code: 'http.body_too_large' },
    },
    apply('a plan that was never made', { content }, { status: 412, code: 'definitions.stale_plan' }),
    apply('a plan that is no digest', { content, plan: 'x' }, INVALID),
    apply(
      'a plan of another content',
      { content: { ...content, definitions: [] } },
      { status: 412, code: 'definitions.stale_plan' },
    ),
    apply('nothing', {}, INVALID),
    {
      name: 'a step whose bundle lies about its digest',
      input: {
        method: 'POST',
        target: '/api/v1/runs',
        ...json({ step: { key: 'a', kind: 'python', params: { script: 'a.py' } }, bundle: lying }),
      },
      expect: { status: 400, code: 'pipelines.invalid' },
    },
    {
      name: 'a step of an unknown kind',
      input: { method: 'POST', target: '/api/v1/runs', ...json({ step: { key: 'a', kind: 'unknown' } }) },
      expect: { status: 400, code: 'pipelines.invalid' },
    },
    {
      name: 'a pipeline that is not there',
      input: { method: 'POST', target: '/api/v1/runs', ...json({ pipeline: 'nothing' }) },
      expect: { status: 404 },
    },
    {
      name: 'a param that is not declared',
      input: { method: 'POST', target: '/api/v1/runs', ...json({ pipeline: 'numbers', params: { zz: 1 } }) },
      expect: { status: 400 },
    },
    {
      name: 'a step to force that is not there',
      input: { method: 'POST', target: '/api/v1/runs', ...json({ pipeline: 'numbers', options: { force: ['zz'] } }) },
      expect: { status: [200, 400] },
    },
    {
      name: 'a key of a run that was asked for otherwise',
      input: {
        method: 'POST',
        target: '/api/v1/runs',
        ...json({ pipeline: 'numbers', idempotencyKey: 'seed', options: { cache: false } }),
      },
      expect: { status: 409, code: 'pipelines.idempotency_key_reused' },
    },
    {
      name: 'a log beyond its end',
      input: { target: `/api/v1/runs/${run}/steps/numbers/log?offset=9007199254740991` },
      expect: { status: 200 },
    },
    {
      name: 'a step that is a path',
      input: { target: `/api/v1/runs/${run}/steps/..%2f..%2fetc` },
      expect: { status: 404 },
    },
  ]
}
