import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  type CodeBundle,
  isProcessKind,
  type PipelineDefinition,
  type PipelineStep,
  PROCESS_KINDS,
  pipelineDefinition,
  thereAre,
} from '@plimsoll/sdk/wire'
import { pinBlobs } from '../kernel/blob/index.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestTree, digestValue } from '../kernel/digest.ts'
import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import { member } from '../kernel/own-member.ts'
import type { StepKind } from '../kernel/step-kind.ts'
import { graphFaults } from './graph.ts'
import { paramsIn, stepParamFaults } from './params.ts'
import { pipelineOwner } from './pins.ts'
import type { Bundles, Origin } from './tables.ts'
import './events.ts'

export interface PipelineVersion {
  readonly digest: Digest
  readonly name: string
  readonly definition: PipelineDefinition
  readonly bundles: Bundles
  readonly origin: Origin
}

export type StepKinds = ReadonlyMap<string, StepKind>

/** Outputs of a step: those that it declares, and those of its kind. */
export function outputsOf(step: PipelineStep, kinds: StepKinds): PipelineStep['outputs'] {
  return { ...kinds.get(step.kind)?.outputs, ...step.outputs }
}

/** The digest of a bundle goes into passports: it is computed again, never believed. */
function bundleFaults(bundle: CodeBundle | undefined, index: number): Fault[] {
  if (bundle === undefined) return []
  const paths = new Set(bundle.files.map((file) => file.path))
  const faults: Fault[] = []
  const add = (detail: string) => faults.push({ pointer: `/steps/${index}`, detail })
  if (paths.size < bundle.files.length) add('its code bundle names a file twice')
  const entries = bundle.files.map((file) => ({ ...file, digest: file.digest as Digest })) // checked by the wire schema
  if (digestTree(entries) !== bundle.digest) add('its code bundle has another digest than its files')
  return faults
}

/** Only a version of a dataset can have failed its expectations. */
function allowFailedFaults(steps: readonly PipelineStep[], kinds: StepKinds): Fault[] {
  const byKey = new Map(steps.map((step) => [step.key, step]))
  return steps.flatMap((step, index) =>
    Object.entries(step.inputs).flatMap(([name, input]) => {
      if (input.from !== 'step' || !input.allowFailed) return []
      const source = byKey.get(input.step)
      const type = source && member(outputsOf(source, kinds), input.output)
      if (type === undefined || type === 'dataset') return []
      const detail = `step ${step.key} reads ${input.step}.${input.output} with allowFailed, which is for datasets: it is of type ${type}`
      return [{ pointer: `/steps/${index}/inputs/${name}`, detail }]
    }),
  )
}

function definitionFaults(definition: PipelineDefinition, bundles: Bundles, kinds: StepKinds): Fault[] {
  const faults = graphFaults(definition.steps, (step) => Object.keys(outputsOf(step, kinds)))
  faults.push(...allowFailedFaults(definition.steps, kinds))
  definition.steps.forEach((step, index) => {
    if (!isProcessKind(step.kind) && !kinds.has(step.kind)) {
      faults.push({
        pointer: `/steps/${index}/kind`,
        detail: `there is no step kind ${step.kind}; there are ${[...PROCESS_KINDS, ...kinds.keys()].join(', ')}`,
      })
    }
    const bundle = member(bundles, step.key)
    faults.push(...bundleFaults(bundle, index))
    if ((step.kind === 'python' || step.kind === 'typescript') && bundle === undefined)
      faults.push({ pointer: `/steps/${index}`, detail: `step ${step.key} has no code bundle` })
    if (step.secrets !== undefined && !isProcessKind(step.kind))
      faults.push({
        pointer: `/steps/${index}/secrets`,
        detail: `a ${step.kind} step takes no secrets: only ${PROCESS_KINDS.join(', ')} do`,
      })
    for (const name of paramsIn(step.params))
      if (!Object.hasOwn(definition.params, name))
        faults.push({
          pointer: `/steps/${index}/params`,
          detail: `step ${step.key} uses param ${name}, which the pipeline does not declare`,
        })
    const kind = kinds.get(step.kind)
    if (kind) {
      const found = stepParamFaults(kind, step, definition.params)
      faults.push(...found.map((fault) => ({ ...fault, pointer: `/steps/${index}${fault.pointer}` })))
    }
  })
  return faults
}

/** The code of a pipeline, and what it takes to check and keep it. */
export interface PipelineCode {
  readonly bundles: Readonly<Record<string, CodeBundle>>
  readonly origin: Origin
  readonly kinds: StepKinds
  /** Undefined while it is only tried out: the code may not be uploaded yet. */
  readonly blobs: BlobStore | undefined
}

/** Stores a version of a pipeline by its digest: definition and code together. @throws invalid pipelines.invalid, with every fault */
export async function storePipelineVersion(
  tx: Tx,
  definition: PipelineDefinition,
  code: PipelineCode,
): Promise<Digest> {
  const { bundles, origin, kinds, blobs } = code
  refuseFaults(
    'pipelines.invalid',
    `Cannot declare pipeline "${definition.name}"`,
    definitionFaults(definition, bundles, kinds),
  )
  const parsed = pipelineDefinition.parse(definition)
  const digest = digestValue({ definition: parsed, bundles })
  const files = Object.values(bundles).flatMap((bundle) => bundle.files.map((file) => file.digest))
  if (blobs) await pinBlobs(tx, blobs, { owner: pipelineOwner(digest), digests: files })
  await tx.db
    .insertInto('pipeline_version')
    .values({
      project: tx.project,
      digest,
      name: definition.name,
      definition: JSON.stringify(parsed),
      bundles: JSON.stringify(bundles),
      origin: JSON.stringify(origin),
    })
    .onConflict((conflict) => conflict.columns(['project', 'digest']).doUpdateSet({ origin: JSON.stringify(origin) }))
    .execute()
  return digest
}

/** Makes the pipeline so; repeating it is free. */
export async function declarePipeline(
  tx: Tx,
  definition: PipelineDefinition,
  code: PipelineCode,
): Promise<{ digest: Digest }> {
  const digest = await storePipelineVersion(tx, definition, code)
  const before = await tx.db
    .selectFrom('pipeline')
    .select('digest')
    .where('project', '=', tx.project)
    .where('name', '=', definition.name)
    .executeTakeFirst()
  if (before?.digest === digest) return { digest }
  await tx.db
    .insertInto('pipeline')
    .values({ project: tx.project, name: definition.name, digest })
    .onConflict((conflict) => conflict.columns(['project', 'name']).doUpdateSet({ digest }))
    .execute()
  await tx.emit({ type: 'pipelines.declared', subject: definition.name, data: { digest } })
  await tx.audit({ action: 'pipeline.declare', subject: definition.name, data: { digest } })
  return { digest }
}

/** Takes the name away; versions and runs stay. */
export async function removePipeline(tx: Tx, name: string): Promise<void> {
  await tx.db.deleteFrom('pipeline').where('project', '=', tx.project).where('name', '=', name).execute()
  await tx.audit({ action: 'pipeline.delete', subject: name })
}

/** Hashes a version of a pipeline again: whether definition and code are still what its digest says. */
export function isPipelineWhole({ digest, definition, bundles }: PipelineVersion): boolean {
  return digestValue({ definition, bundles }) === digest
}

export async function findPipelineVersion(ctx: Context, digest: string): Promise<PipelineVersion | undefined> {
  const row = await ctx.db
    .selectFrom('pipeline_version')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return (
    row && {
      digest: row.digest as Digest, // written by storePipelineVersion
      name: row.name,
      definition: row.definition,
      bundles: row.bundles,
      origin: row.origin,
    }
  )
}

export async function requirePipelineVersion(ctx: Context, digest: string): Promise<PipelineVersion> {
  const version = await findPipelineVersion(ctx, digest)
  if (!version)
    throw new PlimsollError('not_found', 'pipelines.version_not_found', `Cannot find pipeline version ${digest}`)
  return version
}

/** Digest of the pipeline as it is declared now. */
export async function findPipelineDigest(ctx: Context, name: string): Promise<string | undefined> {
  const row = await ctx.db
    .selectFrom('pipeline')
    .select('digest')
    .where('project', '=', ctx.project)
    .where('name', '=', name)
    .executeTakeFirst()
  return row?.digest
}

/** @throws not_found pipelines.not_found */
export async function requirePipeline(ctx: Context, name: string): Promise<PipelineVersion> {
  const digest = await findPipelineDigest(ctx, name)
  if (digest === undefined) {
    const known = (await listPipelines(ctx)).map((pipeline) => pipeline.name)
    throw new PlimsollError('not_found', 'pipelines.not_found', `Cannot find pipeline "${name}"`, {
      action: thereAre(known) ?? 'Declare one and run plimsoll apply',
    })
  }
  return requirePipelineVersion(ctx, digest)
}

export async function listPipelines(ctx: Context): Promise<{ name: string; digest: string }[]> {
  return ctx.db
    .selectFrom('pipeline')
    .select(['name', 'digest'])
    .where('project', '=', ctx.project)
    .orderBy('name')
    .limit(1_000)
    .execute()
}
