import type { BlobStore } from '@plimsoll/sdk/seams'
import type { Config } from '../kernel/config/index.ts'
import { PlimsollError } from '../kernel/errors.ts'

/**
 * The blob store of an installation. Its prefix in a bucket is its own: a collection removes what it does not know.
 * @throws invalid config.invalid · unavailable blob.s3_refused · blob.no_bucket · blob.s3_failed
 */
export async function openBlobs(
  settings: Config['blob'],
  places: { directory: string; scratchDirectory: string },
): Promise<BlobStore> {
  if (settings.kind === 'files') {
    const { openFilesBlobStore } = await import('../adapters/files/index.ts')
    return openFilesBlobStore(places.directory)
  }
  const { bucket, region, prefix, endpoint, forcePathStyle, accessKeyId, secretAccessKey } = settings
  if (bucket === undefined)
    throw new PlimsollError('invalid', 'config.invalid', 'Cannot use an S3 store: blob.bucket is not set')
  const { openS3BlobStore } = await import('../adapters/s3/index.ts')
  return openS3BlobStore({
    bucket,
    region,
    prefix,
    scratchDirectory: places.scratchDirectory,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : { credentials: { accessKeyId, secretAccessKey } }),
  })
}
