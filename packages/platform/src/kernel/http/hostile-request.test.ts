import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestServer, sendRaw, type TestServer } from './http.fixture.ts'

let server: TestServer
beforeAll(async () => {
  server = await openTestServer()
})
afterAll(() => server.close())

const HOST = '{host}'
const request = (line: string, headers: readonly string[], body: string | Uint8Array = '', version = '1.1') => ({
  head: `${line} HTTP/${version}\r\n${headers.map((header) => `${header}\r\n`).join('')}connection: close\r\n\r\n`,
  body,
})
const post = (headers: readonly string[], body: string | Uint8Array) =>
  request('POST /probe', [HOST, `content-length: ${Buffer.byteLength(body)}`, ...headers], body)
const json = (body: string | Uint8Array, ...headers: string[]) =>
  post(['content-type: application/json', ...headers], body)
const chunkOf = (bytes: Uint8Array) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
const get = (target: string, ...headers: string[]) => request(`GET ${target}`, [HOST, ...headers])

interface Case {
  readonly name: string
  readonly input: { head: string; body: string | Uint8Array }
  readonly status: number
  readonly code?: string
  /** A part of the headers of the answer. */
  readonly head?: string
}

const CASES: readonly Case[] = [
  { name: 'a plain request', input: get('/probe/a?n=3'), status: 200 },
  { name: 'a plain body', input: json('{"a":1}'), status: 200 },
  // section 3.6: browsers against localhost
  {
    name: 'a form that posts text/plain',
    input: post(['content-type: text/plain'], '{"a":1}'),
    status: 415,
    code: 'http.form',
  },
  {
    name: 'a form, urlencoded',
    input: post(['content-type: application/x-www-form-urlencoded'], 'a=1'),
    status: 415,
    code: 'http.form',
  },
  {
    name: 'a multipart form',
    input: post(['content-type: multipart/form-data; boundary=x'], '--x--'),
    status: 415,
    code: 'http.form',
  },
  {
    name: 'a form type in capitals with a parameter',
    input: post(['Content-Type: TEXT/PLAIN; charset=utf-8'], '{"a":1}'),
    status: 415,
    code: 'http.form',
  },
  { name: 'an unknown media type', input: post(['content-type: application/xml'], '<a/>'), status: 415 },
  { name: 'a body without a type', input: post([], '{"a":1}'), status: 415 },
  { name: 'Origin null', input: json('{"a":1}', 'origin: null'), status: 403, code: 'http.origin' },
  { name: 'a foreign Origin', input: get('/probe/a', 'origin: http://evil.example'), status: 403, code: 'http.origin' },
  {
    name: 'our name on another port as Origin',
    input: get('/probe/a', 'origin: http://127.0.0.1:1'),
    status: 403,
    code: 'http.origin',
  },
  {
    name: 'our Origin under https',
    input: get('/probe/a', 'origin: https://{authority}'),
    status: 403,
    code: 'http.origin',
  },
  {
    name: 'our own Origin',
    input: get('/probe/a', 'origin: http://{authority}', 'sec-fetch-site: same-origin'),
    status: 200,
  },
  {
    name: 'Sec-Fetch-Site cross-site',
    input: get('/probe/a', 'sec-fetch-site: cross-site'),
    status: 403,
    code: 'http.cross_site',
  },
  {
    name: 'Sec-Fetch-Site same-site: another port of this machine',
    input: get('/probe/a', 'sec-fetch-site: same-site'),
    status: 403,
    code: 'http.cross_site',
  },
  {
    name: 'a rebound name with our port',
    input: request('GET /probe/a', ['host: attacker.example:{port}']),
    status: 403,
    code: 'http.host',
  },
  {
    name: 'localhost as a sub-domain',
    input: request('GET /probe/a', ['host: localhost.attacker.example:{port}']),
    status: 403,
    code: 'http.host',
  },
  {
    name: 'a wildcard DNS name',
    input: request('GET /probe/a', ['host: 127.0.0.1.nip.example:{port}']),
    status: 403,
    code: 'http.host',
  },
  {
    name: 'a private address',
    input: request('GET /probe/a', ['host: 10.0.0.1:{port}']),
    status: 403,
    code: 'http.host',
  },
  {
    name: 'a zone in the address',
    input: request('GET /probe/a', ['host: [::1%lo]:{port}']),
    status: 403,
    code: 'http.host',
  },
  { name: 'another port', input: request('GET /probe/a', ['host: 127.0.0.1:1']), status: 403, code: 'http.host' },
  { name: 'no port', input: request('GET /probe/a', ['host: 127.0.0.1']), status: 403, code: 'http.host' },
  {
    name: 'a path in Host',
    input: request('GET /probe/a', ['host: localhost:{port}/a?b@c']),
    status: 403,
    code: 'http.host',
  },
  { name: 'an empty Host', input: request('GET /probe/a', ['host:']), status: 403, code: 'http.host' },
  { name: 'no Host', input: request('GET /probe/a', []), status: 400, code: 'http.no_host' },
  { name: 'no Host, as a load balancer asks', input: request('GET /probe/a', [], '', '1.0'), status: 200 },
  {
    name: 'a foreign Host under HTTP/1.0',
    input: request('GET /probe/a', ['host: evil.example'], '', '1.0'),
    status: 403,
    code: 'http.host',
  },
  ...['origin: http://', 'sec-fetch-site: same-origin', 'accept-language: nb', 'cookie: a=b'].map((header) => ({
    name: `a browser whose Host a proxy has dropped: ${header}`,
    input: request('GET /probe/a', [header], '', '1.0'),
    status: 400,
    code: 'http.no_host',
  })),
  {
    name: 'a body without a Host',
    input: request('POST /probe', ['content-type: application/json', 'content-length: 2'], '{}', '1.0'),
    status: 400,
    code: 'http.no_host',
  },
  { name: 'two Hosts, the good one first', input: request('GET /probe/a', [HOST, 'host: evil.example']), status: 400 },
  { name: 'two Hosts, the good one last', input: request('GET /probe/a', ['host: evil.example', HOST]), status: 400 },
  {
    name: 'two Authorizations',
    input: get('/probe/a', 'authorization: Bearer a', 'authorization: Bearer b'),
    status: 400,
    code: 'http.duplicate_header',
  },
  {
    name: 'two Origins',
    input: get('/probe/a', 'origin: http://{authority}', 'origin: http://evil.example'),
    status: 400,
    code: 'http.duplicate_header',
  },
  {
    name: 'the absolute form with a foreign name',
    input: request('GET http://evil.example/probe/a', [HOST]),
    status: 400,
    code: 'http.absolute_form',
  },
  {
    name: 'the absolute form with our name',
    input: request('GET http://{authority}/probe/a', [HOST]),
    status: 400,
    code: 'http.absolute_form',
  },
  { name: 'a fragment in the target', input: get('/probe/a#b'), status: 400, code: 'http.bad_target' },
  { name: 'a network-path target', input: get('//evil.example/probe/a'), status: 400, code: 'http.bad_target' },
  { name: 'localhost by name', input: request('GET /probe/a', ['host: localhost:{port}']), status: 200 },
  { name: 'LOCALHOST in capitals', input: request('GET /probe/a', ['host: LOCALHOST:{port}']), status: 200 },
  // section 3.4: bodies
  { name: '__proto__ as a key', input: json('{"a":1,"__proto__":{"x":1}}'), status: 400, code: 'http.bad_json' },
  {
    name: '__proto__ spelled with an escape',
    input: json('{"a":1,"\\u005f_proto__":{"x":1}}'),
    status: 400,
    code: 'http.bad_json',
  },
  {
    name: 'constructor.prototype',
    input: json('{"a":1,"constructor":{"prototype":{"x":1}}}'),
    status: 400,
    code: 'http.bad_json',
  },
  {
    name: 'JSON 65 levels deep',
    input: json('['.repeat(65) + ']'.repeat(65)),
    status: 400,
    code: 'http.json_too_deep',
  },
  { name: 'JSON 64 levels deep', input: json('['.repeat(64) + ']'.repeat(64)), status: 200 },
  {
    name: 'half a million opening brackets',
    input: json('['.repeat(500_000)),
    status: 400,
    code: 'http.json_too_deep',
  },
  {
    name: 'more values than are taken, in little text',
    input: json(`[${'[[[]]],'.repeat(30_000)}0]`),
    status: 413,
    code: 'http.json_too_large',
  },
  {
    name: 'an object of more members than are taken',
    input: json(`{${Array.from({ length: 20_001 }, (_, at) => `"k${at}":0`).join()}}`),
    status: 413,
    code: 'http.json_too_large',
  },
  {
    name: 'JSON in UTF-16',
    input: post(['content-type: application/json; charset=utf-16'], '{"a":1}'),
    status: 415,
    code: 'http.charset',
  },
  {
    name: 'JSON that says UTF-8',
    input: post(['content-type: application/json; charset="UTF-8"'], '{"a":1}'),
    status: 200,
  },
  { name: 'brackets inside a text', input: json(`{"a":1,"b":"${'['.repeat(100)}\\"${'{'.repeat(100)}"}`), status: 200 },
  { name: 'a member named twice', input: json('{"a":1,"a":2}'), status: 400, code: 'http.bad_json' },
  {
    name: 'a member named twice deep inside',
    input: json('[{"x":{"\\u0061":1,"a":1}}]'),
    status: 400,
    code: 'http.bad_json',
  },
  { name: 'broken JSON', input: json('{"a":'), status: 400, code: 'http.bad_json' },
  { name: 'NaN', input: json('{"a":NaN}'), status: 400, code: 'http.bad_json' },
  { name: 'a number beyond all numbers', input: json('{"a":1e999}'), status: 400, code: 'http.invalid_request' },
  { name: 'an unknown key', input: json('{"a":1,"zz":2}'), status: 400, code: 'http.invalid_request' },
  {
    name: 'bytes that are not UTF-8',
    input: json(Buffer.from([0x7b, 0x22, 0x61, 0xff, 0x22, 0x7d])),
    status: 400,
    code: 'http.bad_utf8',
  },
  { name: 'a NUL in a text', input: json('{"a":1,"b":"x\\u0000"}'), status: 400, code: 'http.invalid_request' },
  { name: 'a NUL in a name', input: json('[{"x\\u0000":1}]'), status: 400, code: 'http.invalid_request' },
  {
    name: 'half a surrogate pair',
    input: json('{"a":1,"b":"x\\ud800"}'),
    status: 400,
    code: 'http.invalid_request',
  },
  { name: 'an empty body', input: json(''), status: 400 },
  {
    name: 'a body over the limit',
    input: json(`{"a":1,"b":"${'x'.repeat(1_100_000)}"}`),
    status: 413,
    code: 'http.body_too_large',
  },
  { name: 'gzip', input: json(gzipSync('{"a":1}'), 'content-encoding: gzip'), status: 200 },
  { name: 'zstd', input: json(zstdCompressSync('{"a":1}'), 'content-encoding: zstd'), status: 200 },
  {
    name: 'a gzip bomb',
    input: json(gzipSync(Buffer.alloc(64 * 2 ** 20, 0x20)), 'content-encoding: gzip'),
    status: 413,
    code: 'http.body_too_large',
  },
  {
    name: 'a zstd bomb',
    input: json(zstdCompressSync(Buffer.alloc(64 * 2 ** 20, 0x20)), 'content-encoding: zstd'),
    status: 413,
    code: 'http.body_too_large',
  },
  { name: 'brotli', input: json('x', 'content-encoding: br'), status: 415, code: 'http.content_encoding' },
  { name: 'gzip twice', input: json('x', 'content-encoding: gzip, gzip'), status: 415, code: 'http.content_encoding' },
  {
    name: 'something else under the name of gzip',
    input: json('{"a":1}', 'content-encoding: gzip'),
    status: 400,
    code: 'http.bad_encoding',
  },
  {
    name: 'gzip that ends early',
    input: json(gzipSync('{"a":1}').subarray(0, 15), 'content-encoding: gzip'),
    status: 400,
    code: 'http.bad_encoding',
  },
  {
    name: 'Transfer-Encoding with Content-Length',
    input: request(
      'POST /probe',
      [HOST, 'content-type: application/json', 'content-length: 7', 'transfer-encoding: chunked'],
      '7\r\n{"a":1}\r\n0\r\n\r\n',
    ),
    status: 400,
  },
  {
    name: 'two Content-Lengths',
    input: request(
      'POST /probe',
      [HOST, 'content-type: application/json', 'content-length: 7', 'content-length: 8'],
      '{"a":1} ',
    ),
    status: 400,
  },
  {
    name: 'a negative Content-Length',
    input: request('POST /probe', [HOST, 'content-type: application/json', 'content-length: -1'], '{"a":1}'),
    status: 400,
  },
  {
    name: 'a stream over its limit',
    input: request(
      'PUT /stream',
      [HOST, 'content-length: 2000', 'content-type: application/octet-stream'],
      'x'.repeat(2_000),
    ),
    status: 413,
    code: 'http.body_too_large',
  },
  {
    name: 'a stream of chunks over its limit',
    input: request(
      'PUT /stream',
      [HOST, 'transfer-encoding: chunked', 'content-type: application/octet-stream'],
      `7d0\r\n${'x'.repeat(2_000)}\r\n0\r\n\r\n`,
    ),
    status: 413,
    code: 'http.body_too_large',
  },
  {
    name: 'a stream within its limit',
    input: request(
      'PUT /stream',
      [HOST, 'content-length: 900', 'content-type: application/octet-stream'],
      'x'.repeat(900),
    ),
    status: 200,
  },
  {
    name: 'a stream of something else under the name of gzip',
    input: request(
      'PUT /stream',
      [HOST, 'content-length: 5', 'content-type: application/octet-stream', 'content-encoding: gzip'],
      'plain',
    ),
    status: 400,
    code: 'http.bad_encoding',
  },
  {
    name: 'a stream of gzip that ends early',
    input: request(
      'PUT /stream',
      [HOST, 'content-length: 15', 'content-type: application/octet-stream', 'content-encoding: gzip'],
      gzipSync('{"a":1}').subarray(0, 15),
    ),
    status: 400,
    code: 'http.bad_encoding',
  },
  {
    name: 'a stream of a gzip bomb',
    input: request(
      'PUT /stream',
      [HOST, 'transfer-encoding: chunked', 'content-type: application/octet-stream', 'content-encoding: gzip'],
      Buffer.concat([chunkOf(gzipSync(Buffer.alloc(1 << 20))), Buffer.from('0\r\n\r\n')]),
    ),
    status: 413,
    code: 'http.body_too_large',
  },
  {
    name: 'a stream of no gzip that is read later',
    input: request(
      'PUT /late-stream',
      [HOST, 'content-length: 5', 'content-type: application/octet-stream', 'content-encoding: gzip'],
      'plain',
    ),
    status: 400,
    code: 'http.bad_encoding',
  },
  {
    name: 'a stream of no gzip that is refused before it is read',
    input: request(
      'PUT /stream?zz=1',
      [HOST, 'content-length: 5', 'content-type: application/octet-stream', 'content-encoding: gzip'],
      'plain',
    ),
    status: 400,
    code: 'http.invalid_request',
  },
  { name: 'a stream without a body', input: request('PUT /stream', [HOST]), status: 200 },
  // section 3.1, as far as it concerns the core
  { name: 'a target that cannot be decoded', input: get('/probe/%zz'), status: 400 },
  { name: 'an encoded NUL', input: get('/probe/%00'), status: 400, code: 'http.invalid_request' },
  { name: 'an encoded slash', input: get('/probe/..%2f..%2fetc'), status: 400, code: 'http.invalid_request' },
  {
    name: 'a parameter of 2,000 characters',
    input: get(`/probe/${'a'.repeat(2_000)}`),
    status: 413,
    code: 'http.param_too_long',
  },
  { name: 'a query parameter twice', input: get('/probe/a?n=1&n=2'), status: 400, code: 'http.invalid_request' },
  { name: 'a query where none is declared', input: get('/big?zz=1'), status: 400, code: 'http.invalid_request' },
  { name: 'an unknown query parameter', input: get('/probe/a?zz=1'), status: 400, code: 'http.invalid_request' },
  { name: 'a path with another case', input: get('/PROBE/a'), status: 404, code: 'http.no_route' },
  { name: 'no path, by another method', input: request('DELETE /nothing', [HOST]), status: 404, code: 'http.no_route' },
  ...[
    ['DELETE /probe/a', 'GET, HEAD'],
    ['OPTIONS /probe/a?n=3', 'GET, HEAD'],
    ['TRACE /probe/a', 'GET, HEAD'],
    ['PROPFIND /probe/a', 'GET, HEAD'],
    [`DELETE /probe/${'a'.repeat(600)}`, 'GET, HEAD'],
    ['GET /probe', 'POST'],
    ['GET /stream', 'PUT'],
  ].map(([line, allow]) => ({
    name: `a method that the path has not: ${line!.slice(0, 20)}`,
    input: request(line!, [HOST]),
    status: 405,
    code: 'http.method',
    head: `\r\nallow: ${allow}\r\n`,
  })),
  { name: 'HEAD', input: request('HEAD /probe/a', [HOST]), status: 200, head: '\r\ncontent-type: application/json' },
  { name: 'HEAD of what fails', input: request('HEAD /broken', [HOST]), status: 500 },
  { name: 'HEAD of a file', input: request('HEAD /file', [HOST]), status: 405, head: '\r\nallow: GET\r\n' },
  { name: 'headers of 20 KiB', input: get('/probe/a', `x-long: ${'a'.repeat(20_000)}`), status: 431 },
  { name: 'a bare line feed in a header', input: get('/probe/a', 'x-a: b\nx-c: d\r\ne: f\u0000'), status: 400 },
  { name: 'a failing handler', input: get('/broken'), status: 500, code: 'internal.unexpected' },
  { name: 'an answer that breaks its contract', input: get('/lies'), status: 500, code: 'internal.unexpected' },
]

test.each(CASES)('openHttp() answers $status to: $name', async ({ input, status, code, head: said }) => {
  const authority = `127.0.0.1:${server.port}`
  const head = input.head
    .replaceAll(HOST, `host: ${authority}`)
    .replaceAll('{authority}', authority)
    .replaceAll('{port}', String(server.port))
  const answer = await sendRaw(server.port, [head, input.body])
  expect({ status: answer.status, body: answer.body.slice(0, 300) }).toMatchObject({ status })
  if (code !== undefined) expect(answer.body).toContain(`"code":"${code}"`)
  if (said !== undefined) expect(answer.head).toContain(said)
  if (status >= 400) expect(answer.head).toContain('application/problem+json')
  expect(answer.head.toLowerCase()).toContain('x-content-type-options: nosniff')
  expect(answer.body).not.toContain('secret-canary')
  expect(({} as { x?: unknown }).x).toBeUndefined()
})

test('a client that Node answers twice is not kept', async () => {
  const still = await fetch(`${server.url}/probe/a`)
  expect(still.status).toBe(200)
})
