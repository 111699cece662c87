import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import type { FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { openLmdbOnlineStore } from '../adapters/lmdb/index.ts'
import { type Materialized, materializeView } from './materialize-batch.ts'
import { openOnlineReader } from './online/index.ts'
import {
  ENTITY,
  type HistoryRow,
  joinView,
  SCHEMA,
  temporaryFolder,
  viewOf,
  writeHistory,
} from './point-in-time.fixture.ts'

const folder = temporaryFolder()
const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 1 })
let store: OnlineStore
let runs = 0

beforeEach(() => {
  store = openLmdbOnlineStore({ directory: mkdtempSync(join(tmpdir(), 'plimsoll-batch-')), mapSizeBytes: 64 << 20 })
})
afterEach(() => store.close())
afterAll(() => engine.close())

const VIEW = viewOf({ x: { from: 'column', column: 'x', type: 'float64' } })

/** `[event, known, x]`; null is no value, and no third member a deletion. */
type Row = readonly [number, number, (number | null)?]

const rowOf = ([ev, cr, x]: Row, seq: number): HistoryRow => ({
  keys: ['a', 'z'],
  ev,
  cr,
  seq,
  del: x === undefined,
  values: { x: x ?? null },
})

async function fill(
  rows: readonly Row[],
  until: number,
  { slack = 30, version = 1, view = VIEW }: { slack?: number; version?: number; view?: FeatureViewDefinition } = {},
): Promise<Materialized> {
  runs += 1
  return materializeView({
    engine,
    store,
    view,
    entity: ENTITY,
    generation: 1,
    source: await writeHistory(engine, folder, rows.map(rowOf)),
    untilUs: BigInt(until),
    sourceVersion: version,
    slackUs: slack,
    workDir: join(folder, `run-${runs}`),
  })
}

function read(
  now: number,
  ttlUs: number | null = null,
  inputs: Readonly<Record<string, unknown>> = { k0: 'a', k1: 'z' },
  { type = 'text', generation = 1 }: { type?: string; generation?: number } = {},
): [number, string] {
  const keys = [
    { input: 'k0', type },
    { input: 'k1', type: 'text' },
  ]
  const view = { view: 'history', viewVersion: 'v', generation, keys, ttlUs, windows: [] }
  const spec = { v: 1, service: 's', digest: 'd', names: ['x'], views: [{ ...view, columns: [{ at: 0, slot: 0 }] }] }
  const { values, statuses } = openOnlineReader({ store, spec }).lookup(inputs, BigInt(now))
  return [values[0]!, statuses[0]!]
}

const TWO: readonly Row[] = [
  [10, 10, 1],
  [30, 30, 2],
]

test('materializeView() ahead of the clock hides no row that was known before (O8)', async () => {
  await fill(TWO, 40)
  expect([read(10), read(20), read(29)]).toEqual([
    [1, 'PRESENT'],
    [1, 'PRESENT'],
    [1, 'PRESENT'],
  ])
  expect(read(30)).toEqual([2, 'PRESENT'])
  // The time after `until`, too.
  expect(read(1_000)).toEqual([2, 'PRESENT'])
})

test('materializeView() keeps each winner of the slack, deletions and nulls among them, and judges age when read', async () => {
  const rows: readonly Row[] = [
    [5, 5, 1],
    [12, 12, null],
    [14, 14],
    [16, 20, 4],
    [15, 25, 5],
    [26, 26, 6],
  ]
  await fill(rows, 40)
  expect([11, 12, 14, 20, 25, 26].map((now) => read(now))).toEqual([
    [1, 'PRESENT'],
    [Number.NaN, 'NULL_VALUE'],
    [Number.NaN, 'NOT_FOUND'],
    [4, 'PRESENT'],
    [4, 'PRESENT'],
    [6, 'PRESENT'],
  ])
  expect([read(11, 6), read(11, 5)]).toEqual([
    [1, 'PRESENT'],
    [Number.NaN, 'OUTSIDE_MAX_AGE'],
  ])
})

test('materializeView() says of an instant before the slack that it is not held, and of one before any row nothing', async () => {
  await fill(TWO, 40, { slack: 12 })
  expect([read(27), read(28)]).toEqual([
    [Number.NaN, 'INVALID'],
    [1, 'PRESENT'],
  ])
  await fill(TWO, 40, { slack: 35 })
  expect([read(4), read(5), read(10)]).toEqual([
    [Number.NaN, 'INVALID'],
    [Number.NaN, 'NOT_FOUND'],
    [1, 'PRESENT'],
  ])
})

test('materializeView() applies nothing a second time, nor from an older instant or version', async () => {
  expect(await fill(TWO, 40, { version: 2 })).toMatchObject({ applied: 2, stale: 0 })
  expect(await fill(TWO, 40, { version: 2 })).toMatchObject({ applied: 0, stale: 2 })
  expect(await fill([[12, 12, 7]], 25, { version: 2 })).toMatchObject({ applied: 0, stale: 2 })
  expect(await fill([...TWO, [12, 12, 7]], 40, { version: 1 })).toMatchObject({ applied: 0, stale: 2 })
  expect([read(20), read(35)]).toEqual([
    [1, 'PRESENT'],
    [2, 'PRESENT'],
  ])
})

test('materializeView() takes a late row of a later version up among what was known before', async () => {
  await fill(TWO, 40)
  expect(await fill([...TWO, [12, 12, 7]], 40, { version: 2 })).toMatchObject({ applied: 1, stale: 1 })
  expect([read(11), read(20), read(30)]).toEqual([
    [1, 'PRESENT'],
    [7, 'PRESENT'],
    [2, 'PRESENT'],
  ])
})

test('materializeView() writes an entity that did not change in the slack once only', async () => {
  expect(await fill(TWO, 100)).toMatchObject({ applied: 1, stale: 0 })
  expect(await fill(TWO, 200)).toMatchObject({ applied: 0, stale: 1 })
  expect(read(150)).toEqual([2, 'PRESENT'])
})

/** Pairs of keys that an encoding might take for one another. */
const ALIKE: readonly (readonly [string, string])[] = [
  ['a', 'bc'],
  ['ab', 'c'],
  ['a\0', 'b'],
  ['a', '\0b'],
  ['a', 'b'],
  ['', 'x'],
  ['x', ''],
  ['', ''],
  ['\0', ''],
  ['\u00e9', 'z'],
  ['e\u0301', 'z'],
  ['1', 'z'],
  ['01', 'z'],
  ['A', 'z'],
  ['a', 'z'],
  ['a ', 'z'],
  ['a \0\0\0\0b', 'c'], // each holds what stands between the two parts of the other, but for their lengths
  ['a', 'b \0\0\0\0c'],
  ['l'.repeat(600), 'z'],
  ['l'.repeat(599), 'lz'],
]

test('materializeView() keeps entities apart whose keys are alike, and each is found as training finds it', async () => {
  runs += 1
  const rows = ALIKE.map((keys, index) => ({ ...rowOf([10, 10, index], index), keys }))
  const orphans = [
    [null, 'x'],
    ['x', null],
    [null, null],
  ] as const
  const lost = orphans.map((keys, index) => ({ ...rowOf([11, 11, 100 + index], 100 + index), keys }))
  const source = await writeHistory(engine, folder, [...rows, ...lost])
  const at = { generation: 1, untilUs: 40n, sourceVersion: 1, slackUs: 0, workDir: join(folder, `run-${runs}`) }
  expect(await materializeView({ engine, store, view: VIEW, entity: ENTITY, source, ...at })).toMatchObject({
    applied: ALIKE.length,
  })
  const offline = await joinView(
    engine,
    folder,
    VIEW,
    source,
    [...ALIKE, ...orphans].map((keys) => ({ keys, t: 40 })),
  )
  expect(offline.map(({ x }) => x)).toEqual([...ALIKE.keys(), null, null, null])
  expect(ALIKE.map(([k0, k1]) => read(40, null, { k0, k1 }))).toEqual([...ALIKE.keys()].map((x) => [x, 'PRESENT']))
  const nothing = [Number.NaN, 'NOT_FOUND']
  for (const [k0, k1] of orphans) expect(read(40, null, { k0, k1 })).toEqual(nothing)
  for (const absent of [{ k0: 'x' }, { k1: 'x' }, {}]) expect(read(40, null, absent)).toEqual(nothing)
})

test('materializeView() takes no whole number for the text of its digits, and no text for a number', async () => {
  const mismatch = expect.objectContaining({ code: 'features.type_mismatch_key' })
  for (const [generation, type, cell, own] of [
    [1, 'text', "'1'", '1'],
    [2, 'int64', '1::BIGINT', 1],
  ] as const) {
    runs += 1
    const times = 'make_timestamptz(10) AS at, make_timestamptz(10) AS known'
    const sql = `SELECT ${cell} AS k0, 'z' AS k1, ${times}, 1::BIGINT AS seq, false AS gone, ${generation}::DOUBLE AS x, 1::INTEGER AS n`
    const { files } = await engine.write({ sql, inputs: {}, output: { directory: join(folder, `keys-${runs}`) } })
    const entity = { ...ENTITY, keys: [{ name: 'k0', type }, ENTITY.keys[1]!] }
    const source = { format: 'parquet' as const, files, columns: { ...SCHEMA, k0: { type, nullable: true } } }
    const until = { untilUs: 40n, sourceVersion: 1, slackUs: 0, workDir: join(folder, `run-${runs}`) }
    await materializeView({ engine, store, view: VIEW, entity, generation, source, ...until })
    expect(read(40, null, { k0: own, k1: 'z' }, { type, generation })).toEqual([generation, 'PRESENT'])
    const others = type === 'text' ? [1, 1n, true, Buffer.from('1')] : ['1', 1.5, 2 ** 53, true]
    for (const k0 of others) expect(() => read(40, null, { k0, k1: 'z' }, { type, generation })).toThrow(mismatch)
  }
})

test.each([
  ['row', { x: { from: 'column', column: 'x', type: 'int64' } }],
  ['window', { x: { from: 'aggregate', function: 'max', column: 'x', windowUs: 100, type: 'int64' } }],
] as const)(
  'materializeView() refuses a whole number that a %s would serve as its neighbour',
  async (_what, features) => {
    const fillWith = async (x: bigint) => {
      runs += 1
      const directory = join(folder, `int64-${runs}`)
      const times = 'make_timestamptz(10) AS at, make_timestamptz(10) AS known'
      const sql = `SELECT 'a' AS k0, 'z' AS k1, ${times}, 1::BIGINT AS seq, false AS gone, ${x}::BIGINT AS x, 1::INTEGER AS n`
      const { files } = await engine.write({ sql, inputs: {}, output: { directory } })
      const columns = { ...SCHEMA, x: { type: 'int64', nullable: true } as const }
      const source = { format: 'parquet' as const, files, columns }
      const until = { untilUs: 40n, sourceVersion: 1, slackUs: 30, workDir: join(folder, `run-${runs}`) }
      return materializeView({ engine, store, view: viewOf(features), entity: ENTITY, generation: 1, source, ...until })
    }
    await expect(fillWith(2n ** 53n + 1n)).rejects.toMatchObject({
      code: 'features.inexact_integer',
      message: expect.stringContaining('9007199254740993'),
    })
    expect((await fillWith(-(2n ** 53n) + 1n)).applied).toBeGreaterThan(0)
  },
)
