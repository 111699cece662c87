/** What a body may nest where no setting says otherwise. */
export const JSON_DEPTH_MAX = 64
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a]
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP] = [0x5b, 0x5d, 0x7b, 0x7d]

/** What the bytes of a JSON text show before any parsing. */
export interface JsonOutline {
  /** Brackets nest deeper than is allowed; the rest has not been looked at. */
  readonly isTooDeep: boolean
  /** Members that its objects name, in all, where it is JSON. */
  readonly members: number
}

/**
 * One pass over the bytes; strings are skipped. Works on UTF-8 because no multi-byte sequence contains the bytes of quotes
 * or brackets.
 */
export function outlineJson(bytes: Uint8Array, depthMax = JSON_DEPTH_MAX): JsonOutline {
  let depth = 0
  let members = 0
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte === QUOTE) {
      for (index++; index < bytes.length && bytes[index] !== QUOTE; index++) if (bytes[index] === BACKSLASH) index++
    } else if (byte === COLON) members++
    else if (byte === OPEN_LIST || byte === OPEN_MAP) {
      if (++depth > depthMax) return { isTooDeep: true, members }
    } else if (byte === CLOSE_LIST || byte === CLOSE_MAP) depth--
  }
  return { isTooDeep: false, members }
}

/** True when an object of the text named a member twice: the parser keeps the last, so that the value has fewer. */
export function hasRepeatedMember({ members }: JsonOutline, parsed: unknown): boolean {
  return countMembers(parsed) < members
}

/** Of a value that JSON.parse made, not deeper than its outline allows. `for in` makes no list: this is paid by every request. */
function countMembers(value: unknown): number {
  let count = 0
  if (Array.isArray(value)) for (const one of value) count += typeof one === 'object' ? countMembers(one) : 0
  else if (typeof value === 'object' && value !== null) {
    for (const name in value) {
      const one: unknown = value[name as keyof typeof value]
      count += 1 + (typeof one === 'object' ? countMembers(one) : 0)
    }
  }
  return count
}
