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
