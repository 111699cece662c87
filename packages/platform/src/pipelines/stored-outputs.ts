import { stat } from 'node:fs/promises'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { datasetManifest } from '@plimsoll/sdk/wire'
import { locationsOf } from '../datasets/index.ts'
import type { Context } from '../kernel/db/index.ts'
import type { NamedOutputs } from './tables.ts'
import { readBlobText } from './work-files.ts'

/**
 * Whether outputs that the cache knows can still be read: their blobs are there, and so is each file that a dataset has
 * in place, at one of its known places by its size. Who reads it hashes it.
 */
export async function areStored(ctx: Context, blobs: BlobStore, outputs: NamedOutputs): Promise<boolean> {
  for (const output of Object.values(outputs)) {
    if ((await blobs.stat(output.digest)) === undefined) return false
    if (output.type === 'dataset' && !(await hasFilesInPlace(ctx, blobs, output.digest))) return false
  }
  return true
}

async function hasFilesInPlace(ctx: Context, blobs: BlobStore, digest: string): Promise<boolean> {
  const manifest = datasetManifest.safeParse(JSON.parse(await readBlobText(blobs, digest)))
  if (!manifest.success) return false // nobody could read it
  const { files } = manifest.data
  const places = await locationsOf(
    ctx,
    files.map((file) => file.digest),
  )
  for (const file of files) {
    // Without a place it is a blob, which is kept for as long as its manifest.
    const known = places.get(file.digest)
    if (known === undefined) continue
    const isThere = async () => {
      for (const { location } of known) {
        const found = await stat(location).catch(() => undefined)
        if (found?.isFile() && found.size === file.sizeBytes) return true
      }
      return (await blobs.stat(file.digest)) !== undefined
    }
    if (!(await isThere())) return false
  }
  return true
}
