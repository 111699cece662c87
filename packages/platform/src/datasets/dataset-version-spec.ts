import { datasetDefinition, datasetManifest, frozenBins } from '@plimsoll/sdk/wire'
import { z } from 'zod'

const sourceFile = z.strictObject({ path: z.string(), sizeBytes: z.int().nonnegative(), mtimeMs: z.number() })

/** What the command works from. Files count by place, size and time here, and by digest once it has read them. */
export const datasetVersionSpec = z.strictObject({
  definition: datasetDefinition,
  definitionDigest: z.string(),
  suiteDigest: z.string(),
  files: z.array(sourceFile).min(1),
  reference: z.strictObject({ digest: z.string(), bins: z.record(z.string(), frozenBins) }).optional(),
})
export type DatasetVersionSpec = z.output<typeof datasetVersionSpec>

/** What the command leaves besides the data: the manifest, and where its files lie. */
export const datasetPlaces = z.strictObject({
  manifest: datasetManifest,
  locations: z.array(
    z.strictObject({ digest: z.string(), location: z.string(), sizeBytes: z.int().nonnegative(), mtimeMs: z.number() }),
  ),
})

/** Also of one that another release resolved. */
const resolved = z.looseObject({ files: z.array(z.looseObject({ path: z.string() })) })

/** Where a `dataset-version` step found its files, by what it was resolved to; none for another step. */
export function sourcePathsOf(spec: unknown): readonly string[] {
  const parsed = resolved.safeParse(spec)
  return parsed.success ? parsed.data.files.map(({ path }) => path) : []
}
