import {
  datasetProfile,
  datasetVersionParams,
  type MadeDatasetVersion,
  madeDatasetVersion,
  validationResult,
} from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepKind, StepResult } from '../kernel/step-kind.ts'
import { requireDataset } from './dataset.ts'
import { runDatasetVersionCommand } from './dataset-version-command.ts'
import { type DatasetVersionSpec, datasetPlaces, datasetVersionSpec } from './dataset-version-spec.ts'
import { rememberLocations } from './location.ts'
import { binsOf } from './profile.ts'
import { listSourceFiles } from './source-files.ts'
import { findVersion, registerVersion, seeAgain, versionContent } from './version.ts'

async function resolveStep(ctx: Context, { params }: { params: Json }): Promise<Json> {
  const { dataset: name, root, path, reference } = datasetVersionParams.parse(params)
  const dataset = await requireDataset(ctx, name)
  const { definition, definitionDigest, suiteDigest } = dataset
  if (!definition || !definitionDigest || !suiteDigest) {
    throw new PlimsollError(
      'precondition',
      'datasets.not_declared',
      `Cannot read dataset "${name}": ${dataset.origin === 'derived' ? 'steps write its versions, it has no source' : 'it is declared no longer'}`,
    )
  }
  const files = await listSourceFiles({
    dataset: name,
    root,
    path: path ?? definition.source.path,
    allowAbsolute: path === undefined,
  })
  const spec: DatasetVersionSpec = {
    definition,
    definitionDigest,
    suiteDigest,
    files: files.map((file) => ({ ...file })),
    ...(await resolveReference(ctx, name, reference)),
  }
  return JSON.parse(JSON.stringify(spec)) as Json // plain data
}

async function resolveReference(
  ctx: Context,
  dataset: string,
  version: number | undefined,
): Promise<Pick<DatasetVersionSpec, 'reference'>> {
  if (version === undefined) return {}
  const found = await findVersion(ctx, { dataset, version })
  if (!found)
    throw new PlimsollError(
      'not_found',
      'datasets.version_not_found',
      `Cannot find version ${version} of dataset "${dataset}" to take its bins`,
    )
  const { profile } = await versionContent(ctx, found)
  if (!profile || !found.profileDigest) {
    throw new PlimsollError(
      'precondition',
      'datasets.no_profile',
      `Cannot take the bins of version ${version} of dataset "${dataset}": it has no profile`,
    )
  }
  return { reference: { digest: found.profileDigest, bins: binsOf(profile) } }
}

async function commitStep(tx: Tx, result: StepResult): Promise<Json> {
  const spec = datasetVersionSpec.parse(result.spec)
  const version = result.outputs.version
  const profile = result.outputs.profile
  const validation = result.outputs.validation
  if (!version || !profile || !validation)
    throw new PlimsollError(
      'internal',
      'datasets.output_missing',
      'Cannot register the dataset version: an output is missing',
    )
  const { manifest, locations } = datasetPlaces.parse(result.json.places)
  const registered = await registerVersion(tx, {
    dataset: spec.definition.name,
    manifest,
    digest: version.digest,
    strength: 'content',
    profile: { digest: profile.digest, content: datasetProfile.parse(result.json.profile) },
    validation: {
      digest: validation.digest,
      suiteDigest: spec.suiteDigest,
      content: validationResult.parse(result.json.validation),
    },
    definitionDigest: spec.definitionDigest,
    run: result.run,
    step: result.step,
  })
  await rememberLocations(
    tx,
    locations.map((place) => ({ ...place, digest: place.digest as `sha256:${string}` })),
  ) // a digest that our command made
  const { dataset, digest, verdict, expectations, rowCount, isNew } = registered
  const made: MadeDatasetVersion = {
    dataset,
    version: registered.version,
    digest,
    suiteDigest: spec.suiteDigest,
    verdict,
    evaluated: expectations.evaluated,
    failed: expectations.failed,
    rowCount,
    isNew,
  }
  return made
}

/** The content has been seen again. Another suite may have judged it since: the step then runs, and judges it by this. */
async function reuse(ctx: Context, result: Json): Promise<boolean> {
  const known = madeDatasetVersion.safeParse(result)
  return known.success && seeAgain(ctx, known.data, (found) => found.suiteDigest === known.data.suiteDigest)
}

/** Reads the files of a declared dataset, checks and profiles them, and registers them as its next version. */
export const datasetVersionStep: StepKind = {
  kind: 'dataset-version',
  outputs: { version: 'dataset', profile: 'json', validation: 'json', places: 'json' },
  params: datasetVersionParams,
  cacheable: true,
  resolve: resolveStep,
  command: runDatasetVersionCommand,
  commit: commitStep,
  reuse,
}

export const stepKinds: readonly StepKind[] = [datasetVersionStep]
