import { PlimsollError } from '../errors.ts'
import { hasRepeatedMember, type JsonBounds, type JsonOutline, outlineJson } from './json-outline.ts'

/** What to do about a body of too many values, where its reader knows nothing better. */
const SEND_LESS = 'Send it in several requests, or put what is long into a file or a dataset'

/** Refuses a text that its outline found too large to be parsed. @throws too_large http.json_too_large */
export function refuseLargeJson({ excess }: JsonOutline, action = SEND_LESS): void {
  if (excess !== undefined)
    throw new PlimsollError('too_large', 'http.json_too_large', `Cannot read the body: ${excess}`, { action })
}

/**
 * Refuses JSON that is nested too deeply or holds too much, before it is parsed: to check and keep a value costs up to a
 * thousand times the byte that it takes.
 *
 * @throws invalid http.json_too_deep · too_large http.json_too_large
 */
export function refuseUnboundedJson(bytes: Uint8Array, depthMax: number, bounds: JsonBounds): JsonOutline {
  const outline = outlineJson(bytes, depthMax, bounds)
  if (outline.isTooDeep)
    throw new PlimsollError(
      'invalid',
      'http.json_too_deep',
      `Cannot read the body: its JSON is nested deeper than ${depthMax} levels`,
    )
  refuseLargeJson(outline)
  return outline
}

const UTF8 = /^"?utf-?8"?$/i

/** JSON is UTF-8 (RFC 8259, 8.1); what says otherwise would be read as what it is not. @throws media_type http.charset */
export function refuseCharset(contentType: string | undefined): void {
  const charset = /;\s*charset\s*=\s*([^;\s]*)/i.exec(contentType ?? '')?.[1]
  if (charset !== undefined && !UTF8.test(charset))
    throw new PlimsollError(
      'media_type',
      'http.charset',
      `Cannot read the body: its charset is ${charset.slice(0, 60)}, and JSON is taken in utf-8 only`,
    )
}

/**
 * Refuses a text whose parser had to choose between two members of one name: what was signed or reviewed may not be what
 * is done. @throws invalid http.bad_json
 */
export function refuseRepeatedMember(outline: JsonOutline, parsed: unknown): void {
  if (hasRepeatedMember(outline, parsed))
    throw new PlimsollError('invalid', 'http.bad_json', 'Cannot read the body: an object in it names a member twice')
}

/** JSON text of an answer: a bigint is a number where that is exact, else a string. */
export function formatJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== 'bigint') return member
    return member >= BigInt(Number.MIN_SAFE_INTEGER) && member <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(member)
      : String(member)
  })
}
