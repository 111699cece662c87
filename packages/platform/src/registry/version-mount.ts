import type { Context } from '../kernel/db/index.ts'
import type { ArtifactContent, ArtifactFile, ArtifactMount } from '../tracking/index.ts'
import { layOutModel } from './mlflow-model-files.ts'
import type { ModelVersion } from './version.ts'

const ROOT = 'plimsoll-models'
const MADE_BY_STEP = 'plimsoll:'

type Version = Pick<ModelVersion, 'source' | 'passport' | 'bound'>

/** Only what a step registered has no place of its own among the artifacts; a client says where its files are. */
function isMounted({ source, bound: { artifact } }: Version): boolean {
  return source.startsWith(MADE_BY_STEP) && artifact.format === 'onnx' && artifact.digest !== null
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
    .select(['source', 'passport', 'passport_digest'])
    .where('project', '=', ctx.project)
    .where('passport_digest', '=', `sha256:${id}`)
    .where('source', 'like', `${MADE_BY_STEP}%`)
    .where('deleted_at', 'is', null)
    .limit(1)
    .executeTakeFirst()
  return row
    ? filesOf({ source: row.source, bound: row.passport, passport: `sha256:${id}` as ModelVersion['passport'] }) // as it was asked for
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
