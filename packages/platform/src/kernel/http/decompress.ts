import type { IncomingMessage } from 'node:http'
import { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { PlimsollError } from '../errors.ts'

/** A stream of a body with Fastify's count of the bytes that arrived on the wire. */
export type BodyStream = Transform & { receivedEncodedLength?: number }

/**
 * Undoes `Content-Encoding: gzip` or `zstd`. Output is counted as it appears, so that a bomb ends at the limit. Brotli
 * is never taken: 64 MB of zeros compress 600,000 to 1.
 *
 * @throws media_type http.content_encoding
 */
export function decompressBody(raw: IncomingMessage, limitBytes: number): BodyStream | undefined {
  const encoding = raw.headers['content-encoding']?.trim().toLowerCase()
  if (encoding === undefined || encoding === 'identity') return undefined
  if (encoding !== 'gzip' && encoding !== 'zstd') {
    throw new PlimsollError(
      'media_type',
      'http.content_encoding',
      'Cannot read the body: its Content-Encoding is not gzip, zstd or identity',
    )
  }
  const unpack = encoding === 'gzip' ? createGunzip() : createZstdDecompress()
  let produced = 0
  const counted: BodyStream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      produced += chunk.length
      if (produced > limitBytes)
        done(
          new PlimsollError(
            'too_large',
            'http.body_too_large',
            `The body is larger than ${limitBytes} bytes when unpacked`,
          ),
        )
      else done(null, chunk)
    },
  })
  counted.receivedEncodedLength = 0
  // Whoever reads the stream meets the error there. Nobody may read it yet, or ever: that must not end the process.
  counted.on('error', () => {})
  raw.on('data', (chunk: Buffer) => {
    counted.receivedEncodedLength = (counted.receivedEncodedLength ?? 0) + chunk.length
  })
  const fail = () =>
    counted.destroy(
      new PlimsollError('invalid', 'http.bad_encoding', `Cannot read the body: it is not valid ${encoding}`),
    )
  unpack.on('error', fail)
  raw.on('error', () =>
    counted.destroy(new PlimsollError('invalid', 'http.body_cut', 'Cannot read the body: it ended early')),
  )
  counted.on('close', () => {
    raw.unpipe(unpack)
    unpack.destroy()
    raw.resume()
  })
  raw.pipe(unpack).pipe(counted)
  return counted
}
