import { z } from 'zod'
import { digest } from './digest.ts'

/** A blob that was stored, by the digest of its bytes. */
export const storedBlob = z.object({ digest: z.string(), sizeBytes: z.int() })

/** Asks which of these blobs the project has yet to upload. */
export const missingBlobsBody = z.strictObject({ digests: z.array(digest).max(10_000) })

/** Those of the blobs asked for that the project has yet to upload, each once, in the order asked; empty when it holds them all. */
export const missingBlobList = z.object({ missing: z.array(z.string()) })
