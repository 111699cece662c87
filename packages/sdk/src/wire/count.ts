import { z } from 'zod'

/** Versions, epochs, sequences and positions of rows are stored in 32 bits. */
export const COUNT_MAX = 2_147_483_647

/** A whole number from 0 to `COUNT_MAX`. */
export const count = z.int().min(0).max(COUNT_MAX)
/** A whole number from 1 to `COUNT_MAX`. */
export const ordinal = z.int().min(1).max(COUNT_MAX)
/** The same from a path or a query. */
export const countText = z.coerce.number().int().min(0).max(COUNT_MAX)
export const ordinalText = z.coerce.number().int().min(1).max(COUNT_MAX)
