import type { Context } from '../kernel/db/index.ts'
import type { ArtifactFile } from './artifact.ts'
import { missing, refusal } from './failure.ts'

/** The bytes of a file: by digest in the blob store, which verifies them as they are read, or made for this answer. */
export type ArtifactContent = { readonly path: string } & (
  | { readonly digest: string; readonly sizeBytes: number }
  | { readonly bytes: Uint8Array }
)

/**
 * A directory of artifacts that another domain makes from its own rows. It is listed and read like any other, and nobody
 * writes to it. Paths are those below it, '' for itself.
 */
export interface ArtifactMount {
  /** The first segment of the paths of its files. */
  readonly root: string
  list(ctx: Context, path: string): Promise<readonly ArtifactFile[]>
  find(ctx: Context, path: string): Promise<ArtifactContent | undefined>
}

export function mountOf(
  mounts: readonly ArtifactMount[],
  path: string,
): { mount: ArtifactMount; rest: string } | undefined {
  const mount = mounts.find(({ root }) => path === root || path.startsWith(`${root}/`))
  return mount && { mount, rest: path.slice(mount.root.length + 1) }
}

/** @throws not_found tracking.artifact_not_found */
export async function requireMounted(
  ctx: Context,
  { mount, rest }: { mount: ArtifactMount; rest: string },
): Promise<ArtifactContent> {
  const found = await mount.find(ctx, rest)
  if (!found) throw missing('artifact_not_found', `No such artifact: '${mount.root}/${rest}'`)
  return found
}

export function refuseMounted(mounts: readonly ArtifactMount[], path: string): void {
  if (mountOf(mounts, path)) throw refusal(`Cannot change artifact "${path}": what is below it is made by the server`)
}
