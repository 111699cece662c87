import type { Filled } from '../db/index.ts'

declare module '../db/tables.ts' {
  interface Tables {
    blob_pin: { project: string; owner: string; digest: string; expires_at: Date | null; created_at: Filled<Date> }
    /** Blobs that a collection has just removed or is about to: what a pin must look at twice. */
    blob_collected: { digest: string; at: Filled<Date> }
  }
}
