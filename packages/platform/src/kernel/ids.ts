import { randomBytes, randomFillSync, randomInt } from 'node:crypto'
import { type Clock, realClock } from './clock.ts'

/** A branded identifier: neither a plain string nor an `Id<'mv'>` is assignable to `Id<'run'>`. */
export type Id<Prefix extends string> = string & { readonly __prefix: Prefix }

const UUID_BYTES = 16
/** Random bytes drawn ahead: a draw costs as much as a hundred ids. */
const drawn = Buffer.alloc(256 * UUID_BYTES)
let used = drawn.length

/** The 32 digits of a UUID version 7, made in the drawn bytes themselves, which are used once. */
function uuidv7Hex(clock: Clock): string {
  if (used === drawn.length) {
    randomFillSync(drawn)
    used = 0
  }
  drawn.writeUIntBE(Math.max(0, Math.floor(clock.nowMs())), used, 6)
  drawn[used + 6] = (drawn[used + 6]! & 0x0f) | 0x70
  drawn[used + 8] = (drawn[used + 8]! & 0x3f) | 0x80
  const hex = drawn.toString('hex', used, used + UUID_BYTES)
  used += UUID_BYTES
  return hex
}

/**
 * UUID version 7: 48 bits of Unix milliseconds, then random bits.
 * @source RFC 9562, section 5.7
 */
export function uuidv7(clock: Clock = realClock): string {
  const hex = uuidv7Hex(clock)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** Milliseconds since the epoch that a version 7 UUID carries, or undefined when it is not one. */
export function uuidv7Ms(id: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)) return undefined
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

/** `run_018f…`: a prefix and a time-ordered UUID without dashes. */
export function newId<Prefix extends string>(prefix: Prefix, clock: Clock = realClock): Id<Prefix> {
  return `${prefix}_${uuidv7Hex(clock)}` as Id<Prefix> // it has the prefix
}

/** `count` random bytes as lower-case hex. */
export function randomHex(count: number): string {
  return randomBytes(count).toString('hex')
}

/** A uniform integer in [0, limit). */
export function randomBelow(limit: number): number {
  return randomInt(limit)
}

/** A uniform number in [0, 1). */
export function randomUnit(): number {
  return randomInt(2 ** 48 - 1) / 2 ** 48
}
