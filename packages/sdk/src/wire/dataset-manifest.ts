import { z } from 'zod'
import { csvFormat } from './definition/dataset.ts'
import { columnType } from './definition/name.ts'
import { digest } from './digest.ts'

/** A column of stored data: wider than a declared name, since a training set has columns named `view__feature`. */
const columnName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,129}$/)

/**
 * An immutable state of a dataset. Its canonical JSON is stored as a blob, and the digest of those bytes *is* the digest
 * of the dataset version: files by digest and order, never by name or place. Where in-place files lie is kept beside it.
 */
export const datasetManifest = z.strictObject({
  v: z.literal(1),
  format: z.enum(['parquet', 'csv']),
  csv: csvFormat.optional(),
  schema: z.record(columnName, columnType),
  rowCount: z.int().nonnegative(),
  files: z
    .array(z.strictObject({ digest, sizeBytes: z.int().nonnegative(), rows: z.int().nonnegative() }))
    .max(100_000),
})
/** A manifest as read: files in their order, by digest. */
export type DatasetManifest = z.output<typeof datasetManifest>

/**
 * What a step leaves as `manifest.json` in the directory of a `dataset` output. A file with `path` lies beside it and is
 * stored as a blob; one with `location` (absolute path) stays where it is and is named by digest. Without a
 * `manifest.json`, every `*.parquet` file of the directory counts, in name order.
 */
export const datasetOutput = z.strictObject({
  format: z.enum(['parquet', 'csv']),
  csv: csvFormat.optional(),
  schema: z.record(columnName, columnType),
  files: z.array(
    z.union([
      z.strictObject({ path: z.string(), rows: z.int().nonnegative() }),
      z.strictObject({ location: z.string(), digest, sizeBytes: z.int().nonnegative(), rows: z.int().nonnegative() }),
    ]),
  ),
})
/** A `dataset` output as its step described it. */
export type DatasetOutput = z.output<typeof datasetOutput>

/** How surely a digest names the content: we hashed the bytes > a store's checksum > a table format's snapshot > somebody's word. */
export const STRENGTHS = ['content', 'object-checksum', 'snapshot-id', 'declared'] as const
/** One of `STRENGTHS`, the strongest first. */
export type Strength = (typeof STRENGTHS)[number]
