import { z } from 'zod'

/** The digest of bytes as everything on the wire names them. */
export const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits')
