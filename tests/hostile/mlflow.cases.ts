import { gzipSync } from 'node:zlib'
import { type Expectation, type HostileCase, type HostileInput, json, POLLUTION, rawJson } from './case.ts'
import type { Seed } from './seed.ts'

/** What the surface says of itself: the table that the server mounts. */
export interface MlflowRoute {
  readonly method: string
  readonly path: string
  readonly body?: 'json' | 'stream'
  readonly fields: Readonly<Record<string, unknown>>
}

const API = '/api/2.0'
const INVALID: Expectation = { status: 400, code: 'INVALID_PARAMETER_VALUE' }
const ABSENT: Expectation = { status: 404, code: 'RESOURCE_DOES_NOT_EXIST' }
const REFUSED: Expectation = { status: [400, 404], code: ['INVALID_PARAMETER_VALUE', 'RESOURCE_DOES_NOT_EXIST'] }
const HANDLED: Expectation = { status: [200, 400, 403, 404, 409, 501] }

function targetOf(route: MlflowRoute): string {
  return `${API}${route.path}`
    .replace(':model_id', `m-${'0'.repeat(32)}`)
    .replace(':key', 'k')
    .replace('/*', '/0/x')
}

/** Every route of the surface with what no route takes. */
function generatedCases(routes: readonly MlflowRoute[]): HostileCase[] {
  return routes.flatMap((route) => {
    const target = targetOf(route)
    const send = (name: string, parts: Partial<HostileInput>, expect: Expectation): HostileCase => ({
      name: `${route.method} ${route.path}: ${name}`,
      input: { method: route.method, target, ...parts },
      expect,
    })
    const isReading = route.method === 'GET'
    const type = 'content-type: application/json'
    const fields = Object.keys(route.fields)
    const caller = [
      send('another Host', { headers: ['host: evil.example'] }, { status: 403, code: 'PERMISSION_DENIED' }),
      send('Origin null', { headers: ['origin: null'] }, { status: 403, code: 'PERMISSION_DENIED' }),
      send('another site', { headers: ['sec-fetch-site: cross-site'] }, { status: 403, code: 'PERMISSION_DENIED' }),
      send('a damaged token', { headers: ['authorization: Bearer plim_x'] }, { status: 401, code: 'UNAUTHENTICATED' }),
      send('a workspace that is no name', { headers: ['x-mlflow-workspace: ../x'] }, INVALID),
      send('a workspace that is not there', { headers: ['x-mlflow-workspace: nowhere'] }, ABSENT),
    ]
    if (route.body === 'stream') return caller
    if (isReading)
      return [
        ...caller,
        ...fields.flatMap((field) => [
          send(`${field} holds a NUL`, { target: `${target}?${field}=a%00b` }, INVALID),
          send(`${field} twice`, { target: `${target}?${field}=1&${field}=2` }, HANDLED),
          send(`${field} is a traversal`, { target: `${target}?${field}=..%2f..%2fetc%2fpasswd` }, HANDLED),
          send(`${field} has 9,000 characters`, { target: `${target}?${field}=${'9'.repeat(9_000)}` }, HANDLED),
          send(`${field} cannot be decoded`, { target: `${target}?${field}=%zz%ed%a0%80` }, HANDLED),
        ]),
      ]
    return [
      ...caller,
      ...['[]', '"x"', '5', 'null', '{"a":', '{"a":NaN}', '['.repeat(100), '['.repeat(500_000)].map((text) =>
        send(`the body ${text.slice(0, 12)}`, rawJson(text), { status: [400, 404] }),
      ),
      send('text/plain', { headers: ['content-type: text/plain'], body: '{}' }, { status: [400, 404, 415] }),
      send(
        'a form',
        { headers: ['content-type: application/x-www-form-urlencoded'], body: 'a=1' },
        { status: [400, 404, 415] },
      ),
      send('gzip', { headers: [type, 'content-encoding: gzip'], body: gzipSync('{}') }, { status: [400, 404] }),
      send(
        'bytes that are no UTF-8',
        { headers: [type], body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]) },
        { status: [400, 404] },
      ),
      send(
        'a length and chunks',
        { headers: [type, 'content-length: 2', 'transfer-encoding: chunked'], body: '2\r\n{}\r\n0\r\n\r\n' },
        { status: 400, code: 'http.bad_request', rendering: 'problem' },
      ),
      send('__proto__', rawJson(`{"__proto__":${POLLUTION}}`), { status: [200, 400, 404, 501] }),
      send('constructor.prototype', rawJson(`{"constructor":{"prototype":${POLLUTION}}}`), {
        status: [200, 400, 404, 501],
      }),
      ...fields.flatMap((field) =>
        [
          '5',
          '{}',
          '[]',
          '[[[]]]',
          'true',
          '-1',
          '1e999',
          '9223372036854775808',
          '"a\\u0000b"',
          '"a\\ud800b"',
          '"__proto__"',
          `"${'x'.repeat(100_000)}"`,
        ].map((text) =>
          send(
            `${field} is ${text.slice(0, 20)}`,
            rawJson(`{${JSON.stringify(field)}:${text}}`),
            /u0000|ud800/.test(text) && !target.includes('/mpu/') ? { status: [400, 404] } : HANDLED,
          ),
        ),
      ),
    ]
  })
}

const BAD_PATHS: readonly string[] = [
  '..',
  '../x',
  'a/..',
  'a/../../x',
  '....//x',
  'a//b',
  '.',
  'a/./b',
  '/etc/passwd',
  '//host/share',
  '..\\x',
  'C:\\x',
  'C:../x',
  '\\\\?\\C:\\x',
  'CON',
  'a:b',
  'ab:c',
  'x/C:/y',
  'a/ ',
  'a.',
  '%2e%2e/x',
  '..%2fx',
  '%252e%252e%252f',
  '．．',
  'e\u0301',
  'a\nb',
  'a\u202eb',
  'x'.repeat(300),
  Array.from({ length: 40 }, () => 'a').join('/'),
  'lpt1.txt',
  'nul',
]
/** These are names all the same: no path is a file's here, full-width dots lead nowhere, and NFD is read as NFC. */
const HARMLESS = new Set(['．．', 'CON', 'lpt1.txt', 'nul', 'e\u0301', 'ab:c'])

/** What cannot be decoded is refused before any route is known, so that no surface has a say in how. */
function rawExpect(path: string): Expectation {
  return /%zz|%c0/.test(path) ? { status: 400, code: 'http.bad_url', rendering: 'problem' } : { status: [400, 404] }
}

function pathCases(seed: Seed): HostileCase[] {
  const root = `${seed.experiment}/${seed.trackedRun}/artifacts`
  const tracked = BAD_PATHS.flatMap((path) => {
    const encoded = path.split('/').map(encodeURIComponent).join('%2F')
    const expect: Expectation = HARMLESS.has(path) ? HANDLED : INVALID
    const proxy = `${API}/mlflow-artifacts/artifacts`
    return [
      {
        name: `PUT the artifact ${path.slice(0, 30)}`,
        input: { method: 'PUT', target: `${proxy}/${root}/${encoded}`, body: 'x' },
        expect,
      },
      {
        name: `GET the artifact ${path.slice(0, 30)}`,
        input: { target: `${proxy}/${root}/${encoded}` },
        expect: HARMLESS.has(path) ? HANDLED : INVALID,
      },
      {
        name: `DELETE the artifact ${path.slice(0, 30)}`,
        input: { method: 'DELETE', target: `${proxy}/${root}/${encoded}`, ...json({}) },
        expect,
      },
      {
        name: `list ${path.slice(0, 30)}`,
        input: { target: `${API}/mlflow/artifacts/list?run_id=${seed.trackedRun}&path=${encodeURIComponent(path)}` },
        expect,
      },
      {
        name: `get-artifact ${path.slice(0, 30)}`,
        input: { target: `/get-artifact?run_id=${seed.trackedRun}&path=${encodeURIComponent(path)}` },
        expect,
      },
    ]
  })
  const raw = [
    '/../../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..%2f..%2f..%2fetc%2fpasswd',
    '/..%255c..%255c',
    '/%00',
    '/%zz',
    '/%c0%ae%c0%ae/x',
    '/',
    '/0/%E2%80%AE',
  ].flatMap((path) => [
    {
      name: `the raw path ${path}`,
      input: { target: `${API}/mlflow-artifacts/artifacts${path}` },
      expect: rawExpect(path),
    },
    {
      name: `PUT to the raw path ${path}`,
      input: { method: 'PUT', target: `${API}/mlflow-artifacts/artifacts${path}`, body: 'x' },
      expect: rawExpect(path),
    },
  ])
  return [
    ...tracked,
    ...raw,
    {
      name: 'an artifact where a folder is',
      input: { method: 'PUT', target: `${API}/mlflow-artifacts/artifacts/${root}/model`, body: 'x' },
      expect: INVALID,
    },
    {
      name: 'an artifact cut short',
      input: {
        method: 'PUT',
        target: `${API}/mlflow-artifacts/artifacts/${root}/short`,
        headers: ['content-length: 10'],
        body: 'x',
        isStalled: false,
      },
      expect: { status: [400, 408], rendering: 'problem', withinMs: 20_000 },
    },
    {
      name: 'a packed artifact',
      input: {
        method: 'PUT',
        target: `${API}/mlflow-artifacts/artifacts/${root}/packed`,
        headers: ['content-encoding: gzip'],
        body: gzipSync(Buffer.alloc(1 << 24)),
      },
      expect: INVALID,
    },
    {
      name: 'an artifact of no gzip',
      input: {
        method: 'PUT',
        target: `${API}/mlflow-artifacts/artifacts/${root}/packed`,
        headers: ['content-encoding: gzip'],
        body: 'plain',
      },
      expect: INVALID,
    },
    {
      name: '1,000 ranges',
      input: {
        target: `${API}/mlflow-artifacts/artifacts/${root}/model/weights.bin`,
        headers: [`range: bytes=${'0-,'.repeat(1_000)}`],
      },
      expect: { status: 200 },
    },
    {
      name: 'a range beyond the end',
      input: { target: `${API}/mlflow-artifacts/artifacts/${root}/model/weights.bin`, headers: ['range: bytes=99-'] },
      expect: INVALID,
    },
    {
      name: 'a range of 10^15',
      input: {
        target: `${API}/mlflow-artifacts/artifacts/${root}/model/weights.bin`,
        headers: ['range: bytes=0-999999999999999'],
      },
      expect: { status: 206 },
    },
  ]
}

const BAD_FILTERS: readonly string[] = [
  "' or 1=1--",
  "params.x = 'a' or 1=1",
  "'; drop table run; --",
  "params.x = '",
  'params.x = "a',
  'metrics.x > ',
  'metrics.x > "a"',
  'params.x LIKE 5',
  "nothing.x = 'a'",
  "tags.`a = 'b'",
  '('.repeat(10_000),
  "params.x = 'a' and ".repeat(20_000),
  'attributes.status = DROP',
  'params.x = ‘a’',
  'metrics.x IN (1',
  'params.x IN ()',
  'params.x IS NOT',
  "params.x IS 'a'",
  'metrics.x IS NULL',
  "params.x IN ('a' 'b')",
  "status = 'x' status",
  'and and and',
  "params.`__proto__` = 'x' and",
  "a.b.c.d = 'x'",
  '\\',
  `params.${'x'.repeat(50_000)} = 'a`,
]
const BAD_ORDERS: readonly string[] = [
  'metrics.x; drop table run',
  '(select 1)',
  'params.x DESC NULLS',
  'nothing.x',
  'metrics.x ASC DESC',
  "'",
  'x'.repeat(50_000),
]

function searchCases(seed: Seed): HostileCase[] {
  const search = (path: string, body: object): Partial<HostileInput> => ({
    method: 'POST',
    target: `${API}/mlflow/${path}`,
    ...json(body),
  })
  const ids = { experiment_ids: [seed.experiment] }
  return [
    ...BAD_FILTERS.map((filter) => ({
      name: `the filter ${filter.slice(0, 30)}`,
      input: search('runs/search', { ...ids, filter }),
      expect: INVALID,
    })),
    ...BAD_FILTERS.slice(0, 12).map((filter) => ({
      name: `the filter of models ${filter.slice(0, 30)}`,
      input: { target: `${API}/mlflow/registered-models/search?filter=${encodeURIComponent(filter.slice(0, 2_000))}` },
      expect: INVALID,
    })),
    ...BAD_FILTERS.slice(0, 12).map((filter) => ({
      name: `the filter of experiments ${filter.slice(0, 30)}`,
      input: search('experiments/search', { filter, max_results: 5 }),
      expect: INVALID,
    })),
    ...BAD_ORDERS.map((order) => ({
      name: `the order ${order.slice(0, 30)}`,
      input: search('runs/search', { ...ids, order_by: [order] }),
      expect: INVALID,
    })),
    {
      name: 'wildcards without end',
      input: search('runs/search', { ...ids, filter: `params.x ILIKE '${'%'.repeat(10_000)}'` }),
      expect: { status: [200, 400] },
    },
    {
      name: 'wildcards between letters',
      input: search('runs/search', { ...ids, filter: `params.x LIKE '${'%a'.repeat(2_000)}'` }),
      expect: { status: [200, 400] },
    },
    ...[
      'x',
      '""',
      'e30=',
      Buffer.from('{"a":1}').toString('base64url'),
      Buffer.from('[1,2,3]').toString('base64'),
      'x'.repeat(10_000),
      '-1',
      '../x',
    ].map((token) => ({
      name: `the page token ${token.slice(0, 20)}`,
      input: search('runs/search', { ...ids, page_token: token }),
      expect: INVALID,
    })),
    {
      name: '10^5 experiments',
      input: search('runs/search', { experiment_ids: Array.from({ length: 100_000 }, (_, index) => String(index)) }),
      expect: { status: [200, 400] },
    },
    { name: 'max_results of 0', input: search('runs/search', { ...ids, max_results: 0 }), expect: INVALID },
    {
      name: 'max_results beyond int64',
      input: {
        method: 'POST',
        target: `${API}/mlflow/runs/search`,
        ...rawJson('{"max_results":99999999999999999999}'),
      },
      expect: INVALID,
    },
  ]
}

const BAD_SOURCES: readonly string[] = [
  '/etc/passwd',
  'file:///etc/passwd',
  'file://host/etc',
  'FILE:///etc/passwd',
  './x',
  '../x',
  'runs:/../../etc',
  'mlflow-artifacts:/../../etc/passwd',
  'mlflow-artifacts:/%2e%2e/%2e%2e/etc',
  'http://example.com/../x',
  's3://bucket/%252e%252e%252fx',
  'mlflow-artifacts:/a\\..\\..\\b',
  'runs:/nobody/model',
  'models:/nobody/1',
  'models:/tracked/999999999',
  'models:/tracked@nobody',
  `models:/m-${'0'.repeat(32)}`,
  'dbfs:/../x',
  `s3://${'x'.repeat(3_000)}`,
  'file:/etc',
  'models:/%2e%2e/1',
  'models:/%zz/1',
  '#',
  'ftp://x/a/../b',
  'x?..#/..',
  'a\u0007b',
]

function registryCases(seed: Seed): HostileCase[] {
  const post = (path: string, text: string): Partial<HostileInput> => ({
    method: 'POST',
    target: `${API}/mlflow/${path}`,
    ...rawJson(text),
  })
  const run = JSON.stringify(seed.trackedRun)
  const metric = (value: string, more = '') =>
    post('runs/log-metric', `{"run_id":${run},"key":"m","value":${value},"timestamp":1${more}}`)
  return [
    ...BAD_SOURCES.map((source) => ({
      name: `the source ${source.slice(0, 40)}`,
      input: post('model-versions/create', JSON.stringify({ name: 'tracked', source })),
      expect: source === 'file://host/etc' ? { status: 500, code: 'INTERNAL_ERROR' } : REFUSED,
    })),
    ...[
      '../x',
      'http://x/?a',
      's3://b/#c',
      'a#b',
      'mlflow-artifacts:/../x',
      'file:///a/%2e%2e/etc',
      's3://b/%252e%252e/x',
      'a\\..\\b',
      'runs:/x',
    ].map((location) => ({
      name: `the artifact location ${location}`,
      input: post('experiments/create', JSON.stringify({ name: `at ${location}`, artifact_location: location })),
      expect: INVALID,
    })),
    ...['"x"', '"1e999x"', '{}', '[]', 'null', 'true', '""', '"0x10"', '" 1"', '"Inf inity"'].map((value) => ({
      name: `a metric of ${value}`,
      input: metric(value),
      expect: INVALID,
    })),
    ...['NaN', '"NaN"', '"Infinity"', '"-Infinity"', '1e999', '-0', '1e308'].map((value) => ({
      name: `a metric of ${value}`,
      input: metric(value),
      expect: { status: value === 'NaN' ? 400 : 200 },
    })),
    ...['9223372036854775808', '-9223372036854775809', '1.5', '"x"', '1e30', '[]'].map((step) => ({
      name: `a step of ${step}`,
      input: metric('1', `,"step":${step}`),
      expect: INVALID,
    })),
    { name: 'the largest step', input: metric('1', ',"step":9223372036854775807'), expect: { status: 200 } },
    { name: 'a step as text', input: metric('1', ',"step":"9223372036854775807"'), expect: { status: 200 } },
    {
      name: 'a timestamp before time',
      input: post('runs/log-metric', `{"run_id":${run},"key":"m","value":1,"timestamp":-1}`),
      expect: INVALID,
    },
    {
      name: 'a timestamp at the end of int64',
      input: post('runs/log-metric', `{"run_id":${run},"key":"m","value":1,"timestamp":9223372036854775807}`),
      expect: { status: [200, 400] },
    },
    ...[
      '../m',
      '/m',
      'a/../m',
      '.',
      '..',
      'a//b',
      'a?b',
      'a\\b',
      'a'.repeat(251),
      '<b>',
      'a;b',
      '\u202e',
      '__proto__\n',
    ].map((key) => ({
      name: `a key of ${key.slice(0, 20)}`,
      input: post('runs/log-parameter', JSON.stringify({ run_id: seed.trackedRun, key, value: 'v' })),
      expect: INVALID,
    })),
    {
      name: 'the key __proto__',
      input: post('runs/log-parameter', JSON.stringify({ run_id: seed.trackedRun, key: '__proto__', value: 'v' })),
      expect: { status: 200 },
    },
    {
      name: 'a param of 6,001 characters',
      input: post(
        'runs/log-parameter',
        JSON.stringify({ run_id: seed.trackedRun, key: 'long', value: 'v'.repeat(6_001) }),
      ),
      expect: { status: 200 },
    },
    {
      name: '1,001 metrics at once',
      input: post(
        'runs/log-batch',
        JSON.stringify({
          run_id: seed.trackedRun,
          metrics: Array.from({ length: 1_001 }, () => ({ key: 'm', value: 1, timestamp: 1, step: 0 })),
        }),
      ),
      expect: INVALID,
    },
    {
      name: '101 params at once',
      input: post(
        'runs/log-batch',
        JSON.stringify({
          run_id: seed.trackedRun,
          params: Array.from({ length: 101 }, (_, index) => ({ key: `p${index}`, value: '1' })),
        }),
      ),
      expect: INVALID,
    },
    {
      name: 'a body of 9 MB',
      input: post(
        'runs/log-batch',
        JSON.stringify({ run_id: seed.trackedRun, tags: [{ key: 't', value: 'x'.repeat(9_000_000) }] }),
      ),
      expect: INVALID,
    },
    ...['', ' ', 'a/b', 'a:b', 'x'.repeat(300), '..', 'a\u0001b', '%', '"'].map((name) => ({
      name: `a model called ${JSON.stringify(name.slice(0, 20))}`,
      input: post('registered-models/create', JSON.stringify({ name })),
      expect: { status: [200, 400] },
    })),
    ...['champion', 'latest', 'v1', '', 'a b', '../x', 'x'.repeat(300), 'challenger\n'].map((alias) => ({
      name: `the alias ${JSON.stringify(alias.slice(0, 20))}`,
      input: post('registered-models/alias', JSON.stringify({ name: 'tracked', alias, version: '1' })),
      expect: { status: [400, 403, 404] },
    })),
    ...['0', '-1', '1.5', '99999999999999999999', 'x', '1 ', '١'].map((version) => ({
      name: `the version ${version}`,
      input: { target: `${API}/mlflow/model-versions/get?name=tracked&version=${encodeURIComponent(version)}` },
      expect: REFUSED,
    })),
    ...[
      '/api/2.0/mlflow/nothing',
      '/api/2.0/mlflow/../../../etc/passwd',
      '/api/2.0//mlflow/runs/get',
      '/api/2.0/',
      '/ajax-api/2.0/mlflow/nothing',
      '/api/2.0/mlflow/runs/get/',
      '/api/2.0/mlflow/runs/GET',
    ].map((target) => ({
      name: `the path ${target}`,
      input: { target },
      expect: { status: 404, code: 'ENDPOINT_NOT_FOUND' },
    })),
    {
      name: 'a method that is not there',
      input: { method: 'DELETE', target: `${API}/mlflow/runs/get`, ...json({}) },
      expect: { status: 405, code: 'BAD_REQUEST' },
    },
  ]
}

/** The tracking surface: every route of its table, then paths, filters, sources and numbers one by one. */
export function mlflowCases(routes: readonly MlflowRoute[], seed: Seed): HostileCase[] {
  return [...generatedCases(routes), ...pathCases(seed), ...searchCases(seed), ...registryCases(seed)]
}
