import { PlimsollError } from '../errors.ts'
import { hasRepeatedMember, type JsonOutline, outlineJson } from './json-outline.ts'

/**
 * Refuses JSON that is nested too deeply, before it is parsed.
 *
 * @throws invalid http.json_too_deep
 */
export function refuseDeepJson(bytes: Uint8Array, depthMax: number): JsonOutline {
  const outline = outlineJson(bytes, depthMax)
  if (outline.isTooDeep)
    throw new PlimsollError(
      'invalid',
      'http.json_too_deep',
      `Cannot read the body: its JSON is nested deeper than ${depthMax} levels`,
    )
  return outline
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
