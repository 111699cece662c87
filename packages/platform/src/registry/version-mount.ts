import type { Context } from '../kernel/db/index.ts'
import type { ArtifactContent, ArtifactFile, ArtifactMount } from '../tracking/index.ts'
import { layOutModel } from './mlflow-model-files.ts'
import type { ModelVersion } from './version.ts'

const ROOT = 'plimsoll-models'

type Version = Pick<ModelVersion, 'passport' | 'bound'>

/**
 * Only what a step registered, and copies of it, have no place of their own among the artifacts; a client says where its
 * files are. A step's registration runs the model, so that the passport has a signature.
 */
function isMounted({ bound: { artifact, signature } }: Version): boolean {
  return artifact.format === 'onnx' && artifact.digest !== null && signature !== null
}

/** Its files are what its passport says, so that the passport's digest names them. */
export function mountedUri(version: Version): string | undefined {
  return isMounted(version) ? `mlflow-artifacts:/${ROOT}/${version.passport.replace('sha256:', '')}` : undefined
}

/** By name; empty for a version that the server does not lay out. */
export function filesOf(version: Version): ReadonlyMap<string, ArtifactContent> {
  return isMounted(version) ? layOutModel(version.bound) : new Map()
}

async function filesAt(ctx: Context, id: string): Promise<ReadonlyMap<string, ArtifactContent>> {
  if (!/^[0-9a-f]{64}$/.test(id)) return new Map()
  const row = await ctx.db
    .selectFrom('model_version')
    .select('passport')
    .where('project', '=', ctx.project)
    .where('passport_digest', '=', `sha256:${id}`)
    .where('deleted_at', 'is', null)
    .limit(1)
    .executeTakeFirst()
  return row
    ? filesOf({ bound: row.passport, passport: `sha256:${id}` as ModelVersion['passport'] }) // as it was asked for
    : new Map()
}

const sizeOf = (file: ArtifactContent) => ('bytes' in file ? file.bytes.length : file.sizeBytes)

/** The versions that steps registered, each as a directory that MLflow's loaders understand. */
export const versionMount: ArtifactMount = {
  root: ROOT,
  async list(ctx, path): Promise<readonly ArtifactFile[]> {
    // Which passports there are, versions are asked for.
    const files = await filesAt(ctx, path)
    return [...files.values()].map((file) => ({
      name: file.path,
      isDirectory: false,
      sizeBytes: BigInt(sizeOf(file)),
    }))
  },
  async find(ctx, path) {
    const [id, name, ...deeper] = path.split('/')
    if (name === undefined || deeper.length > 0) return undefined
    return (await filesAt(ctx, id!)).get(name)
  },
}
