/** What a body may nest where no setting says otherwise. */
export const JSON_DEPTH_MAX = 64
/** Values that a body may hold where no endpoint says otherwise. */
export const JSON_VALUES_MAX = 100_000
/** Members of one object. Of more, those that nobody knows cost seconds: the engine keeps a table of all their names. */
export const JSON_MEMBERS_MAX = 20_000
const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c]
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP] = [0x5b, 0x5d, 0x7b, 0x7d]

/** How much a JSON text may hold. */
export interface JsonBounds {
  readonly valuesMax: number
  /** Members of one object. */
  readonly membersMax?: number
}

/** What the bytes of a JSON text show before any parsing. */
export interface JsonOutline {
  /** Brackets nest deeper than is allowed; the rest has not been looked at. */
  readonly isTooDeep: boolean
  /** Says which bound is passed, where one is; the rest has not been looked at. */
  readonly excess?: string
  /** Members that its objects name, in all, where it is JSON. */
  readonly members: number
}

/**
 * One pass over the bytes; strings are skipped. Works on UTF-8 because no multi-byte sequence contains the bytes of quotes
 * or brackets. Values are counted by commas and opening brackets, so that an empty list counts, and a full one not much
 * more than what it holds.
 */
export function outlineJson(bytes: Uint8Array, depthMax = JSON_DEPTH_MAX, bounds?: JsonBounds): JsonOutline {
  const { valuesMax = Number.POSITIVE_INFINITY, membersMax = JSON_MEMBERS_MAX } = bounds ?? {}
  // Members so far of what is open at each depth.
  const widths = new Uint32Array(depthMax + 1)
  let depth = 0
  let members = 0
  let values = 0
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (byte === QUOTE) {
      for (index++; index < bytes.length && bytes[index] !== QUOTE; index++) if (bytes[index] === BACKSLASH) index++
    } else if (byte === COLON) {
      members++
      if (bounds && ++widths[depth]! > membersMax)
        return { isTooDeep: false, excess: `an object in it has more than ${membersMax} members`, members }
    } else if (byte === COMMA || byte === OPEN_LIST || byte === OPEN_MAP) {
      if (++values > valuesMax)
        return { isTooDeep: false, excess: `its JSON holds more than ${valuesMax} values`, members }
      if (byte === COMMA) continue
      if (++depth > depthMax) return { isTooDeep: true, members }
      widths[depth] = 0
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
