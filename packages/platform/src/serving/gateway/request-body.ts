import type { IncomingMessage } from 'node:http'
import { expandBody } from '../../inference/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { collectBody } from '../../kernel/http/collect-body.ts'

function tooLarge(limitBytes: number): PlimsollError {
  return new PlimsollError(
    'too_large',
    'serving.body_too_large',
    `Cannot read the request: its body is larger than ${limitBytes} bytes`,
  )
}

/**
 * The whole body, decompressed (`gzip`, `deflate`), never larger than `limitBytes`, packed or not.
 * @throws too_large serving.body_too_large · inference.body_too_large · media_type inference.encoding_unsupported · invalid inference.encoding_malformed · serving.body_cut
 */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
  const body = await collectBody(request, limitBytes, { tooLarge: () => tooLarge(limitBytes), cut: bodyCut })
  const encoding = request.headers['content-encoding']
  return encoding === undefined ? body : await expandBody(body, encoding, limitBytes)
}

function bodyCut(): PlimsollError {
  return new PlimsollError(
    'invalid',
    'serving.body_cut',
    'Cannot read the request: the connection closed before its body ended',
  )
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
  if (isTooDeep(body))
    throw new PlimsollError(
      'invalid',
      'serving.bad_json',
      `Cannot read the request: its JSON nests deeper than ${DEPTH_MAX} levels`,
    )
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch (error) {
    throw new PlimsollError(
      'invalid',
      'serving.bad_json',
      `Cannot read the request: its body is not JSON (${(error as Error).message.slice(0, 200)})`,
    )
  }
}
