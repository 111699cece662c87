import type { PassportBound } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { findVersion } from '../datasets/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { requirePipelineVersion } from '../pipelines/index.ts'

interface StepRecord {
  key: string
  kind: string
  definition: {
    inputs: Record<string, { from: string; step?: string; dataset?: string }>
    params: Record<string, unknown>
  }
  inputs: Record<string, { digest: string; type: string }> | null
  spec: unknown
  result: unknown
}

/** The parts of a passport that the run itself knows: code, data, features, environment. */
export type Provenance = Pick<PassportBound, 'code' | 'data' | 'environment' | 'features'>

/** Steps from which `key` came, itself included. */
function ancestors(steps: ReadonlyMap<string, StepRecord>, key: string): StepRecord[] {
  const found = new Map<string, StepRecord>()
  const visit = (name: string) => {
    const step = steps.get(name)
    if (!step || found.has(name)) return
    found.set(name, step)
    for (const input of Object.values(step.definition.inputs))
      if (input.from === 'step' && input.step !== undefined) visit(input.step)
  }
  visit(key)
  return [...found.values()]
}

/** What a training set's step was told to join: definitions by digest. */
const joined = z.object({
  service: z.string(),
  serviceDigest: z.string(),
  views: z.array(z.object({ view: z.object({ name: z.string() }), viewVersion: z.string() })),
})

function featuresOf(steps: readonly StepRecord[]): NonNullable<PassportBound['features']> {
  const found = steps
    .filter((step) => step.kind === 'training-set')
    .map((step) => joined.parse(step.spec))
    .map(({ service, serviceDigest, views }) => ({
      service,
      digest: serviceDigest as `sha256:${string}`, // made by features, of our form
      views: views.map(({ view, viewVersion }) => ({ view: view.name, version: viewVersion as `sha256:${string}` })),
    }))
  return found.sort((a, b) => (a.service < b.service ? -1 : 1))
}

const made = z.looseObject({ dataset: z.string() })

/** What an input is called as a version of the dataset that was named, or that the step said it made; undefined when it is none. */
async function versionName(
  ctx: Context,
  digest: string,
  declared: { dataset?: string; step?: string } | undefined,
  steps: ReadonlyMap<string, StepRecord>,
): Promise<string | undefined> {
  const result = made.safeParse(declared?.step === undefined ? undefined : steps.get(declared.step)?.result)
  const dataset = declared?.dataset ?? result.data?.dataset
  const version = dataset === undefined ? undefined : await findVersion(ctx, { dataset, digest })
  return version && `${version.dataset}/${version.version}`
}

/** Reads, from the run's own rows, what made the output that `producer` left. */
export async function provenanceOf(
  ctx: Context,
  run: string,
  producer: string,
  interpreter: { version: string; platform: string } | null,
): Promise<Provenance> {
  const { pipeline_digest } = await ctx.db
    .selectFrom('pipeline_run')
    .select('pipeline_digest')
    .where('id', '=', run)
    .executeTakeFirstOrThrow()
  const rows = await ctx.db
    .selectFrom('step')
    .select(['key', 'kind', 'definition', 'inputs', 'spec', 'result'])
    .where('run', '=', run)
    .execute()
  const steps = new Map(rows.map((row) => [row.key, row as unknown as StepRecord])) // jsonb of the shapes named above
  const pipeline = await requirePipelineVersion(ctx, pipeline_digest)
  const bundle = pipeline.bundles[producer]
  const own = steps.get(producer)
  const lockPath = own?.definition.params['lock']
  const lock = bundle?.files.find((file) => file.path === lockPath)?.digest ?? null
  const features = featuresOf(ancestors(steps, producer))
  const data: PassportBound['data'] = []
  for (const step of ancestors(steps, producer)) {
    for (const [name, input] of Object.entries(step.inputs ?? {})) {
      if (input.type !== 'dataset') continue
      const declared = step.definition.inputs[name]
      const isOwn = step.key === producer
      data.push({
        role: isOwn ? 'training' : 'source',
        name: (await versionName(ctx, input.digest, declared, steps)) ?? declared?.dataset ?? declared?.step ?? name,
        digest: input.digest as `sha256:${string}`,
        step: step.key,
      })
    }
  }
  return {
    code: {
      source: pipeline.origin.source,
      commit: pipeline.origin.commit,
      isDirty: pipeline.origin.isDirty,
      bundle: (bundle?.digest as `sha256:${string}` | undefined) ?? null,
    },
    ...(features.length > 0 ? { features } : {}),
    data: data.sort((a, b) => (`${a.step}/${a.name}` < `${b.step}/${b.name}` ? -1 : 1)),
    environment: {
      lock: lock as `sha256:${string}` | null,
      interpreter: interpreter?.version ?? null,
      platform: interpreter?.platform ?? null,
    },
  }
}

/** The pipeline of a run, by name and digest. */
export async function pipelineOfStep(
  ctx: Context,
  run: string,
): Promise<{ pipeline: string; pipelineDigest: `sha256:${string}` }> {
  const { pipeline_digest } = await ctx.db
    .selectFrom('pipeline_run')
    .select('pipeline_digest')
    .where('id', '=', run)
    .executeTakeFirstOrThrow()
  const pipeline = await requirePipelineVersion(ctx, pipeline_digest)
  return { pipeline: pipeline.name, pipelineDigest: pipeline.digest as `sha256:${string}` } // a digest that the pipeline's row names
}
