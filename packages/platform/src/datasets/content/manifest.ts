import type { InputRelation } from '@plimsoll/sdk/seams'
import { type DatasetManifest, type DatasetOutput, datasetManifest } from '@plimsoll/sdk/wire'
import { PlimsollError } from '../../kernel/errors.ts'

/** A file of a dataset output that was stored as a blob. */
export interface StoredFile {
  readonly digest: string
  readonly sizeBytes: number
}

/**
 * The manifest of what a step left: in-place files by the digest that the step found, others by the digest under which
 * they were stored. Its canonical JSON is the content of the dataset version.
 *
 * @throws internal datasets.file_not_stored
 */
export function toManifest(output: DatasetOutput, stored: ReadonlyMap<string, StoredFile>): DatasetManifest {
  const files = output.files.map((file) => {
    if ('location' in file) return { digest: file.digest, sizeBytes: file.sizeBytes, rows: file.rows }
    const blob = stored.get(file.path)
    if (!blob)
      throw new PlimsollError(
        'internal',
        'datasets.file_not_stored',
        `Cannot make the manifest: file "${file.path}" was not stored`,
      )
    return { digest: blob.digest, sizeBytes: blob.sizeBytes, rows: file.rows }
  })
  return datasetManifest.parse({
    v: 1,
    format: output.format,
    ...(output.csv ? { csv: output.csv } : {}),
    schema: output.schema,
    rowCount: files.reduce((sum, file) => sum + file.rows, 0),
    files,
  })
}

/** The relation by which an engine reads a version: its files, in the manifest's order, with the declared types. */
export function relationOf(
  manifest: Pick<DatasetManifest, 'format' | 'csv' | 'schema'>,
  files: readonly string[],
): InputRelation {
  return { format: manifest.format, files, columns: manifest.schema, ...(manifest.csv ? { csv: manifest.csv } : {}) }
}
