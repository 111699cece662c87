import type { IncomingMessage } from 'node:http'
import { createGunzip, createInflate } from 'node:zlib'
import { PlimsollError } from '../../kernel/errors.ts'

function tooLarge(limitBytes: number): PlimsollError {
  return new PlimsollError('too_large', 'serving.body_too_large', `Cannot read the request: its body is larger than ${limitBytes} bytes`)
}

/**
 * The whole body, decompressed (`gzip`, `deflate`), counting bytes as they appear.
 * @throws too_large serving.body_too_large · media_type serving.encoding · invalid serving.bad_compression
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase()
  const declared = Number(request.headers['content-length'] ?? 0)
  if (encoding === 'identity' && declared > limitBytes) return Promise.reject(tooLarge(limitBytes))
  if (encoding === 'identity') return collect(request, limitBytes)
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    return Promise.reject(new PlimsollError('media_type', 'serving.encoding', `Cannot read the request: content encoding "${encoding.slice(0, 40)}" is not gzip or deflate`))
  }
  const inflate = encoding === 'gzip' ? createGunzip() : createInflate()
  request.once('error', (error) => inflate.destroy(error))
  return collect(request.pipe(inflate), limitBytes).catch((error: unknown) => {
    request.unpipe(inflate)
    inflate.destroy()
    if (error instanceof PlimsollError) throw error
    throw new PlimsollError('invalid', 'serving.bad_compression', `Cannot read the request: its ${encoding} body is damaged`, {}, error)
  })
}

function collect(source: NodeJS.ReadableStream, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    source.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) {
        source.pause()
        source.removeAllListeners('data')
        reject(tooLarge(limitBytes))
      } else chunks.push(chunk)
    })
    source.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    source.once('error', reject)
    source.once('close', () => reject(new PlimsollError('invalid', 'serving.body_cut', 'Cannot read the request: the connection closed before its body ended')))
  })
}

const DEPTH_MAX = 64

/** True when brackets nest deeper than the house allows; strings are skipped. A pass over bytes, before any parsing. */
export function isTooDeep(body: Uint8Array, depthMax = DEPTH_MAX): boolean {
  let depth = 0
  for (let index = 0; index < body.length; index++) {
    const byte = body[index]
    if (byte === 0x22) {
      for (index++; index < body.length && body[index] !== 0x22; index++) if (body[index] === 0x5c) index++
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > depthMax) return true
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return false
}

/** @throws invalid serving.bad_json */
export function parseJson(body: Uint8Array): unknown {
  if (isTooDeep(body)) throw new PlimsollError('invalid', 'serving.bad_json', `Cannot read the request: its JSON nests deeper than ${DEPTH_MAX} levels`)
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch (error) {
    throw new PlimsollError('invalid', 'serving.bad_json', `Cannot read the request: its body is not JSON (${(error as Error).message.slice(0, 200)})`)
  }
}
