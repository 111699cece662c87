import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { addFeatures, addMaterialization, viewOf } from '../../features/declared.fixture.ts'
import { declareFeatureView } from '../../features/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { addModel, addVersion, approveAs, modelOf } from '../../registry/registry.fixture.ts'
import { ADA, addRoute, lookupRouteOf, releaseAs, retireAs, rollbackAs } from '../delivery.fixture.ts'
import { boundGenerations } from './index.ts'

const HOUR_MS = 3_600_000
let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(() => database.clear())
afterAll(() => database.close())

const bound = async (graceMs: number) => [...(await boundGenerations(ctx, graceMs))].sort()

/** Releases two versions, each by a meaning of the view of its own; gives the two generations. */
async function releaseTwo(): Promise<readonly [number, number]> {
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

test('what serves binds its generations, and what served does so for the grace', async () => {
  expect(await bound(HOUR_MS)).toEqual([])
  const [first, second] = await releaseTwo()
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], [second]])
  await rollbackAs(ctx)
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], [first]])
  await retireAs(ctx)
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], []])
})

test('a rollback passes over a release whose features were dropped', async () => {
  const [first] = await releaseTwo()
  await ctx.db.updateTable('materialization').set({ state: 'dropped' }).where('generation', '=', first).execute()
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ code: 'delivery.nothing_before' })
  // It is there again once it was materialized again.
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf()))
  await ctx.db.updateTable('materialization').set({ run: 'run_0' }).where('generation', '=', first).execute()
  expect(await addMaterialization(ctx)).toBe(first)
  expect(await rollbackAs(ctx)).toMatchObject({ version: 1 })
})
