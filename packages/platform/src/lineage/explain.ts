import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  type DatasetManifest,
  datasetManifest,
  type Explanation,
  type PredictionRecord,
  type SpineLink,
} from '@plimsoll/sdk/wire'
import { findUnaltered, locationsOf, strengthOf } from '../datasets/index.ts'
import { findRelease, isReleaseRecorded, type ReleaseRecord } from '../delivery/index.ts'
import { isFeatureVersionWhole } from '../features/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestTree, digestValue } from '../kernel/digest.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import { findPipelineVersion, isPipelineWhole, type PipelineVersion } from '../pipelines/index.ts'
import {
  approvalsOf,
  findModelVersion,
  type ModelVersion,
  unrecordedApprovals,
  versionsOfArtifact,
} from '../registry/index.ts'
import { lookUpPrediction } from '../serving/index.ts'

type Checked = Pick<SpineLink, 'check' | 'problem'>
const RECORDED: Checked = { check: 'recorded', problem: null }
const VERIFIED: Checked = { check: 'verified', problem: null }
const FILES_HASHED_MAX = 1_000

/** Reads a blob whole, which verifies it; `keep` gets its bytes. */
async function checkBlob(blobs: BlobStore, digest: string, keep?: (chunk: Uint8Array) => void): Promise<Checked> {
  try {
    for await (const chunk of blobs.get(digest)) keep?.(chunk)
    return VERIFIED
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    return { check: error.kind === 'not_found' ? 'missing' : 'altered', problem: error.message }
  }
}

function parseManifest(bytes: Buffer): DatasetManifest | undefined {
  try {
    return datasetManifest.parse(JSON.parse(bytes.toString('utf8')))
  } catch {
    return undefined
  }
}

/** Hashes a dataset version again: its manifest, and every file that is here. Names the first that is not what it was. */
async function checkDataset(
  ctx: Context,
  blobs: BlobStore,
  digest: string,
): Promise<Checked & { detail: SpineLink['detail'] }> {
  const chunks: Uint8Array[] = []
  const manifestCheck = await checkBlob(blobs, digest, (chunk) => chunks.push(chunk))
  if (manifestCheck.check !== 'verified') return { ...manifestCheck, detail: {} }
  const manifest = parseManifest(Buffer.concat(chunks))
  if (!manifest) return { check: 'altered', problem: `Blob ${digest} is no manifest of a dataset`, detail: {} }
  const strength = (await strengthOf(ctx, digest)) ?? null
  const detail = { rows: manifest.rowCount, files: manifest.files.length, strength }
  const places = await locationsOf(
    ctx,
    manifest.files.map((file) => file.digest),
  )
  for (const file of manifest.files.slice(0, FILES_HASHED_MAX)) {
    if (await blobs.stat(file.digest)) {
      const stored = await checkBlob(blobs, file.digest)
      if (stored.check !== 'verified') return { check: stored.check, problem: stored.problem, detail }
      continue
    }
    const known = (places.get(file.digest) ?? []).map(({ location }) => location)
    const found = await findUnaltered(known, file)
    if ('path' in found) continue
    const altered = found.alteration
    if (altered === undefined)
      return { check: 'missing', problem: `File ${file.digest} is neither stored nor known in place`, detail }
    return {
      check: altered.state === 'altered' ? 'altered' : 'missing',
      problem: `File ${altered.path} is ${altered.state}: expected ${file.digest}${altered.found ? `, found ${altered.found.digest ?? `${altered.found.sizeBytes} bytes`}` : ''}`,
      detail,
    }
  }
  return { ...(manifest.files.length > FILES_HASHED_MAX ? RECORDED : VERIFIED), detail }
}

function predictionLinks(record: PredictionRecord, segment: string): SpineLink[] {
  return [
    {
      kind: 'prediction',
      name: record.id,
      digest: segment,
      ...VERIFIED,
      detail: {
        at: new Date(record.atMs).toISOString(),
        rows: record.rows,
        arm: record.arm,
        snapshot: record.snapshot,
        outputs: record.outputs ?? null,
      },
    },
    {
      kind: 'route',
      name: `${record.environment}/${record.route}`,
      digest: null,
      ...RECORDED,
      detail: { epoch: record.epoch },
    },
  ]
}

/** What is wrong with the rows that let the version serve: those of the release, and of the approvals that it needed. */
async function releaseProblem(ctx: Context, release: ReleaseRecord, artifact: string): Promise<string | null> {
  if (release.artifact !== artifact) return `The release names ${release.artifact}, the prediction ${artifact}`
  if (!(await isReleaseRecorded(ctx, release.id)))
    return `The audit has no row that says what release ${release.id} says; see plimsoll audit verify`
  const [loose] = await unrecordedApprovals(ctx, release)
  return loose === undefined
    ? null
    : `The audit has no row that says what the approval of ${release.model}/${release.version} by ${loose.by} says; see plimsoll audit verify`
}

async function releaseLink(
  ctx: Context,
  record: PredictionRecord,
  release: ReleaseRecord | undefined,
  version: ModelVersion | undefined,
): Promise<SpineLink> {
  if (!release)
    return {
      kind: 'release',
      name: record.release,
      digest: null,
      check: 'missing',
      problem: `Release ${record.release} is not recorded`,
      detail: {},
    }
  const problem = await releaseProblem(ctx, release, record.artifact)
  const given = version ? await approvalsOf(ctx, release) : []
  const approvals = given.filter(({ at }) => at <= release.createdAt)
  return {
    kind: 'release',
    name: release.id,
    digest: release.artifact,
    check: problem === null ? 'verified' : 'altered',
    problem,
    detail: {
      by: release.actor,
      selfApproved: release.isSelfApproved,
      action: release.action,
      reason: release.reason,
      at: release.createdAt.toISOString(),
      approvals: approvals.map(({ by, at, comment, isSelfApproved }) => ({
        by,
        at: at.toISOString(),
        comment,
        selfApproved: isSelfApproved,
      })),
    },
  }
}

function versionLink(version: ModelVersion): SpineLink {
  const fits = digestValue(version.bound) === version.passport
  return {
    kind: 'model-version',
    name: `${version.model}/${version.version}`,
    digest: version.passport,
    check: fits ? 'verified' : 'altered',
    problem: fits ? null : 'The passport has another digest than the one that was approved',
    detail: {
      metrics: version.bound.metrics,
      createdBy: version.createdBy,
      createdAt: version.createdAt.toISOString(),
    },
  }
}

/** The meaning of each feature service and view that the version was trained with, and is served with. */
async function featureLinks(ctx: Context, { bound }: ModelVersion): Promise<SpineLink[]> {
  const links: SpineLink[] = []
  const add = async (kind: 'feature-service' | 'feature-view', name: string, digest: string) => {
    if (links.some((link) => link.kind === kind && link.name === name && link.digest === digest)) return // used twice
    const isWhole = await isFeatureVersionWhole(ctx, { kind, name, digest })
    const check = isWhole ? 'verified' : isWhole === undefined ? 'missing' : 'altered'
    const problem = isWhole
      ? null
      : `The definition of ${kind} ${name} ${isWhole === undefined ? 'of this digest is gone' : 'has another digest'}`
    links.push({ kind, name, digest, check, problem, detail: {} })
  }
  for (const { service, digest, views } of bound.features ?? []) {
    await add('feature-service', service, digest)
    for (const { view, version } of views) await add('feature-view', view, version)
  }
  return links
}

/** The run, and what it was told to do: definition and code of its pipeline. */
function runLink({ origin }: ModelVersion['bound'], pipeline: PipelineVersion | undefined): SpineLink {
  const check = (): Checked => {
    if (origin.run === null) return { check: 'missing', problem: 'It is not known which run made it' }
    if (origin.pipelineDigest === null) return RECORDED
    if (pipeline === undefined)
      return { check: 'missing', problem: `Pipeline version ${origin.pipelineDigest} is gone` }
    if (isPipelineWhole(pipeline)) return VERIFIED
    return { check: 'altered', problem: `The definition of pipeline ${pipeline.name} has another digest` }
  }
  return {
    kind: 'run',
    name: origin.run === null ? 'unknown' : `${origin.run}/${origin.step}`,
    digest: origin.pipelineDigest,
    ...check(),
    detail: { pipeline: origin.pipeline, trackedRun: origin.trackedRun },
  }
}

/** The files of the code by their own digests. A commit is a name in another store: only these bytes are looked at. */
async function checkCode(
  blobs: BlobStore,
  code: ModelVersion['bound']['code'],
  pipeline: PipelineVersion | undefined,
): Promise<Checked> {
  if (!code?.commit) return { check: 'missing', problem: 'It is not known from which commit it was made' }
  if (code.bundle === null) return RECORDED
  const bundle = Object.values(pipeline?.bundles ?? {}).find(({ digest }) => digest === code.bundle)
  if (bundle === undefined) return { check: 'missing', problem: `The code ${code.bundle} is gone` }
  const entries = bundle.files.map((file) => ({ ...file, digest: file.digest as Digest })) // compared as a whole
  if (digestTree(entries) !== bundle.digest)
    return { check: 'altered', problem: 'The code has another digest than its files' }
  for (const { path, digest } of bundle.files.slice(0, FILES_HASHED_MAX)) {
    const { check, problem } = await checkBlob(blobs, digest)
    if (check !== 'verified') return { check, problem: `File ${path} of the code: ${problem}` }
  }
  return bundle.files.length > FILES_HASHED_MAX ? RECORDED : VERIFIED
}

/** What the artifact was derived from: the file as a step left it, where what serves is another. */
async function parentLinks(blobs: BlobStore, { bound }: ModelVersion): Promise<SpineLink[]> {
  const links: SpineLink[] = []
  for (const digest of bound.parents)
    links.push({
      kind: 'parent',
      name: bound.artifact.format,
      digest,
      ...(await checkBlob(blobs, digest)),
      detail: {},
    })
  return links
}

async function provenanceLinks(ctx: Context, blobs: BlobStore, version: ModelVersion): Promise<SpineLink[]> {
  const { bound } = version
  const { origin, code, environment } = bound
  const pipeline = origin.pipelineDigest === null ? undefined : await findPipelineVersion(ctx, origin.pipelineDigest)
  const links: SpineLink[] = [runLink(bound, pipeline)]
  for (const data of bound.data) {
    const { detail, ...checked } = await checkDataset(ctx, blobs, data.digest)
    links.push({
      kind: data.role === 'training' ? 'training-data' : 'source-data',
      name: data.name,
      digest: data.digest,
      ...checked,
      detail: { ...detail, step: data.step },
    })
  }
  links.push(...(await featureLinks(ctx, version)))
  if (environment)
    links.push({
      kind: 'environment',
      name: [environment.interpreter, environment.platform].filter(Boolean).join(' ') || 'unknown',
      digest: environment.lock,
      ...(environment.lock === null ? RECORDED : await checkBlob(blobs, environment.lock)),
      detail: {},
    })
  links.push({
    kind: 'commit',
    name: code?.commit ?? 'unknown',
    digest: code?.bundle ?? null,
    ...(await checkCode(blobs, code, pipeline)),
    detail: { source: code?.source ?? null, dirty: code?.isDirty ?? null },
  })
  return links
}

/** Everything else is named by the record, which nobody can trust. */
function damagedExplanation(id: string, damaged: { segment: string; state: 'altered' | 'missing'; problem: string }) {
  const { segment: digest, state: check, problem } = damaged
  return {
    prediction: id,
    isIntact: false,
    links: [{ kind: 'prediction' as const, name: id, digest, check, problem, detail: {} }],
  }
}

/**
 * Walks the spine from a prediction back to the commit and the data, hashing again what is here. `recorded` links are
 * rows that name a digest whose bytes are elsewhere; `altered` and `missing` name what is wrong.
 */
export async function explainPrediction(ctx: Context, blobs: BlobStore, id: string): Promise<Explanation> {
  const looked = await lookUpPrediction(ctx, blobs, id)
  if (!('record' in looked)) return damagedExplanation(id, looked)
  const { record, segment } = looked
  const release = await findRelease(ctx, record.release)
  const released = release && (await findModelVersion(ctx, { model: release.model, version: release.version }))
  const links = [...predictionLinks(record, segment), await releaseLink(ctx, record, release, released)]
  const version = released ?? (await versionsOfArtifact(ctx, record.artifact))[0]
  const artifact = await checkBlob(blobs, record.artifact)
  if (version) links.push(versionLink(version))
  links.push({
    kind: 'artifact',
    name: version?.bound.artifact.format ?? 'unknown',
    digest: record.artifact,
    ...artifact,
    detail: { sizeBytes: version?.sizeBytes ?? null },
  })
  if (version) links.push(...(await parentLinks(blobs, version)), ...(await provenanceLinks(ctx, blobs, version)))
  else
    links.push({
      kind: 'model-version',
      name: 'unknown',
      digest: null,
      check: 'missing',
      problem: 'No model version has this artifact',
      detail: {},
    })
  return {
    prediction: id,
    isIntact: links.every((link) => link.check === 'verified' || link.check === 'recorded'),
    links,
  }
}
