import { inWords } from '@plimsoll/sdk/wire'
import type { z } from 'zod'
import { hasRepeatedMember, JSON_DEPTH_MAX, outlineJson } from '../kernel/http/json-outline.ts'
import { UsageError } from './exit-code.ts'

/** A name as one part of a path. `.` and `..` would name another place. */
export function segment(text: string | undefined, what: string): string {
  const given = text ?? ''
  if (given.trim() === '' || given === '.' || given === '..')
    throw new UsageError(`Cannot use "${given}" as the name of a ${what}`)
  return encodeURIComponent(given)
}

/** A whole number from `min` on. */
export function wholeNumber(text: string | undefined, what: string, min = 1): number {
  const value = /^\d{1,15}$/.test(text ?? '') ? Number(text) : Number.NaN
  if (Number.isNaN(value) || value < min)
    throw new UsageError(`Cannot use "${text ?? ''}" as ${what}: expected a whole number from ${min} on`)
  return value
}

/** A value as the contract has it. */
export function checked<S extends z.ZodType>(
  schema: S,
  text: string | undefined,
  what: string,
  action?: string,
): z.output<S> {
  const parsed = schema.safeParse(text, { error: inWords })
  if (parsed.success) return parsed.data
  throw new UsageError(`Cannot use "${text ?? ''}" as ${what}: ${parsed.error.issues[0]!.message}`, action)
}

/** How many entries to ask for. */
export function limitOf(options: { limit?: string }, fallback: number): number {
  return options.limit === undefined ? fallback : wholeNumber(options.limit, '--limit')
}

/** One of a few words. */
export function oneOf<W extends string>(text: string | undefined, words: readonly W[], what: string): W | undefined {
  if (text === undefined) return undefined
  const found = words.find((word) => word === text)
  if (found === undefined) throw new UsageError(`Cannot use "${text}" as ${what}: expected one of ${words.join(', ')}`)
  return found
}

const SHOWN_CHARS_MAX = 80

/**
 * The value of a JSON argument, which `what` stands before in a refusal; undefined when it is no JSON. What the server
 * would refuse or read as another value is refused here: a number beyond JSON's range, which would be sent as null, an
 * integer that would be rounded, a member that is named twice, and a member `__proto__`. @throws UsageError
 */
export function readJson(text: string, what: string): unknown {
  const refuse = (why: string) => new UsageError(`Cannot read ${what}${text.slice(0, SHOWN_CHARS_MAX)}: ${why}`)
  const revive = (name: string, value: unknown, context?: { source?: string }) => {
    if (name === '__proto__') throw refuse('it has a member __proto__')
    if (typeof value !== 'number') return value
    if (!Number.isFinite(value)) throw refuse('a number is too large; to give a text, put it into double quotes')
    if (/^-?\d+$/.test(context?.source ?? '') && !Number.isSafeInteger(value))
      throw refuse('an integer is beyond 2^53 and would be rounded; to give a text, put it into double quotes')
    return value
  }
  try {
    const outline = outlineJson(Buffer.from(text))
    if (outline.isTooDeep) throw refuse(`it is nested deeper than ${JSON_DEPTH_MAX} levels`)
    const value = JSON.parse(text, revive) as unknown
    if (hasRepeatedMember(outline, value)) throw refuse('an object in it names a member twice')
    return value
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    return undefined
  }
}
