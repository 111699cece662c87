import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { up } from '../../../migrations/0110-route-retirement.ts'
import { openTestDatabase, type TestDatabase } from '../../kernel/db/database.fixture.ts'
import type { Context } from '../../kernel/db/index.ts'
import { listAliases } from '../../registry/index.ts'
import { addModel, addVersion, approveAs, modelOf } from '../../registry/registry.fixture.ts'
import { deleteVersion } from '../../registry/version-edit.ts'
import { ADA, addRoute, addServable, releaseAs, retireAs, rollbackAs, routeOf } from '../delivery.fixture.ts'

let database: TestDatabase
let ctx: Context
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(() => database.clear())
afterAll(() => database.close())

const aliasesOf = async (model: string) =>
  Object.fromEntries((await listAliases(ctx, model)).map(({ alias, version }) => [alias, version]))

test('of two routes that serve one model, the champion is what was released last', async () => {
  const [one, two, three] = await addServable(ctx, ['one', 'two', 'three'])
  await addRoute(ctx, routeOf({ name: 'nightly' }))
  await releaseAs(ctx, one!)
  await releaseAs(ctx, two!, { route: 'nightly' })
  expect(await aliasesOf('delay')).toEqual({ champion: two })
  await releaseAs(ctx, three!)
  expect(await aliasesOf('delay')).toEqual({ champion: three })
  await rollbackAs(ctx)
  expect(await aliasesOf('delay')).toEqual({ champion: one })
  // What the other route serves is the newest that is left.
  await retireAs(ctx)
  expect(await aliasesOf('delay')).toEqual({ champion: two })
  await retireAs(ctx, { route: 'nightly' })
  expect(await aliasesOf('delay')).toEqual({})
})

test('a route that changes its model takes the champion along; the old model has that of its other routes, or none', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await addRoute(ctx, routeOf({ name: 'nightly' }))
  await addModel(ctx, modelOf('risk'))
  const risk = await addVersion(ctx, 'risk', 'risk')
  await approveAs(ctx, ADA, { model: 'risk', version: risk })
  await releaseAs(ctx, one!, { route: 'nightly' })
  await releaseAs(ctx, two!)
  await addRoute(ctx, routeOf({ model: 'risk' }))
  expect(await aliasesOf('delay')).toEqual({ champion: two })
  await releaseAs(ctx, risk)
  expect([await aliasesOf('delay'), await aliasesOf('risk')]).toEqual([{ champion: one }, { champion: risk }])
  await deleteVersion(ctx, { model: 'delay', version: two! })
  await addRoute(ctx, routeOf({ name: 'nightly', model: 'risk' }))
  await releaseAs(ctx, risk, { route: 'nightly' })
  expect([await aliasesOf('delay'), await aliasesOf('risk')]).toEqual([{}, { champion: risk }])
})

test('champions of environments are apart', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await addRoute(ctx, routeOf({ environment: 'staging' }))
  await releaseAs(ctx, one!)
  await releaseAs(ctx, two!, { environment: 'staging' })
  expect(await aliasesOf('delay')).toEqual({ champion: one, 'champion@staging': two })
  await retireAs(ctx, { environment: 'staging' })
  expect(await aliasesOf('delay')).toEqual({ champion: one })
})

test('the migration makes champions that had stayed behind what is served', async () => {
  const [one, two] = await addServable(ctx, ['one', 'two'])
  await addRoute(ctx, routeOf({ name: 'nightly' }))
  await releaseAs(ctx, one!)
  await releaseAs(ctx, two!, { route: 'nightly' })
  await ctx.db.updateTable('model_alias').set({ version: one! }).execute()
  const stale = { project: ctx.project, model: 'delay', version: one! }
  await ctx.db
    .insertInto('model_alias')
    .values([
      { ...stale, alias: 'champion@staging' },
      { ...stale, alias: 'best' },
    ])
    .execute()
  await up(ctx.db as never)
  expect(await aliasesOf('delay')).toEqual({ best: one, champion: two })
})
