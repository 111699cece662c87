const DAY = /^\d{4}-\d{2}-\d{2}$/
const INSTANT =
  /^\d{4}-\d{2}-\d{2}[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)? ?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** A day of the calendar as the Unix time in milliseconds at which it begins in UTC, undefined where it is none. */
export function parseDay(text: string): number | undefined {
  if (!DAY.test(text)) return undefined
  const ms = Date.parse(text)
  // Date.parse takes 30 February for 2 March.
  return new Date(Number.isNaN(ms) ? 0 : ms).toISOString().startsWith(text) ? ms : undefined
}

/**
 * An RFC 3339 time, with a blank for its T and without seconds too, or a day, as Unix time in milliseconds; undefined where
 * it is neither. What a lenient reader would guess is none.
 */
export function parseInstant(text: string): number | undefined {
  if (DAY.test(text)) return parseDay(text)
  if (!INSTANT.test(text) || parseDay(text.slice(0, 10)) === undefined) return undefined
  return Date.parse(`${text.slice(0, 10)}T${text.slice(11).replace(' ', '').toUpperCase()}`)
}

/** The same as Unix time in whole microseconds, of which Date knows the thousands only; what is finer is cut off. */
export function parseInstantUs(text: string): bigint | undefined {
  const [, fraction = ''] = /\.(\d+)/.exec(text) ?? []
  const ms = parseInstant(fraction === '' ? text : text.replace(`.${fraction}`, ''))
  return ms === undefined ? undefined : BigInt(ms) * 1_000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'))
}
