import { z } from 'zod'

/** How many rows a page may hold, in decimal digits of a query: as the SDK's `wholeText`, of which the kernel may use types only. */
export function pageLimit(max: number) {
  return z.preprocess(
    (text) => (typeof text === 'string' && /^-?\d{1,16}$/.test(text) ? Number(text) : text),
    z.int().min(1).max(max),
  )
}
