import {
  datasetDefinition,
  entityDefinition,
  type FeatureViewDefinition,
  featureServiceDefinition,
  featureViewDefinition,
} from '@plimsoll/sdk/wire'
import { declareDataset } from '../datasets/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { declareEntity, declareFeatureService, declareFeatureView, requireFeatureView } from './index.ts'

const zoned = { type: 'timestamp', zone: 'UTC' } as const

/** One view over flights by airport. `features` changes what it means. */
export function viewOf(change: Record<string, unknown> = {}): FeatureViewDefinition {
  return featureViewDefinition.parse({
    kind: 'feature-view',
    name: 'departures',
    entity: 'airport',
    source: 'flights',
    keyColumns: { airport: 'origin' },
    eventTime: 'date',
    knownAt: 'landed_at',
    features: {
      mean_3h: { from: 'aggregate', function: 'mean', column: 'delay', windowUs: 10_800_000_000, type: 'float64' },
    },
    ...change,
  })
}

/** Dataset `flights`, entity `airport`, view `departures`, service `board`. */
export async function addFeatures(ctx: Context, view: FeatureViewDefinition = viewOf()): Promise<void> {
  await ctx.transaction(async (tx) => {
    await declareDataset(
      tx,
      datasetDefinition.parse({
        kind: 'dataset',
        name: 'flights',
        source: { format: 'parquet', path: 'flights.parquet' },
        schema: {
          date: zoned,
          landed_at: zoned,
          origin: { type: 'text' },
          delay: { type: 'int32' },
        },
      }),
    )
    await declareEntity(
      tx,
      entityDefinition.parse({ kind: 'entity', name: 'airport', keys: [{ name: 'airport', type: 'text' }] }),
    )
    await declareFeatureView(tx, view)
    await declareFeatureService(
      tx,
      featureServiceDefinition.parse({
        kind: 'feature-service',
        name: 'board',
        views: [{ view: 'departures', as: 'origin', keys: { airport: 'origin' } }],
      }),
    )
  })
}

/** The row that a committed materialization of the view, as it is declared now, leaves behind. */
export async function addMaterialization(ctx: Context, name = 'departures'): Promise<number> {
  const { digest, generation: own } = await requireFeatureView(ctx, name)
  const generation = own! // a view has one
  await ctx.db
    .insertInto('materialization')
    .values({
      project: ctx.project,
      view: name,
      view_version: digest,
      generation,
      source: 'sha256:source',
      until_us: 1_000_000n,
      fence: 1,
      state: 'committed',
      rows_applied: 1n,
      rows_stale: 0n,
      run: 'run_1',
      step: 'materialize',
    })
    .execute()
  return generation
}
