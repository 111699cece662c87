import type { BlobStore } from '@plimsoll/sdk/seams'
import type { Context } from '../../kernel/db/index.ts'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { findModelVersion } from '../../registry/index.ts'
import { findRoute } from './route.ts'

interface Wanted {
  readonly environment: string
  readonly route: string
  readonly version: number
}

/**
 * Reads the artifact whole before it is released: approvals are of its digest, and other bytes would stop at the gateway,
 * behind a release that is done. What there is no route, version or artifact for, the release itself says.
 *
 * @throws precondition delivery.artifact_altered · delivery.artifact_missing
 */
export async function refuseDamagedArtifact(ctx: Context, blobs: BlobStore, wanted: Wanted): Promise<void> {
  const route = await findRoute(ctx, { environment: wanted.environment, name: wanted.route })
  const model = route?.definition.model
  const version = model === undefined ? undefined : await findModelVersion(ctx, { model, version: wanted.version })
  if (!version || version.artifact === null) return
  try {
    for await (const _ of blobs.get(version.artifact));
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    const isMissing = error.kind === 'not_found'
    if (!isMissing && error.code !== 'blob.corrupt') throw error
    throw new PlimsollError(
      'precondition',
      isMissing ? 'delivery.artifact_missing' : 'delivery.artifact_altered',
      `Cannot release ${model} ${wanted.version}: its artifact ${version.artifact} is ${isMissing ? 'not stored any more' : 'not what was registered and approved'}`,
      { action: 'Put back a whole copy of the blob, or run the pipeline again and release the new version' },
      thrown,
    )
  }
}
