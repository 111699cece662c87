import { z } from 'zod'

/** Versions, epochs, sequences and positions of rows are stored in 32 bits. */
export const COUNT_MAX = 2_147_483_647

/** A whole number from 0 to `COUNT_MAX`. */
export const count = z.int().min(0).max(COUNT_MAX)
/** A whole number from 1 to `COUNT_MAX`. */
export const ordinal = z.int().min(1).max(COUNT_MAX)

/** A whole number of a path or a query, in decimal digits: `0x10`, `1e3` and blanks are none. */
export function wholeText(bounds: { min: number; max: number }) {
  const { min, max } = bounds
  const error = (issue: { code?: string }) =>
    issue.code === 'invalid_type' ? `expected a whole number from ${min} to ${max}, in digits` : undefined
  return z.preprocess(
    (text) => (typeof text === 'string' && /^-?\d{1,16}$/.test(text) ? Number(text) : text),
    z.int({ error }).min(min).max(max),
  )
}

/** `count` in decimal digits, as a path or a query carries it. */
export const countText = wholeText({ min: 0, max: COUNT_MAX })
/** `ordinal` in decimal digits, as a path or a query carries it. */
export const ordinalText = wholeText({ min: 1, max: COUNT_MAX })
