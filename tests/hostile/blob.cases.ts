import { gzipSync } from 'node:zlib'
import { type Expectation, type HostileCase, type HostileInput, json, rawJson } from './case.ts'
import type { Seed } from './seed.ts'

const ZERO = `sha256:${'0'.repeat(64)}`
const INVALID: Expectation = { status: 400, code: 'http.invalid_request' }
const BAD_DIGESTS: readonly string[] = [
  'x',
  'sha256:',
  `sha256:${'0'.repeat(63)}`,
  `sha256:${'0'.repeat(65)}`,
  `sha256:${'A'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
  `sha256:${'0'.repeat(60)}%2fxx`,
  '..%2f..%2fetc',
  `sha256:${'0'.repeat(64)}%00`,
  `sha256:${'0'.repeat(64)}%0a`,
  `SHA256:${'0'.repeat(64)}`,
  `%20sha256:${'0'.repeat(64)}`,
  '__proto__',
  `sha256:${'٠'.repeat(64)}`.replaceAll('٠', '%D9%A0'),
  'missing',
]
const RANGES: readonly (readonly [range: string, status: number])[] = [
  ['bytes=0-1', 206],
  ['bytes=-2', 206],
  ['bytes=4-', 206],
  ['bytes=5-', 416],
  ['bytes=99999999999999-', 416],
  ['bytes=-0', 416],
  ['bytes=0-0,1-1', 200],
  [`bytes=${'0-,'.repeat(1_000)}`, 200],
  ['bytes=3-1', 200],
  ['lines=0-1', 200],
  ['bytes=a-b', 200],
  ['bytes=-', 200],
  ['bytes=1e3-', 200],
  ['bytes= 0-1', 200],
  [`bytes=0-${'9'.repeat(400)}`, 200],
]

/** Blobs and segments: bytes in, bytes out, named by what they are. */
export function blobCases(seed: Seed): HostileCase[] {
  const put = (name: string, target: string, parts: Partial<HostileInput>, expect: Expectation): HostileCase => ({
    name,
    input: { method: 'PUT', target, ...parts },
    expect,
  })
  const bytes = 'content-type: application/octet-stream'
  const segment = `/api/v1/serving/segments/gw/boot_${'0'.repeat(32)}`
  const wrong: Expectation = { status: 400 }
  return [
    ...BAD_DIGESTS.flatMap((digest) => [
      { name: `GET ${digest.slice(0, 24)}`, input: { target: `/api/v1/blobs/${digest}` }, expect: INVALID },
      put(`PUT ${digest.slice(0, 24)}`, `/api/v1/blobs/${digest}`, { headers: [bytes], body: 'x' }, INVALID),
    ]),
    ...RANGES.map(([range, status]) => ({
      name: range.slice(0, 30),
      input: { target: `/api/v1/blobs/${seed.blob}`, headers: [`range: ${range}`] },
      expect: { status },
    })),
    { name: 'a blob that is not there', input: { target: `/api/v1/blobs/${ZERO}` }, expect: { status: 404 } },
    {
      name: 'an If-None-Match of 8 KB',
      input: { target: `/api/v1/blobs/${seed.blob}`, headers: [`if-none-match: ${'"x",'.repeat(2_000)}`] },
      expect: { status: 200 },
    },
    put(
      'bytes of another digest',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes], body: 'x' },
      { status: [400, 409, 412] },
    ),
    put('no bytes', `/api/v1/blobs/${ZERO}`, { headers: [bytes, 'content-length: 0'] }, { status: [400, 409, 412] }),
    put(
      'a length beyond the limit',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, `content-length: ${2 ** 40}`], body: 'x' },
      { status: 413, code: 'http.body_too_large' },
    ),
    put(
      'fewer bytes than announced',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'content-length: 10'], body: 'x' },
      { status: [400, 408], withinMs: 20_000 },
    ),
    put(
      'a text that is another',
      `/api/v1/blobs/${ZERO}`,
      { headers: ['content-type: text/plain'], body: 'x' },
      { status: 400, code: 'blob.digest_mismatch' },
    ),
    put(
      'a multipart form',
      `/api/v1/blobs/${ZERO}`,
      { headers: ['content-type: multipart/form-data; boundary=x'], body: '--x--' },
      { status: 415, code: 'http.form' },
    ),
    put(
      'a length and chunks',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'content-length: 1', 'transfer-encoding: chunked'], body: '1\r\nx\r\n0\r\n\r\n' },
      { status: 400, code: 'http.bad_request' },
    ),
    put(
      'chunks of no size',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'transfer-encoding: chunked'], body: 'zz\r\nx\r\n0\r\n\r\n' },
      { status: 400 },
    ),
    put(
      'brotli',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'content-encoding: br'], body: 'x' },
      { status: 415, code: 'http.content_encoding' },
    ),
    put(
      'gzip of other bytes',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'content-encoding: gzip'], body: gzipSync('x') },
      { status: [400, 409, 412] },
    ),
    put(
      'no gzip under its name',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'content-encoding: gzip'], body: 'plain' },
      { status: 400, code: 'http.bad_encoding' },
    ),
    put(
      'a method override',
      `/api/v1/blobs/${ZERO}`,
      { headers: [bytes, 'x-http-method-override: DELETE'], body: 'x' },
      { status: [400, 409, 412] },
    ),
    ...[
      '[]',
      '{"digests":"x"}',
      '{"digests":["x"]}',
      '{"digests":[null]}',
      `{"digests":[${Array.from({ length: 10_001 }, () => `"${ZERO}"`).join(',')}]}`,
    ].map((text) => ({
      name: `missing ${text.slice(0, 30)}`,
      input: { method: 'POST', target: '/api/v1/blobs/missing', ...rawJson(text) },
      expect: INVALID,
    })),
    {
      name: 'the same digest 10,000 times',
      input: {
        method: 'POST',
        target: '/api/v1/blobs/missing',
        ...json({ digests: Array.from({ length: 10_000 }, () => ZERO) }),
      },
      expect: { status: 200 },
    },
    ...[
      ['random bytes', Buffer.from(Array.from({ length: 1_000 }, (_, index) => (index * 7919) % 251))],
      ['zeros', Buffer.alloc(1_000)],
      ['text', 'hello'],
      ['a length beyond the file', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
      ['JSON', '{"id":"x"}'],
      ['a torn frame', Buffer.from([4, 0, 0, 0, 1])],
    ].map(([name, body]) =>
      put(
        `a segment of ${String(name)}`,
        `${segment}/1`,
        { headers: [bytes], body: body as Uint8Array },
        { status: [200, 400] },
      ),
    ),
    put('a segment of sequence -1', `${segment}/-1`, { headers: [bytes], body: 'x' }, INVALID),
    put('a segment of sequence 1.5', `${segment}/1.5`, { headers: [bytes], body: 'x' }, INVALID),
    put('a segment of sequence 2^53', `${segment}/9007199254740992`, { headers: [bytes], body: 'x' }, INVALID),
    put(
      'a segment that is too large',
      `${segment}/1`,
      { headers: [bytes, `content-length: ${2 ** 30}`], body: 'x' },
      { status: 413 },
    ),
    put(
      'a segment of gzip',
      `${segment}/1`,
      { headers: [bytes, 'content-encoding: gzip'], body: gzipSync(Buffer.alloc(80 << 20)) },
      { status: 413 },
    ),
    put('a segment of another boot', '/api/v1/serving/segments/gw/boot_x/1', { headers: [bytes], body: 'x' }, INVALID),
    put('a segment of ../', '/api/v1/serving/segments/..%2fx/boot_x/1', { headers: [bytes], body: 'x' }, wrong),
  ]
}
