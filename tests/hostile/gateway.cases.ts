import { deflateSync, gzipSync } from 'node:zlib'
import { type Expectation, type HostileCase, type HostileInput, json, POLLUTION, rawJson } from './case.ts'

const to = 'gateway' as const
const INVALID: Expectation = { status: 400 }
/** Refused by the parser of HTTP, before any protocol of ours is known. */
const MALFORMED: Expectation = { status: 400, code: 'http.bad_request', rendering: 'problem' }
const OVERLONG: Expectation = { status: 431, code: 'http.headers_too_large', rendering: 'problem' }
const LATE: Expectation = { status: 408, code: 'http.request_timeout', rendering: 'problem', withinMs: 20_000 }
const GOOD = '{"rows":[{"p":1,"q":2}]}'
const bomb = Buffer.alloc(64 << 20, 0x20)

function post(name: string, target: string, parts: Partial<HostileInput>, expect: Expectation): HostileCase {
  return { name: `${target}: ${name}`, input: { to, method: 'POST', target, ...parts }, expect }
}

/** What HTTP itself allows to be tried, on each of the three protocols. */
function httpCases(target: string, good: string): HostileCase[] {
  const type = 'content-type: application/json'
  const send = (name: string, parts: Partial<HostileInput>, expect: Expectation) => post(name, target, parts, expect)
  const raw = (name: string, text: string, expect: Expectation, ...more: string[]): HostileCase => ({
    name: `${target}: ${name}`,
    input: { to, raw: [text, ...more] },
    expect,
  })
  const head = `POST ${target} HTTP/1.1\r\nhost: {host}\r\n${type}\r\nconnection: close\r\n`
  return [
    send('another Host', { headers: ['host: evil.example', type], body: good }, { status: 403, code: 'http.host' }),
    send(
      'Host with another port',
      { headers: ['host: 127.0.0.1:1', type], body: good },
      { status: 403, code: 'http.host' },
    ),
    send('Host with a path', { headers: ['host: {host}/a?b@c', type], body: good }, { status: 403, code: 'http.host' }),
    raw('no Host', `POST ${target} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, {
      status: 400,
      code: 'http.no_host',
    }),
    send('two Hosts', { headers: ['host: {host}', 'host: evil.example', type], body: good }, { status: 400 }),
    send(
      'a foreign Origin',
      { headers: ['origin: http://evil.example', type], body: good },
      { status: 403, code: 'http.origin' },
    ),
    send('Origin null', { headers: ['origin: null', type], body: good }, { status: 403, code: 'http.origin' }),
    send(
      'another site',
      { headers: ['sec-fetch-site: cross-site', type], body: good },
      { status: 403, code: 'http.cross_site' },
    ),
    send('a form', { headers: ['content-type: text/plain'], body: good }, { status: 415, code: 'http.form' }),
    send(
      'a form in capitals',
      { headers: ['content-type: TEXT/PLAIN; charset=utf-8'], body: good },
      { status: 415, code: 'http.form' },
    ),
    send(
      'a multipart form',
      { headers: ['content-type: multipart/form-data; boundary=x'], body: good },
      { status: 415, code: 'http.form' },
    ),
    send(
      'the absolute form',
      { target: `http://evil.example${target}`, headers: [type], body: good },
      { status: 400, code: 'http.absolute_form' },
    ),
    send(
      'a fragment',
      { target: `${target}#x`, headers: [type], body: good },
      { status: 400, code: 'http.bad_target' },
    ),
    send(
      'a network path',
      { target: `//evil.example${target}`, headers: [type], body: good },
      { status: 400, code: 'http.bad_target' },
    ),
    raw('a length and chunks', `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, MALFORMED),
    raw('two lengths', `${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{} `, MALFORMED),
    raw('a negative length', `${head}content-length: -1\r\n\r\n{}`, MALFORMED),
    raw('a length of letters', `${head}content-length: abc\r\n\r\n{}`, MALFORMED),
    raw('chunks of no size', `${head}transfer-encoding: chunked\r\n\r\nzz\r\n`, MALFORMED),
    raw('a chunk of 2^60', `${head}transfer-encoding: chunked\r\n\r\n1000000000000000\r\nx`, LATE),
    raw('an unknown transfer coding', `${head}transfer-encoding: gzip\r\n\r\nx`, MALFORMED),
    raw('headers of 20 KB', `${head}x-long: ${'x'.repeat(20_000)}\r\n\r\n`, OVERLONG),
    raw('3,000 headers', `${head}${'x: y\r\n'.repeat(3_000)}\r\n`, OVERLONG),
    raw('no HTTP', 'hello\r\n\r\n', MALFORMED),
    raw('a broken header', `${head}bad header\r\n\r\n`, MALFORMED),
    raw('a line break in a header', `${head}x-a: b\rc\r\n\r\n`, MALFORMED),
    raw('HTTP/9.9', `POST ${target} HTTP/9.9\r\nhost: {host}\r\n\r\n`, MALFORMED),
    raw('headers that never end', `${head}x-a:`, LATE),
    send('a body that never ends', { headers: [type], body: good, isStalled: true }, LATE),
    raw(
      '10^5 chunks of one byte',
      `${head}transfer-encoding: chunked\r\n\r\n`,
      { status: 400, withinMs: 20_000 },
      '1\r\n[\r\n'.repeat(100_000),
      '0\r\n\r\n',
    ),
    send(
      'a length beyond the limit',
      { headers: [type, `content-length: ${2 ** 40}`], body: '{' },
      { status: 413, code: 'serving.body_too_large' },
    ),
    send('a gzip bomb', { headers: [type, 'content-encoding: gzip'], body: gzipSync(bomb) }, { status: 413 }),
    send('a deflate bomb', { headers: [type, 'content-encoding: deflate'], body: deflateSync(bomb) }, { status: 413 }),
    send('brotli', { headers: [type, 'content-encoding: br'], body: good }, { status: 415 }),
    send('gzip twice', { headers: [type, 'content-encoding: gzip, gzip'], body: good }, { status: 415 }),
    send('no gzip under its name', { headers: [type, 'content-encoding: gzip'], body: good }, INVALID),
    send(
      'gzip cut short',
      { headers: [type, 'content-encoding: gzip'], body: gzipSync(good).subarray(0, 15) },
      INVALID,
    ),
    send('no body', { headers: [type, 'content-length: 0'] }, INVALID),
    ...[
      '[',
      '[]',
      '5',
      'null',
      '"x"',
      '{"a":',
      '{}x',
      "{'a':1}",
      '['.repeat(65),
      '['.repeat(1_000_000),
      '{"a":'.repeat(1_000),
    ].map((text) => send(`the body ${text.slice(0, 12)}`, rawJson(text), INVALID)),
    send('members named twice', rawJson(`${good.slice(0, -1)},${good.slice(1)}`), INVALID),
    send('bytes that are no UTF-8', { headers: [type], body: Buffer.from('7b22ff22', 'hex') }, INVALID),
    send('__proto__', rawJson(`{"__proto__":${POLLUTION}}`), INVALID),
    send('constructor.prototype', rawJson(`{"constructor":{"prototype":${POLLUTION}}}`), INVALID),
    send('another method', { method: 'GET' }, { status: 405 }),
    send('a method of its own', { method: 'BREW' }, MALFORMED),
    send('TRACE', { method: 'TRACE' }, { status: [400, 405] }),
    ...['NaN', '1e300', '-5', '0', '', '0x', '1 2', '9'.repeat(400)].map((text) =>
      send(
        `a deadline of ${text.slice(0, 12)}`,
        { headers: [type, `x-request-timeout-ms: ${text}`], body: good },
        { status: 400, code: 'serving.bad_timeout' },
      ),
    ),
    send(
      'a sticky key of 10,000 characters',
      { headers: [type, `x-plimsoll-key: ${'k'.repeat(10_000)}`], body: good },
      { status: 200 },
    ),
    send('a request id that is markup', { headers: [type, 'x-request-id: <script>'], body: good }, { status: 200 }),
  ]
}

const BAD_NAMES: readonly string[] = [
  'none',
  '__proto__',
  'constructor',
  'toString',
  '%00',
  '..%2f..%2fetc',
  '%zz',
  '%ed%a0%80',
  'x'.repeat(5_000),
  'delay%20',
  'DELAY',
  'delay@staging',
  '%E2%80%AE',
  '',
  'delay%2f..',
  '.',
  '..',
]

function nameCases(): HostileCase[] {
  return BAD_NAMES.flatMap((name) => [
    post('an unknown route', `/predict/${name}`, rawJson(GOOD), { status: [400, 404] }),
    post('an unknown route', `/invocations/${name}`, rawJson('{"inputs":[]}'), { status: [400, 404] }),
    post('an unknown model', `/v2/models/${name}/infer`, rawJson('{"inputs":[]}'), { status: [400, 404, 405] }),
    {
      name: `/predict/${name}/openapi.json`,
      input: { to, target: `/predict/${name}/openapi.json` },
      expect: { status: [400, 404, 405] },
    },
    {
      name: `/v2/models/delay/versions/${name}`,
      input: { to, target: `/v2/models/delay/versions/${name}` },
      expect: { status: [400, 404] },
    },
  ])
}

/** What is only read: names of models and versions at every place that takes one, and pages that are not there. */
function readCases(): HostileCase[] {
  const get = (target: string): HostileCase => ({
    name: `GET ${target}`,
    input: { to, target },
    expect: { status: [400, 404] },
  })
  const verbs = ['', '/ready', '/config', '/stats']
  return [
    ...BAD_NAMES.flatMap((name) => [
      ...verbs.filter((verb) => name !== '' || verb !== '').map((verb) => get(`/v2/models/${name}${verb}`)),
      ...verbs.map((verb) => get(`/v2/models/${name}/versions/1${verb}`)),
      ...verbs.filter((verb) => verb !== '').map((verb) => get(`/v2/models/delay/versions/${name}${verb}`)),
      get(`/errors/${name}`),
      get(`/docs/errors/${name}`),
      get(`/v2/${name === '' ? '/models' : name}`),
      get(`/v2/health/${name}`),
      get(`/v2/health/live/${name}`),
      get(`/v2/models/stats/${name}`),
    ]),
    get('/v2/models/delay/versions'),
    get('/v2/models/delay/versions/1/config/more'),
    get('/v2/models/delay/ready/more'),
  ]
}

/** Rows of a route that looks features up by two keys, a text and a whole number. */
function entityCases(): HostileCase[] {
  const rows = (name: string, text: string, status: number | number[], code?: string): HostileCase =>
    post(name, '/predict/entity', rawJson(`{"rows":[${text}]}`), { status, ...(code === undefined ? {} : { code }) })
  const row = (airport: string, gate = '1') => `{"p":1,"airport":${airport},"gate":${gate}}`
  const bad = (name: string, text: string) => rows(name, text, 400, 'serving.invalid_input')
  const texts = ['1', 'true', '{}', '[]', '[["a"]]', '[1]', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '1e999']
  const numbers = ['"1"', '1.5', '9007199254740993', '9223372036854775808', '-1e300', '1e999', 'true', '[1]', '{"a":1}']
  return [
    ...['"JFK"', '""', '"__proto__"', '"constructor"', '"e\\u0301"', `"${'x'.repeat(4_096)}"`].map((text) =>
      rows(`a key of ${text.slice(0, 20)}`, row(text), 200),
    ),
    rows('a key that is null', row('null'), 200),
    rows('keys that are null', row('null', 'null'), 200),
    rows('one entity in many rows', Array.from({ length: 1_000 }, () => row('"JFK"')).join(), 200),
    ...texts.map((text) => bad(`a key of ${text}`, row(text))),
    ...numbers.map((text) => bad(`a whole key of ${text}`, row('"JFK"', text))),
    bad('a key of 1 MB', row(`"${'x'.repeat(1 << 20)}"`)),
    bad('no key', '{"p":1}'),
    bad('one of two keys', '{"p":1,"airport":"JFK"}'),
    rows('a key twice', '{"p":1,"airport":"JFK","airport":"BOS","gate":1}', 400, 'serving.bad_json'),
    rows('a key called __proto__', `{"p":1,"__proto__":${POLLUTION},"gate":1}`, 400),
    rows('keys below __proto__', '{"__proto__":{"p":1,"airport":"JFK","gate":1}}', 400),
    bad('a member more', row('"JFK"', '1,"late":1')),
    rows('keys 70 levels deep', row('['.repeat(70) + ']'.repeat(70)), 400),
    post(
      'a frame of a key',
      '/invocations/entity',
      rawJson('{"dataframe_split":{"columns":["p","airport","gate"],"data":[[1,[1],1]]}}'),
      INVALID,
    ),
    post(
      'a column of keys',
      '/invocations/entity',
      rawJson('{"inputs":{"p":[1],"airport":[{"a":1}],"gate":[1]}}'),
      INVALID,
    ),
  ]
}

function rowCases(): HostileCase[] {
  const values = ['"x"', 'null', '{}', '[]', '[1]', 'true', '"NaN"', '1e999', '"1"', '"\\u0000"', '"\\ud800"']
  const predict = values.map((value) =>
    post(`a cell of ${value}`, '/predict/delay', rawJson(`{"rows":[{"p":${value},"q":1}]}`), {
      status: 400,
      code: 'serving.invalid_input',
    }),
  )
  const bodies = [
    '{"rows":[]}',
    '{"rows":{}}',
    '{"rows":null}',
    '{"rows":[1]}',
    '{"rows":[[]]}',
    '{"rows":[{}]}',
    '{"rows":[null]}',
    '{"rows":[{"p":1,"q":1}],"more":1}',
    '{"rows":[{"p":1,"q":1,"z":1}]}',
    '{}',
    '{"p":1}',
    '{"rows":[{"__proto__":{"p":1,"q":2}}]}',
    '{"rows":[{"p":1,"q":1,"toString":1}]}',
  ]
  const wide = JSON.stringify({
    rows: [Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`c${index}`, 1]))],
  })
  const long = JSON.stringify({ rows: Array.from({ length: 60_000 }, () => ({ p: 1, q: 2 })) })
  const frames = [
    '{"dataframe_split":{}}',
    '{"dataframe_split":{"columns":["p"],"data":[[1,2]]}}',
    '{"dataframe_split":{"columns":5,"data":[]}}',
    '{"dataframe_split":{"columns":["p","p"],"data":[[1,2]]}}',
    '{"dataframe_split":{"columns":["p","q","p"],"data":[[1,2,3]]}}',
    '{"dataframe_split":{"columns":["__proto__","q"],"data":[[{"x":1},2]]}}',
    '{"dataframe_records":{}}',
    '{"dataframe_records":[]}',
    '{"instances":[1]}',
    '{"inputs":{"p":[1,2],"q":[1]}}',
    '{"inputs":{"p":1}}',
    '{"inputs":[],"instances":[]}',
    '{"inputs":{}}',
    '{"inputs":null}',
    '{"columns":["p"],"data":[[1]]}',
    '{"instances":[{"p":1}]}',
    '{"inputs":{"__proto__":[1],"q":[1]}}',
    '{"dataframe_split":{"columns":[{}],"data":[[1]]}}',
  ]
  return [
    ...predict,
    ...bodies.map((text) => post(`the rows ${text}`, '/predict/delay', rawJson(text), INVALID)),
    post('a number beyond all numbers', '/predict/delay', rawJson('{"p":1e400,"q":1}'), INVALID),
    post('10,000 columns', '/predict/delay', rawJson(wide), INVALID),
    post('60,000 rows', '/predict/delay', rawJson(long), { status: [200, 400, 413] }),
    post('the same column twice', '/predict/delay', rawJson('{"p":1,"p":"x","q":1}'), INVALID),
    ...frames.map((text) => post(`the frame ${text}`, '/invocations/delay', rawJson(text), INVALID)),
    post('nothing to tell which route', '/invocations', rawJson('{"inputs":{"p":[1],"q":[1]}}'), INVALID),
    ...['/', '/metrics', '/health', '/ping'].map(
      (target): HostileCase => post('a write', target, json({}), { status: 405 }),
    ),
    ...[
      '/admin',
      '/../etc/passwd',
      '/%2e%2e/x',
      '/predict/delay/more/x',
      '/v2/nothing',
      '/.env',
      '/predict/delay/../../x',
      '/v2/models/delay/versions/1/infer/x',
    ].map((target): HostileCase => ({ name: `GET ${target}`, input: { to, target }, expect: { status: 404 } })),
  ]
}

function tensorCases(): HostileCase[] {
  const infer = (name: string, model: string, body: unknown, expect: Expectation = INVALID) =>
    post(name, `/v2/models/${model}/infer`, json(body), expect)
  const x = (datatype: string, shape: unknown, data: unknown, more: object = {}) => ({
    inputs: [{ name: 'x', datatype, shape, ...(data === undefined ? {} : { data }), ...more }],
  })
  const shapes: unknown[] = [
    [-1, 2],
    [2 ** 31, 2 ** 31],
    [],
    [1.5, 2],
    ['1', 2],
    [1, 2, 3],
    'x',
    null,
    {},
    [0, 2],
    [1, null],
    Array.from({ length: 33 }, () => 1),
    [2 ** 53, 1],
    [1, 2 ** 60],
  ]
  const data: unknown[] = [
    [],
    [1],
    [1, 2, 3],
    [[1, 2], [3]],
    'x',
    null,
    {},
    ['x', 'y'],
    [[[[1]]]],
    [true, 'a'],
    [{ a: 1 }, 2],
  ]
  const bare = (text: string) =>
    rawJson(`{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[${text},0]}]}`)
  return [
    ...shapes.map((shape) =>
      infer(
        `the shape ${JSON.stringify(shape)?.slice(0, 40)}`,
        'delay',
        x('FP32', shape, [1, 2]),
        Array.isArray(shape) && shape[0] === 0 ? INVALID : INVALID,
      ),
    ),
    ...data.map((given) => infer(`the data ${JSON.stringify(given)}`, 'delay', x('FP32', [1, 2], given))),
    ...['INT64', 'BYTES', 'fp32', '', 'FP16', 'BF16', '__proto__'].map((type) =>
      infer(`the datatype ${type}`, 'delay', x(type, [1, 2], [1, 2])),
    ),
    ...['9223372036854775808', '-9223372036854775809', '1.5', '1e3x', '"x"', 'NaN', 'null', '1e999'].map((text) =>
      post(`an int64 of ${text}`, '/v2/models/int64/infer', bare(text), INVALID),
    ),
    ...[256, -1, 1.5, '1'].map((value) => infer(`a uint8 of ${value}`, 'uint8', x('UINT8', [1, 2], [value, 0]))),
    infer('FP16 as JSON', 'fp16', x('FP16', [1, 2], [1, 2])),
    infer('data beside a binary size', 'delay', x('FP32', [1, 2], [1, 2], { parameters: { binary_data_size: 8 } })),
    infer('neither data nor a size', 'delay', x('FP32', [1, 2], undefined)),
    infer('an input that is unknown', 'delay', {
      inputs: [{ name: 'z', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
    }),
    infer('an input twice', 'delay', {
      inputs: [...x('FP32', [1, 2], [1, 2]).inputs, ...x('FP32', [1, 2], [1, 2]).inputs],
    }),
    infer('no inputs', 'delay', { inputs: [] }),
    infer('10^5 inputs', 'delay', { inputs: Array.from({ length: 100_000 }, () => 1) }),
    infer('10^5 outputs', 'delay', {
      ...x('FP32', [1, 2], [1, 2]),
      outputs: Array.from({ length: 100_000 }, () => ({ name: 'y' })),
    }),
    infer('an output that is unknown', 'delay', { ...x('FP32', [1, 2], [1, 2]), outputs: [{ name: 'z' }] }),
    infer('an output called __proto__', 'delay', { ...x('FP32', [1, 2], [1, 2]), outputs: [{ name: '__proto__' }] }),
    infer(
      'classes of 10^9',
      'delay',
      { ...x('FP32', [1, 2], [1, 2]), outputs: [{ name: 'y', parameters: { classification: 1e9 } }] },
      { status: [200, 400] },
    ),
    infer('classes of -1', 'delay', {
      ...x('FP32', [1, 2], [1, 2]),
      outputs: [{ name: 'y', parameters: { classification: -1 } }],
    }),
    infer('an id of 10,000 characters', 'delay', { ...x('FP32', [1, 2], [1, 2]), id: 'x'.repeat(10_000) }),
    infer('an id that is a number', 'delay', { ...x('FP32', [1, 2], [1, 2]), id: 5 }),
    infer(
      'shared memory',
      'delay',
      { ...x('FP32', [1, 2], [1, 2]), parameters: { shared_memory_region: 'x' } },
      { status: 501 },
    ),
    infer('a sequence', 'delay', { ...x('FP32', [1, 2], [1, 2]), parameters: { sequence_id: 1 } }, { status: 501 }),
    infer('1,000 parameters', 'delay', {
      ...x('FP32', [1, 2], [1, 2]),
      parameters: Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`p${index}`, 1])),
    }),
    infer('a timeout of -1', 'delay', { ...x('FP32', [1, 2], [1, 2]), parameters: { timeout: -1 } }),
    infer('a parameter that is a list', 'delay', { ...x('FP32', [1, 2], [1, 2]), parameters: { a: [] } }),
    infer(
      'half a surrogate pair in a text',
      'text',
      { inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['\ud800'] }] },
      { status: [200, 400] },
    ),
    infer(
      '1 MB of text',
      'text',
      { inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['x'.repeat(1 << 20)] }] },
      { status: [200, 400, 413] },
    ),
    infer('2^24 rows that are not there', 'delay', x('FP32', [2 ** 24, 2], [1])),
    infer('unload', 'delay/../../repository/models/delay/unload', {}, { status: [404, 405] }),
    post('unload', '/v2/repository/models/delay/unload', json({}), { status: 403 }),
    post('load of what is not there', '/v2/repository/models/__proto__/load', json({}), { status: 404 }),
  ]
}

function binaryCases(): HostileCase[] {
  const header = (size: unknown, shape: number[] = [1, 2], datatype = 'FP32') =>
    Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype, shape, parameters: { binary_data_size: size } }] }))
  const send = (
    name: string,
    model: string,
    head: Buffer,
    bytes: Uint8Array,
    length: string = String(head.length),
  ): HostileCase =>
    post(
      `binary, ${name}`,
      `/v2/models/${model}/infer`,
      { headers: [`inference-header-content-length: ${length}`], body: Buffer.concat([head, bytes]) },
      INVALID,
    )
  const eight = Buffer.alloc(8)
  return [
    ...[9, 7, -1, 1.5, 2 ** 53, 2 ** 32, null, '8', true].map((size) =>
      send(`a size of ${String(size)}`, 'delay', header(size), eight),
    ),
    ...['abc', '-1', '99999', '1e3', '0x10', '', '1'.repeat(30), ' 5', '5,5'].map((length) =>
      send(`a header length of ${length.slice(0, 12)}`, 'delay', header(8), eight, length),
    ),
    send('too many bytes', 'delay', header(8), Buffer.alloc(9)),
    send('too few bytes', 'delay', header(8), Buffer.alloc(7)),
    send('a shape that does not fit', 'delay', header(8, [2, 2]), eight),
    send('a shape of 2^40', 'delay', header(8, [2 ** 40, 2]), eight),
    send('a text of 2^32-1 bytes', 'text', header(8, [1], 'BYTES'), Buffer.from('ffffffff00000000', 'hex')),
    send('a text that is cut', 'text', header(8, [1], 'BYTES'), Buffer.from('0800000061616161', 'hex')),
    send('more texts than said', 'text', header(8, [1], 'BYTES'), Buffer.alloc(8)),
    send('a text that is no UTF-8', 'text', header(6, [1], 'BYTES'), Buffer.from('02000000ffff', 'hex')),
    send('an odd half float', 'fp16', header(3, [1, 2], 'FP16'), Buffer.alloc(3)),
    post(
      'binary, two headers of length',
      '/v2/models/delay/infer',
      {
        headers: ['inference-header-content-length: 5', 'inference-header-content-length: 6'],
        body: Buffer.concat([header(8), eight]),
      },
      INVALID,
    ),
    post(
      'binary, raw bytes that do not fit',
      '/v2/models/delay/infer',
      { headers: ['inference-header-content-length: 0'], body: Buffer.alloc(7) },
      INVALID,
    ),
    post(
      'binary, raw bytes for two inputs',
      '/v2/models/sums/infer',
      { headers: ['inference-header-content-length: 0'], body: eight },
      INVALID,
    ),
  ]
}

/** The gateway: three protocols over one plain HTTP server. */
export function gatewayCases(): HostileCase[] {
  const tensors = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
  return [
    ...httpCases('/predict/delay', GOOD),
    ...httpCases('/invocations/delay', '{"instances":[{"p":1,"q":2}]}'),
    ...httpCases('/v2/models/delay/infer', tensors),
    ...nameCases(),
    ...readCases(),
    ...entityCases(),
    ...rowCases(),
    ...tensorCases(),
    ...binaryCases(),
  ]
}
