import type { Filled } from '../db/index.ts'

declare module '../db/tables.ts' {
  interface Tables {
    blob_pin: { project: string; owner: string; digest: string; expires_at: Date | null; created_at: Filled<Date> }
    /** What a blob names itself, as a manifest its files. */
    blob_part: { project: string; root: string; digest: string }
    /** Blobs that a collection has removed a moment ago or, while `done_at` is null, is about to: what a pin must look at twice. */
    blob_collected: { digest: string; at: Filled<Date>; done_at: Date | null }
  }
}
