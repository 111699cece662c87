import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { addMaterialization, viewOf } from '../../features/declared.fixture.ts'
import { declareFeatureView } from '../../features/index.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { releaseTwoMeanings, retireAs, rollbackAs } from '../delivery.fixture.ts'
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

test('what serves binds its generations, and what served does so for the grace', async () => {
  expect(await bound(HOUR_MS)).toEqual([])
  const [first, second] = await releaseTwoMeanings(ctx)
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], [second]])
  await rollbackAs(ctx)
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], [first]])
  await retireAs(ctx)
  expect([await bound(HOUR_MS), await bound(-HOUR_MS)]).toEqual([[first, second], []])
})

test('a rollback passes over a release whose features were dropped', async () => {
  const [first] = await releaseTwoMeanings(ctx)
  await ctx.db.updateTable('materialization').set({ state: 'dropped' }).where('generation', '=', first).execute()
  await expect(rollbackAs(ctx)).rejects.toMatchObject({ code: 'delivery.nothing_before' })
  // It is there again once it was materialized again.
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf()))
  await ctx.db.updateTable('materialization').set({ run: 'run_0' }).where('generation', '=', first).execute()
  expect(await addMaterialization(ctx)).toBe(first)
  expect(await rollbackAs(ctx)).toMatchObject({ version: 1 })
})
