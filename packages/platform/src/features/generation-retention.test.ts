import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openLmdbOnlineStore } from '../adapters/lmdb/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Context } from '../kernel/db/index.ts'
import { addFeatures, addMaterialization, viewOf } from './declared.fixture.ts'
import { declareFeatureView, dropGenerations } from './index.ts'
import { encodeKey, encodeVersion, rowSection, windowSection } from './online/index.ts'

const HOUR_MS = 3_600_000
/** Everything counts as old. */
const NO_GRACE_MS = -HOUR_MS
const ROWS = 5_001
let database: TestDatabase
let ctx: Context
let store: OnlineStore
let directory: string
beforeAll(async () => {
  database = await openTestDatabase()
  ctx = database.ctx
})
beforeEach(async () => {
  await database.clear()
  directory = mkdtempSync(join(tmpdir(), 'plimsoll-generations-'))
  store = openLmdbOnlineStore({ directory, mapSizeBytes: 256 << 20 })
})
afterEach(async () => {
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})
afterAll(() => database.close())

const keyOf = (section: number, name: string) => encodeKey(section, ['text'], [name])!.key

/** What a materialization leaves: more records than one batch of a removal. */
async function fill(generation: number): Promise<number> {
  for (const section of [rowSection(generation), windowSection(generation)]) {
    const records = Array.from({ length: ROWS }, (_, index) => ({
      key: keyOf(section, String(index)),
      version: encodeVersion(1n, 1n, 1n),
      value: Buffer.from('v'),
    }))
    await store.applyBatch({ generation: section, fence: 1, watermark: 1, records })
  }
  return generation
}

/** Two generations of one view, both filled; the second is what the view means now. */
async function addGenerations(): Promise<readonly [number, number]> {
  await addFeatures(ctx)
  const first = await fill(await addMaterialization(ctx))
  const longer = { ...viewOf().features['mean_3h'], windowUs: 7_200_000_000 }
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf({ features: { mean_3h: longer } })))
  return [first, await fill(await addMaterialization(ctx))]
}

const drop = (graceMs: number, bound: readonly number[] = []) =>
  dropGenerations(ctx, store, { graceMs, bound: async () => new Set(bound) })
const isStored = async (generation: number) =>
  (await store.readBatch([keyOf(rowSection(generation), '0'), keyOf(windowSection(generation), '5000')])).map(
    (value) => value !== undefined,
  )
const statesOf = async (generation: number) =>
  (await ctx.db.selectFrom('materialization').select('state').where('generation', '=', generation).execute()).map(
    (row) => row.state,
  )

test('dropGenerations() takes what no view means any longer, whole, and says so', async () => {
  const [old, current] = await addGenerations()
  expect(await drop(NO_GRACE_MS)).toEqual([old])
  expect([await isStored(old), await isStored(current)]).toEqual([
    [false, false],
    [true, true],
  ])
  expect(await store.generations()).toEqual([rowSection(current), windowSection(current)])
  expect([await statesOf(old), await statesOf(current)]).toEqual([['dropped'], ['committed']])
  expect(await drop(NO_GRACE_MS)).toEqual([])
})

test('dropGenerations() leaves what is bound, and what is younger than the grace', async () => {
  const [old] = await addGenerations()
  expect(await drop(NO_GRACE_MS, [old])).toEqual([])
  expect(await drop(HOUR_MS)).toEqual([])
  expect([await isStored(old), await statesOf(old)]).toEqual([[true, true], ['committed']])
})

test('dropGenerations() leaves what a view means again', async () => {
  const [first, second] = await addGenerations()
  await ctx.transaction((tx) => declareFeatureView(tx, viewOf()))
  expect(await drop(NO_GRACE_MS)).toEqual([second])
  expect([await isStored(first), await isStored(second)]).toEqual([
    [true, true],
    [false, false],
  ])
})

test('dropGenerations() ends when it is told to, and the next goes on', async () => {
  const [old] = await addGenerations()
  const abort = AbortSignal.abort(new Error('enough'))
  const retention = { graceMs: NO_GRACE_MS, bound: async () => new Set<number>(), signal: abort }
  await expect(dropGenerations(ctx, store, retention)).rejects.toThrow('enough')
  expect((await isStored(old)).includes(true)).toBe(true)
  expect(await drop(NO_GRACE_MS)).toEqual([old])
  expect(await isStored(old)).toEqual([false, false])
})

test('dropGenerations() leaves a section that is filled again while another goes', async () => {
  const [old] = await addGenerations()
  const refilled: OnlineStore = {
    ...store,
    drop: async (section, limit) => {
      const removed = await store.drop(section, limit)
      if (section === rowSection(old) && limit > 0 && removed === limit) await fill(old)
      return removed
    },
  }
  const retention = { graceMs: NO_GRACE_MS, bound: async () => new Set<number>() }
  expect(await dropGenerations(ctx, refilled, retention)).toEqual([old])
  expect(await isStored(old)).toEqual([true, true])
})
