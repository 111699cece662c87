import { isProcessKind, type PipelineStep } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { latestVersion, requireVersion } from '../datasets/index.ts'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { member } from '../kernel/own-member.ts'
import type { StepKind, StepOutput } from '../kernel/step-kind.ts'
import { type CacheComponents, CLEAN } from './cache.ts'
import { bindParams, checkStepParams } from './params.ts'
import type { PipelineVersion, StepKinds } from './pipeline.ts'
import type { Bundles, NamedOutputs } from './tables.ts'

/** Interpreter and platform on which Python steps run: part of their cache key. */
export interface PythonIdentity {
  readonly version: string
  readonly platform: string
}

export interface PreparedStep {
  readonly params: Json
  readonly spec: Json
  readonly components: CacheComponents
  readonly isCacheable: boolean
}

const CONTRACT = '1'

/** Versions of the datasets that a step reads directly: pinned, or the newest that passed. */
export async function datasetInputs(ctx: Context, step: PipelineStep): Promise<Record<string, StepOutput>> {
  const found: Record<string, StepOutput> = {}
  for (const [name, input] of Object.entries(step.inputs)) {
    if (input.from !== 'dataset') continue
    const version =
      input.version === undefined
        ? await latestVersion(ctx, input.dataset, { allowFailed: input.allowFailed })
        : await requireVersion(
            ctx,
            { dataset: input.dataset, version: input.version },
            { allowFailed: input.allowFailed },
          )
    found[name] = { name, type: 'dataset', digest: version.digest, sizeBytes: version.sizeBytes }
  }
  return found
}

/** Inputs of a step once its upstream steps have outputs. */
export function stepInputs(
  step: PipelineStep,
  fromDatasets: NamedOutputs,
  outputsOfStep: (key: string) => NamedOutputs | null | undefined,
): NamedOutputs {
  const inputs: Record<string, StepOutput> = { ...fromDatasets }
  for (const [name, input] of Object.entries(step.inputs)) {
    if (input.from !== 'step') continue
    const made = outputsOfStep(input.step)
    const output = made && member(made, input.output)
    if (!output)
      throw new PlimsollError(
        'internal',
        'pipelines.output_absent',
        `Cannot prepare step ${step.key}: ${input.step}.${input.output} has not been stored`,
      )
    inputs[name] = { ...output, name }
  }
  return inputs
}

/** Digest of one file of a bundle. @throws invalid pipelines.file_not_in_bundle */
function bundleFile(bundles: Bundles, step: PipelineStep, path: unknown, what: string): Digest | undefined {
  if (path === undefined || path === null) return undefined
  const file = member(bundles, step.key)?.files.find((entry) => entry.path === path)
  if (!file)
    throw new PlimsollError(
      'invalid',
      'pipelines.file_not_in_bundle',
      `Cannot prepare step ${step.key}: its ${what} "${String(path)}" is not among its files`,
    )
  return file.digest as Digest // checked when it was applied
}

/** What a step is prepared in: its run's values, code and origin, and how its upstream steps were made. */
export interface PreparedIn {
  readonly params: Readonly<Record<string, Json>>
  readonly bundles: Bundles
  readonly origin: PipelineVersion['origin']
  /** Cache key of an upstream step: it names all that its outputs depend on. */
  readonly keyOf: (step: string) => string | null | undefined
  /** What an upstream step said of what it made. */
  readonly resultOf: (step: string) => Json | null | undefined
}

/** What a step says of the dataset version that it made. */
export const madeVersion = z.looseObject({ dataset: z.string(), version: z.int() })

/** A version that a step of this run made is refused like one that was there before, which `datasetInputs` has judged. */
async function refuseFailedVersions(
  ctx: Context,
  step: PipelineStep,
  { resultOf }: PreparedIn,
  inputs: NamedOutputs,
): Promise<void> {
  for (const [name, input] of Object.entries(step.inputs)) {
    if (input.from !== 'step' || input.allowFailed || inputs[name]?.type !== 'dataset') continue
    const made = madeVersion.safeParse(resultOf(input.step))
    if (made.success) await requireVersion(ctx, { dataset: made.data.dataset, version: made.data.version })
  }
}

/** Equal bytes that were made otherwise, or from a tree that is clean now, have another passport. */
function provenance(step: PipelineStep, { origin, keyOf }: PreparedIn): Record<string, string> {
  const makers = Object.entries(step.inputs).flatMap(([name, input]) =>
    input.from === 'step' ? [[`making of ${name}`, keyOf(input.step) ?? '']] : [],
  )
  return {
    ...Object.fromEntries(makers),
    commit: origin.commit === null ? 'unknown' : origin.isDirty ? 'dirty' : CLEAN,
  }
}

/** A step whose cache is off has no key: what it made cannot be told from what it made before. */
function isMakingKnown(step: PipelineStep, { keyOf }: PreparedIn): boolean {
  return Object.values(step.inputs).every((input) => input.from !== 'step' || keyOf(input.step) != null)
}

function texts(values: Readonly<Record<string, Json | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, canonicalJson(value ?? null)]))
}

/**
 * Names everything that the step's result depends on. Quick, and without effect.
 *
 * @throws precondition datasets.version_failed_expectations of an input
 */
export async function prepareStep(
  ctx: Context,
  deps: { kinds: StepKinds; python: () => Promise<PythonIdentity> },
  step: PipelineStep,
  run: PreparedIn,
  inputs: NamedOutputs,
): Promise<PreparedStep> {
  await refuseFailedVersions(ctx, step, run, inputs)
  const params = bindParams(step.params as Json, run.params)
  const input = Object.fromEntries(Object.entries(inputs).map(([name, output]) => [name, output.digest]))
  const byName = params as Readonly<Record<string, Json>> // the wire schema makes it a record
  const kind: Record<string, string> = { kind: step.kind, contract: CONTRACT, outputs: canonicalJson(step.outputs) }
  if (isProcessKind(step.kind)) {
    // The lock is among the files: another one is another environment, and no other code.
    const lockPath = step.kind === 'python' ? byName['lock'] : undefined
    const files = (member(run.bundles, step.key)?.files ?? []).filter((file) => file.path !== lockPath)
    const code = Object.fromEntries(files.map((file) => [file.path, `${file.digest}${file.executable ? '+x' : ''}`]))
    // Names count, values never do: what hangs on a value is made again by --force.
    const secrets = Object.entries(step.secrets ?? {})
    const env = Object.fromEntries(secrets.map(([variable, secret]) => [`secret ${variable}`, secret]))
    if (step.kind === 'python') {
      const { version, platform } = await deps.python()
      const lock = bundleFile(run.bundles, step, lockPath, 'lock')
      Object.assign(env, { python: version, platform }, lock === undefined ? {} : { lock })
    }
    return {
      params,
      spec: params,
      isCacheable: step.cache,
      components: { kind, code, param: texts(byName), input, env },
    }
  }
  const contributed: StepKind = deps.kinds.get(step.kind)!
  checkStepParams(contributed, step, params)
  const spec = contributed.resolve ? await contributed.resolve(ctx, { params, inputs }) : params
  return {
    params,
    spec,
    isCacheable: step.cache && contributed.cacheable && (!contributed.bindsProvenance || isMakingKnown(step, run)),
    components: {
      kind,
      code: {},
      param: texts(byName),
      input,
      env: {
        ...(contributed.bindsProvenance ? provenance(step, run) : {}),
        spec: canonicalJson(spec).length > 2_000 ? digestValue(spec) : canonicalJson(spec),
      },
    },
  }
}
