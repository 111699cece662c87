import { isPlimsollError, PlimsollError } from '../kernel/errors.ts'
import { refuseLargeJson } from '../kernel/http/json.ts'
import { hasRepeatedMember, JSON_DEPTH_MAX, outlineJson } from '../kernel/http/json-outline.ts'

/** More elements are for binary data, which is read without making a value of each. */
const VALUES_MAX = 2_000_000

const malformed = (detail: string) =>
  new PlimsollError('invalid', 'inference.json_malformed', `Cannot read the inference request: ${detail}`)

/** Stands for a bare token outside strings; revived to the number. No JSON text of a client can hold an unescaped U+0000. */
const NON_FINITE = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])
const MARK = '\u0000plimsoll:'

/**
 * Replaces the bare tokens NaN and Infinity outside strings. No one pattern for strings: it would need stack for each
 * character of a long one.
 */
export function replaceNonFinite(text: string, standIn: (token: string) => string): string {
  const start = /"|-?Infinity|NaN/g
  const stop = /["\\]/g
  let replaced = ''
  let from = 0
  for (let found = start.exec(text); found; found = start.exec(text)) {
    if (found[0] === '"') {
      stop.lastIndex = start.lastIndex
      while (stop.exec(text)?.[0] === '\\') stop.lastIndex++
      if (stop.lastIndex === 0) break // the string does not end
      start.lastIndex = stop.lastIndex
    } else {
      replaced += text.slice(from, found.index) + standIn(found[0])
      from = start.lastIndex
    }
  }
  return replaced + text.slice(from)
}

/** Where a number may be that no double holds: 200 digits, or an exponent of three. */
const MAY_OVERFLOW = /(?<!\d)\d{200}|[eE]\+?0*[1-9]\d\d/

/** Numbers beyond 2^53 keep their digits: they come back as bigint. One that became Infinity is another than was sent. */
function reviveExact(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value === 'string' && value.startsWith(MARK)) return NON_FINITE.get(value.slice(MARK.length)) ?? value
  const source = context?.source
  if (typeof value === 'number' && !Number.isSafeInteger(value) && source && /^-?\d+$/.test(source))
    return BigInt(source)
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY)
    throw malformed(`a number in it is beyond what a double holds: ${source?.slice(0, 60)}`)
  return value
}

/**
 * JSON of an inference request, with the bare tokens NaN and Infinity that Python clients send. With `isExact`, integers
 * that a double cannot hold come back as bigint.
 *
 * @throws invalid inference.json_malformed | inference.json_too_deep · too_large http.json_too_large
 */
export function parseInferJson(bytes: Uint8Array, isExact: boolean): unknown {
  const outline = outlineJson(bytes, JSON_DEPTH_MAX, { valuesMax: VALUES_MAX })
  if (outline.isTooDeep)
    throw new PlimsollError(
      'invalid',
      'inference.json_too_deep',
      'Cannot read the inference request: it is nested deeper than 64 levels',
    )
  refuseLargeJson(outline, 'Send the tensors as binary data')
  const value = parseText(bytes, isExact)
  if (hasRepeatedMember(outline, value)) throw malformed('an object in it names a member twice')
  return value
}

function parseText(bytes: Uint8Array, isExact: boolean): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformed('it is not UTF-8')
  }
  // the exact form costs ten times a plain parse: only where a long number can be an integer tensor's
  const parse = (json: string, isMarked: boolean) =>
    isMarked || (isExact && /\d{16}/.test(json)) || MAY_OVERFLOW.test(json)
      ? JSON.parse(json, reviveExact)
      : JSON.parse(json)
  try {
    return parse(text, false)
  } catch (thrown) {
    if (isPlimsollError(thrown)) throw thrown
    const marked = /NaN|Infinity/.test(text) ? replaceNonFinite(text, (token) => `"\\u0000plimsoll:${token}"`) : text
    try {
      if (marked !== text) return parse(marked, true)
    } catch (second) {
      if (isPlimsollError(second)) throw second
      // the first message names the fault in the client's own text
    }
    throw malformed(thrown instanceof SyntaxError ? thrown.message.slice(0, 200) : 'it is not JSON')
  }
}
