import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { type RouteDefinition, routeDefinition } from '@plimsoll/sdk/wire'
import { openFilesBlobStore } from '../adapters/files/index.ts'
import { addFeatures, addMaterialization, viewOf } from '../features/declared.fixture.ts'
import { declareFeatureView } from '../features/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import type { Context, Principal } from '../kernel/db/index.ts'
import { addModel, addVersion, approveAs, modelOf, person } from '../registry/registry.fixture.ts'
import { declareRoute, type ReleaseRecord, release, retire, rollback } from './index.ts'

/** A blob store that holds the artifacts which `addServable` names by these words. */
export async function openArtifacts(words: readonly string[]): Promise<{ blobs: BlobStore; close(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-artifacts-'))
  const blobs = await openFilesBlobStore(directory)
  for (const word of words) await blobs.put(Buffer.from(canonicalJson(word)))
  return {
    blobs,
    close: async () => {
      await blobs.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export const ADA = person('ada')
export const BEN = person('ben')

/** A route with one column, which every version of the fixture fits. */
export function routeOf(change: Partial<RouteDefinition> = {}): RouteDefinition {
  return routeDefinition.parse({
    kind: 'route',
    name: 'delay',
    model: 'delay',
    inputs: { distance: { type: 'int32' } },
    columns: [{ name: 'distance', source: { from: 'input', input: 'distance' } }],
    ...change,
  })
}

export async function addRoute(ctx: Context, definition: RouteDefinition = routeOf()) {
  return ctx.transaction((tx) => declareRoute(tx, definition))
}

/** The route `delay`, its model, and one approved version for each word. */
export async function addServable(ctx: Context, words: readonly string[], change: Partial<RouteDefinition> = {}) {
  const route = routeOf(change)
  await addModel(ctx, modelOf(route.model))
  await addRoute(ctx, route)
  const versions: number[] = []
  for (const word of words) {
    const version = await addVersion(ctx, route.model, word)
    await approveAs(ctx, ADA, { model: route.model, version, environment: route.environment })
    versions.push(version)
  }
  return versions
}

type Asked = { route?: string; environment?: string; reason?: string; expected?: string | null }

export async function releaseAs(
  ctx: Context,
  version: number,
  more: Asked & { by?: Principal } = {},
): Promise<ReleaseRecord> {
  const { by = BEN, ...rest } = more
  return ctx
    .as({ principal: by })
    .transaction((tx) => release(tx, { route: 'delay', environment: 'production', reason: 'better', version, ...rest }))
}

export async function rollbackAs(ctx: Context, more: Asked & { by?: Principal } = {}): Promise<ReleaseRecord> {
  const { by = BEN, ...rest } = more
  return ctx
    .as({ principal: by })
    .transaction((tx) => rollback(tx, { route: 'delay', environment: 'production', reason: 'worse', ...rest }))
}

export async function retireAs(ctx: Context, more: Asked & { by?: Principal } = {}): Promise<ReleaseRecord> {
  const { by = BEN, ...rest } = more
  return ctx
    .as({ principal: by })
    .transaction((tx) => retire(tx, { route: 'delay', environment: 'production', reason: 'replaced', ...rest }))
}

/** A route that looks the features of `board` up by the origin. */
export function lookupRouteOf(change: Partial<RouteDefinition> = {}): RouteDefinition {
  return routeOf({
    inputs: { origin: { entity: 'airport' }, distance: { type: 'int32', nullable: false } },
    features: 'board',
    columns: [{ name: 'mean', source: { from: 'feature', feature: 'origin__mean_3h' } }],
    ...change,
  })
}

/** Releases two versions, each by a meaning of the view of its own; gives the two generations. */
export async function releaseTwoMeanings(ctx: Context): Promise<readonly [number, number]> {
  await addModel(ctx, modelOf('delay'))
  await addFeatures(ctx)
  await addRoute(ctx, lookupRouteOf())
  const releaseNext = async (word: string) => {
    const version = await addVersion(ctx, 'delay', word)
    await approveAs(ctx, ADA, { model: 'delay', version })
    const generation = await addMaterialization(ctx)
    await releaseAs(ctx, version)
    return generation
  }
  const first = await releaseNext('one')
  const longer = { ...viewOf().features['mean_3h'], windowUs: 7_200_000_000 }
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf({ features: { mean_3h: longer } })))
  return [first, await releaseNext('two')]
}
