import { PlimsollError } from '../errors.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = new Set([0x5b, 0x7b])
const CLOSE = new Set([0x5d, 0x7d])

/**
 * Refuses JSON that is nested too deeply, before it is parsed. Linear, allocates nothing; works on UTF-8 bytes because
 * no multi-byte sequence contains the bytes of quotes or brackets.
 *
 * @throws invalid http.json_too_deep
 */
export function refuseDeepJson(bytes: Uint8Array, depthMax: number): void {
  let depth = 0
  let isInString = false
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]!
    if (isInString) {
      if (byte === BACKSLASH) index++
      else if (byte === QUOTE) isInString = false
    } else if (byte === QUOTE) isInString = true
    else if (OPEN.has(byte)) {
      if (++depth > depthMax) {
        throw new PlimsollError(
          'invalid',
          'http.json_too_deep',
          `Cannot read the body: its JSON is nested deeper than ${depthMax} levels`,
        )
      }
    } else if (CLOSE.has(byte)) depth--
  }
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
