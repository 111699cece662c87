import type { FeatureServingSpec, PassportBound, PipelineDefinition, RouteSignature } from '@plimsoll/sdk/wire'
import { findUnmaterialized, isDropped } from '../../features/index.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { listPipelines, requirePipelineVersion } from '../../pipelines/index.ts'

type LookedUpView = FeatureServingSpec['views'][number]

/** Views that fill a column which the version takes: one that names its columns may need fewer than the route has. */
function viewsTaken(signature: RouteSignature, bound: PassportBound): LookedUpView[] {
  const spec = signature.features as FeatureServingSpec | null // compiled by compileSignature
  if (spec === null) return []
  const stated = bound.signature?.columns
  const taken = signature.columns.filter(({ name }) => !stated || stated.includes(name))
  const places = new Set(
    taken.flatMap(({ source }) => (source.from === 'feature' ? [spec.names.indexOf(source.feature)] : [])),
  )
  return spec.views.filter(({ columns, windows }) => [...columns, ...windows].some(({ at }) => places.has(at)))
}

/** How a pipeline is started that materializes the service or the view; undefined when it does not. */
function commandOf(ctx: Context, pipeline: PipelineDefinition, wanted: { service: string; view: string }) {
  const step = pipeline.steps.find(({ kind, params }) => {
    const { service, view } = (params ?? {}) as { service?: unknown; view?: unknown }
    return kind === 'materialize' && (service === wanted.service || view === wanted.view)
  })
  if (!step) return undefined
  const until = (step.params as { until?: { $param?: string } }).until?.$param
  const now = new Date(Math.floor(ctx.clock.nowMs() / 1_000) * 1_000).toISOString().replace('.000Z', 'Z')
  const asked = Object.entries(pipeline.params).filter(([, param]) => param.default === undefined)
  const params = asked.map(([name]) => ` --param ${name}=${name === until ? now : 'VALUE'}`)
  return `plimsoll run start ${pipeline.name}${params.join('')}`
}

async function findCommand(ctx: Context, wanted: { service: string; view: string }): Promise<string> {
  for (const { digest } of await listPipelines(ctx)) {
    const command = commandOf(ctx, (await requirePipelineVersion(ctx, digest)).definition, wanted)
    if (command !== undefined) return command
  }
  return `add materialize({ service: ${wanted.service} }) to a pipeline, run plimsoll apply, and start it`
}

/**
 * A view that was never materialized answers every entity with nothing.
 * @throws precondition delivery.features_missing, with the command that fills them
 */
export async function requireFeatures(
  tx: Tx,
  what: string,
  signature: RouteSignature,
  bound: PassportBound,
): Promise<void> {
  const missing = await findUnmaterialized(tx, viewsTaken(signature, bound))
  if (missing.length === 0) return
  const { service } = signature.features as FeatureServingSpec // a view that is missing comes from it
  const views = [...new Set(missing.map(({ view }) => view))] // one may be looked up under several names
  const commands = new Set<string>()
  for (const view of views) commands.add(await findCommand(tx, { service, view }))
  const were = views.length === 1 ? 'view was' : 'views were'
  throw new PlimsollError(
    'precondition',
    'delivery.features_missing',
    `Cannot ${what}: its feature ${were} never materialized as defined now, ${views.join(', ')}`,
    {
      faults: views.map((view) => ({
        pointer: '/features',
        detail: `view "${view}" is not in the online store as it is defined now`,
      })),
      action: [...commands].join('; '),
    },
  )
}

/** Whether the online store has let go of what the signature looks up; it keeps the rest until this transaction ends. */
export async function areFeaturesDropped(tx: Tx, signature: RouteSignature | null): Promise<boolean> {
  const spec = (signature?.features ?? null) as FeatureServingSpec | null // compiled by compileSignature
  return spec !== null && isDropped(tx, [...new Set(spec.views.map(({ generation }) => generation))])
}
