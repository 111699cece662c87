import { pipelineDefinition } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { addFeatures, addMaterialization } from '../../features/declared.fixture.ts'
import { featureStepKinds } from '../../features/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { declarePipeline } from '../../pipelines/index.ts'
import { addModel, addVersion, approveAs, boundOf, modelOf } from '../../registry/registry.fixture.ts'
import { ADA, addRoute, lookupRouteOf, releaseAs } from '../delivery.fixture.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(() => database.clear())
afterAll(() => database.close())

const REFRESH = pipelineDefinition.parse({
  kind: 'pipeline',
  name: 'refresh',
  params: { until: { type: 'text' } },
  steps: [{ key: 'fill', kind: 'materialize', params: { service: 'board', until: { $param: 'until' } } }],
})

async function addRefresh(): Promise<void> {
  const kinds = new Map(featureStepKinds(async () => new Set()).map((kind) => [kind.kind, kind]))
  const origin = { source: 'test', commit: null, isDirty: false }
  await ctx.transaction((tx) => declarePipeline(tx, REFRESH, { bundles: {}, origin, kinds, blobs: undefined as never })) // it has no bundle, so that no blob is looked for
}

test('a release is refused while a view that it needs was never materialized, and names what fills it', async () => {
  await addModel(ctx, modelOf('delay'))
  await addFeatures(ctx)
  const column = { name: 'distance', source: { from: 'input', input: 'distance' } } as const
  await addRoute(ctx, lookupRouteOf({ columns: [...lookupRouteOf().columns, column] }))
  const versionOf = async (word: string, columns: string[]) => {
    const version = await addVersion(ctx, 'delay', word, { signature: { ...boundOf(word).signature!, columns } })
    await approveAs(ctx, ADA, { model: 'delay', version })
    return version
  }
  const plain = await versionOf('plain', ['distance'])
  const looking = await versionOf('looking', ['distance', 'mean'])
  const refusedWith = (command: RegExp) => ({
    kind: 'precondition',
    code: 'delivery.features_missing',
    message: expect.stringContaining('departures'),
    details: {
      action: expect.stringMatching(command),
      faults: [{ pointer: '/features', detail: 'view "departures" is not in the online store as it is defined now' }],
    },
  })
  await expect(releaseAs(ctx, looking)).rejects.toMatchObject(
    refusedWith(/^add materialize\(\{ service: board \}\) to a pipeline, run plimsoll apply, and start it$/),
  )
  await addRefresh()
  await expect(releaseAs(ctx, looking)).rejects.toMatchObject(
    refusedWith(/^plimsoll run start refresh --param until=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  )
  // A version that takes none of the features needs none of the views.
  await expect(releaseAs(ctx, plain)).resolves.toMatchObject({ version: plain })
  await addMaterialization(ctx)
  await expect(releaseAs(ctx, looking)).resolves.toMatchObject({ version: looking })
})
