import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { collectBody } from './collect-body.ts'
import { decompressBody } from './decompress.ts'

const FAULTS = { tooLarge: () => new Error('too large'), cut: () => new Error('cut') }
const collect = (chunks: Iterable<Buffer>, limitBytes = 1_000_000) =>
  collectBody(Readable.from(chunks, { objectMode: false }), limitBytes, FAULTS)

function* pieces(bytes: Buffer, width: number) {
  for (let at = 0; at < bytes.length; at += width) yield bytes.subarray(at, at + width)
}
const BYTES = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 31) % 256))

test.each([1, 3, 1_000, 16_384, 99_999, 100_000])(
  'collectBody() gives the bytes as they came, in chunks of %i',
  async (width) => {
    expect((await collect(pieces(BYTES, width))).equals(BYTES)).toBe(true)
  },
)

test('collectBody() gives no bytes for an empty body', async () => {
  expect(await collect([])).toHaveLength(0)
})

test('collectBody() takes a body of exactly the limit, and none beyond it', async () => {
  expect(await collect(pieces(BYTES, 7), BYTES.length)).toHaveLength(BYTES.length)
  await expect(collect(pieces(BYTES, 7), BYTES.length - 1)).rejects.toThrow('too large')
  await expect(collect([BYTES], 10)).rejects.toThrow('too large')
})

test('collectBody() leaves the chunks alone, which belong to the stream', async () => {
  const shared = Buffer.from('abcdef')
  await collect([shared.subarray(0, 2), Buffer.from('XY')])
  expect(shared.toString()).toBe('abcdef')
})

test('collectBody() refuses a stream that fails or closes before its end', async () => {
  const failing = new Readable({ read: () => {} })
  const failed = collectBody(failing, 10, FAULTS)
  failing.destroy(new Error('broken'))
  await expect(failed).rejects.toThrow('cut')
  const closing = new Readable({ read: () => {} })
  const closed = collectBody(closing, 10, FAULTS)
  closing.destroy()
  await expect(closed).rejects.toThrow('cut')
})

test('decompressBody() ends with the body that it unpacks', async () => {
  const raw = Object.assign(new PassThrough(), { headers: { 'content-encoding': 'gzip' } })
  const unpacked = decompressBody(raw as unknown as IncomingMessage, 1_000)! // its headers and its bytes are looked at
  const fault = once(unpacked, 'error')
  raw.write(gzipSync('whole').subarray(0, 12))
  raw.destroy(new Error('aborted'))
  expect(await fault).toMatchObject([{ kind: 'invalid', code: 'http.body_cut' }])
})
