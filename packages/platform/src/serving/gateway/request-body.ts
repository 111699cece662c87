import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { expandBody, replaceNonFinite } from '../../inference/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { collectBody } from '../../kernel/http/collect-body.ts'
import { refuseCharset, refuseLargeJson } from '../../kernel/http/json.ts'
import { hasRepeatedMember, JSON_DEPTH_MAX, JSON_VALUES_MAX, outlineJson } from '../../kernel/http/json-outline.ts'

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
export async function readBody(
  request: IncomingMessage,
  limitBytes: number,
  askForBody: (() => void) | undefined,
): Promise<Uint8Array> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
  askForBody?.()
  const body = await collectBody(request, limitBytes, { tooLarge: () => tooLarge(limitBytes), cut: bodyCut })
  const encoding = request.headers['content-encoding']
  return encoding === undefined ? body : await expandBody(body, encoding, limitBytes)
}

/**
 * Lets a body pass unread, never more than `limitBytes`: the answer then finds a client that reads, and the connection is
 * at its next request.
 * @throws too_large serving.body_too_large · invalid serving.body_cut
 */
export function discardBody(request: IncomingMessage, limitBytes: number): Promise<void> {
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
  return new Promise((resolve, reject) => {
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) reject(tooLarge(limitBytes))
    })
    request.once('end', resolve)
    request.once('error', () => reject(bodyCut()))
    request.once('close', () => reject(bodyCut()))
  })
}

function bodyCut(): PlimsollError {
  return new PlimsollError(
    'invalid',
    'serving.body_cut',
    'Cannot read the request: the connection closed before its body ended',
  )
}

const badJson = (why: string) => new PlimsollError('invalid', 'serving.bad_json', `Cannot read the request: ${why}`)

/** What MLflow writes of a data frame has a bare NaN for each missing value. */
function parseWithNaN(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const nulled = text.includes('NaN') ? replaceNonFinite(text, (token) => (token === 'NaN' ? 'null' : token)) : text
    if (nulled === text) throw error
    try {
      return JSON.parse(nulled)
    } catch {
      throw error // it names the fault in the client's own text
    }
  }
}

/** With `nanIsNull` a bare NaN is null. @throws invalid serving.bad_json · too_large http.json_too_large */
export function parseJson(body: Uint8Array, { nanIsNull = false, valuesMax = JSON_VALUES_MAX } = {}): unknown {
  const outline = outlineJson(body, JSON_DEPTH_MAX, { valuesMax })
  if (outline.isTooDeep) throw badJson('its JSON nests deeper than 64 levels')
  refuseLargeJson(outline, 'Send fewer rows at a time')
  // Buffer would put a replacement character there: another key than the one that was sent
  if (!isUtf8(body)) throw badJson('its body is not UTF-8')
  let value: unknown
  try {
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
    value = nanIsNull ? parseWithNaN(text) : JSON.parse(text)
  } catch (error) {
    throw badJson(`its body is not JSON (${(error as Error).message.slice(0, 200)})`)
  }
  if (hasRepeatedMember(outline, value)) throw badJson('an object in its body names a member twice')
  return value
}

/** What a client names that sends JSON, or says nothing of it. */
const JSON_TYPES = /^application\/(?:(?:[\w.-]+\+)?json|octet-stream)$/

/** @throws invalid serving.bad_json · too_large http.json_too_large · media_type serving.media_type · http.charset */
export function readJson(
  request: IncomingMessage,
  body: Uint8Array,
  options: { nanIsNull: boolean; valuesMax: number | undefined },
): unknown {
  refuseCharset(request.headers['content-type'])
  try {
    return parseJson(body, options)
  } catch (error) {
    const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? ''
    if (type === '' || JSON_TYPES.test(type)) throw error
    throw new PlimsollError(
      'media_type',
      'serving.media_type',
      `Cannot take ${type.slice(0, 100)}: expected application/json`,
    )
  }
}
