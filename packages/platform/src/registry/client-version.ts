import type { BlobStore } from '@plimsoll/sdk/seams'
import type { PassportBound } from '@plimsoll/sdk/wire'
import { pinBlobs } from '../kernel/blob/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestTree } from '../kernel/digest.ts'
import { listArtifactTree, noteModelVersion, requireTrackedRun } from '../tracking/index.ts'
import { modelNotFound } from './mlflow-wire.ts'
import { pipelineOfStep, provenanceOf } from './provenance.ts'
import { digestsOfPassport, registerModelVersion, versionOwner } from './version.ts'
import { checkSource, type ResolvedSource, resolveSource } from './version-source.ts'

export interface ClientVersion {
  readonly model: string
  readonly source: string
  readonly trackedRun?: string | undefined
  readonly loggedModel?: string | undefined
  readonly runLink?: string | undefined
  readonly description?: string | undefined
}

/** The ONNX file itself where there is exactly one, because that is what serves; else the whole directory. */
async function artifactOf(ctx: Context, root: string | undefined): Promise<PassportBound['artifact']> {
  const files = root === undefined ? [] : await listArtifactTree(ctx, root)
  if (files.length === 0) return { digest: null, sizeBytes: 0, format: 'unknown' }
  const onnx = files.filter((file) => file.path.endsWith('.onnx'))
  if (onnx.length === 1) return { digest: onnx[0]!.digest as Digest, sizeBytes: onnx[0]!.sizeBytes, format: 'onnx' } // the blob store's own digest
  const entries = files.map((file) => ({ ...file, digest: file.digest as Digest, executable: false })) // likewise
  return {
    digest: digestTree(entries),
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    format: 'mlflow',
  }
}

/** The passport of a version that a client registered: what the run's rows prove, and gaps for the rest. */
async function boundOf(tx: Tx, resolved: ResolvedSource, trackedRun: string | null): Promise<PassportBound> {
  const empty = { v: 1 as const, artifact: await artifactOf(tx, resolved.root), signature: null, parents: [] }
  const run = trackedRun === null ? undefined : await requireTrackedRun(tx, trackedRun)
  const metrics = Object.fromEntries(
    (run?.metrics ?? []).filter((m) => !m.is_nan && Number.isFinite(m.value)).map((m) => [m.key, m.value]),
  )
  // the step table says which step owns the tracked run; the run's tags are the client's to write
  const step =
    trackedRun === null
      ? undefined
      : await tx.db
          .selectFrom('step')
          .select(['run', 'key'])
          .where('project', '=', tx.project)
          .where('tracked_run', '=', trackedRun)
          .executeTakeFirst()
  if (!step) {
    return {
      ...empty,
      code: null,
      data: [],
      environment: null,
      metrics,
      origin: { pipeline: null, pipelineDigest: null, run: null, step: null, trackedRun },
    }
  }
  const provenance = await provenanceOf(tx, step.run, step.key, null)
  const pipeline = await pipelineOfStep(tx, step.run)
  return { ...empty, ...provenance, metrics, origin: { ...pipeline, run: step.run, step: step.key, trackedRun } }
}

/** Clients make the model before its versions, so one that is not there is a slip of its name. */
async function lockModel(tx: Tx, name: string): Promise<void> {
  const row = await tx.db
    .selectFrom('registered_model')
    .select('name')
    .where('project', '=', tx.project)
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!row) throw modelNotFound(name)
}

/**
 * Registers the version that an MLflow client asked for. Never refused for a gap in its passport.
 * @throws not_found registry.model_not_found · invalid registry.bad_source · not_found of a run or model that the source names
 */
export async function registerClientVersion(ctx: Context, blobs: BlobStore, wanted: ClientVersion): Promise<number> {
  checkSource(wanted.source, { hasOrigin: wanted.trackedRun !== undefined || wanted.loggedModel !== undefined })
  return ctx.transaction(async (tx) => {
    await lockModel(tx, wanted.model)
    const resolved = await resolveSource(tx, wanted.source)
    const loggedModel = wanted.loggedModel || resolved.loggedModel
    const trackedRun = wanted.trackedRun || resolved.trackedRun
    const known = trackedRun
      ? await tx.db
          .selectFrom('tracked_run')
          .select('id')
          .where('project', '=', tx.project)
          .where('id', '=', trackedRun)
          .executeTakeFirst()
      : undefined
    const bound = resolved.bound ?? (await boundOf(tx, resolved, known?.id ?? null))
    const { version } = await registerModelVersion(tx, {
      model: wanted.model,
      source: wanted.source,
      bound,
      description: wanted.description ?? '',
      trackedRun: trackedRun ?? null,
      loggedModel: loggedModel ?? null,
      runLink: wanted.runLink ?? '',
      isAlwaysNew: true,
    })
    // deleting the run's artifacts later takes nothing from the version
    const files = resolved.root === undefined ? [] : await listArtifactTree(tx, resolved.root)
    await pinBlobs(tx, blobs, {
      owner: versionOwner({ model: wanted.model, version }),
      digests: [...files.map((file) => file.digest), ...digestsOfPassport(bound)],
    })
    if (loggedModel) await noteModelVersion(tx, loggedModel, { name: wanted.model, version })
    return version
  })
}
