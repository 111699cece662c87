import type { BlobStore } from '@plimsoll/sdk/seams'
import { isCorruptBlob } from '../../kernel/blob/index.ts'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'

/**
 * Reads the artifact whole before it is released: approvals are of its digest, and other bytes would stop at the gateway,
 * behind a release that is done.
 *
 * @throws precondition delivery.artifact_altered · delivery.artifact_missing
 */
export async function refuseDamagedArtifact(
  blobs: BlobStore,
  { model, version, artifact }: { readonly model: string; readonly version: number; readonly artifact: string },
): Promise<void> {
  try {
    for await (const _ of blobs.get(artifact));
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    const isMissing = error.kind === 'not_found'
    if (!isMissing && !isCorruptBlob(error)) throw error
    throw new PlimsollError(
      'precondition',
      isMissing ? 'delivery.artifact_missing' : 'delivery.artifact_altered',
      `Cannot release ${model} ${version}: its artifact ${artifact} is ${isMissing ? 'not stored any more' : 'not what was registered and approved'}`,
      { action: 'Put back a whole copy of the blob, or run the pipeline again and release the new version' },
      thrown,
    )
  }
}
