import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import type { FeatureServingSpec } from '@plimsoll/sdk/wire'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLmdbOnlineStore } from '../../adapters/lmdb/index.ts'
import {
  encodeKey,
  encodeRow,
  encodeVersion,
  encodeWindow,
  openOnlineReader,
  rowSection,
  windowSection,
} from './index.ts'

const S = 1_000_000
let store: OnlineStore

beforeEach(() => {
  store = openLmdbOnlineStore({ directory: mkdtempSync(join(tmpdir(), 'plimsoll-reader-')), mapSizeBytes: 64 << 20 })
})
afterEach(() => store.close())

function specOf(change: Partial<FeatureServingSpec['views'][number]>): FeatureServingSpec {
  const view = {
    view: 'v',
    viewVersion: 'sha256:0',
    generation: 3,
    keys: [{ input: 'origin', type: 'text' as const }],
    ttlUs: null,
    columns: [],
    windows: [],
    ...change,
  }
  return {
    v: 1,
    service: 's',
    digest: 'sha256:1',
    names: Array.from({ length: view.columns.length + view.windows.length }, (_, index) => `f${index}`),
    views: [view],
  }
}

async function put(ev: number, cr: number, seq: number, value: number, isDeleted = false) {
  const key = encodeKey(rowSection(3), ['text'], ['a'])!.key
  const bytes = encodeRow({ eventUs: ev * S, knownUs: Math.max(ev, cr) * S, isDeleted, slots: [value] })
  return store.applyBatch({
    generation: rowSection(3),
    fence: 1,
    watermark: 0,
    records: [{ key, version: encodeVersion(BigInt(ev * S), BigInt(cr * S), BigInt(seq)), value: bytes }],
  })
}

function read(nowSeconds: number, ttlSeconds: number | null = null, origin: unknown = 'a') {
  const spec = specOf({ columns: [{ at: 0, slot: 0 }], ttlUs: ttlSeconds === null ? null : ttlSeconds * S })
  const { values, statuses } = openOnlineReader({ store, spec }).lookup({ origin }, BigInt(Math.round(nowSeconds * S)))
  return [values[0], statuses[0]]
}

test('lookup() gives the row that put-if-newer left (O1 to O5)', async () => {
  expect(await put(5, 5, 1, 1)).toEqual({ applied: 1, stale: 0 })
  expect(await put(4, 9, 2, 2)).toEqual({ applied: 0, stale: 1 })
  expect(await put(5, 6, 2, 3)).toEqual({ applied: 1, stale: 0 })
  expect(await put(5, 6, 2, 3)).toEqual({ applied: 0, stale: 1 })
  expect(read(10)).toEqual([3, 'PRESENT'])
})

test('lookup() of a deleted row finds nothing, and an older row does not bring it back (O6)', async () => {
  await put(7, 7, 1, 0, true)
  expect(await put(6, 9, 3, 1)).toEqual({ applied: 0, stale: 1 })
  expect(read(10)).toEqual([Number.NaN, 'NOT_FOUND'])
})

test('lookup() judges age when it reads: exactly the ttl is inside (O7)', async () => {
  await put(5, 5, 1, 1)
  expect(read(10, 5)).toEqual([1, 'PRESENT'])
  expect(read(10.000001, 5)).toEqual([Number.NaN, 'OUTSIDE_MAX_AGE'])
})

test('lookup() never shows a row before it was known, and without a history does not say that there was none', async () => {
  await put(5, 12, 1, 1)
  expect(read(11)).toEqual([Number.NaN, 'INVALID'])
  expect(read(12)).toEqual([1, 'PRESENT'])
})

test('lookup() casts no key, and a null key finds nothing', async () => {
  await put(5, 5, 1, 1)
  expect(() => read(10, null, 1)).toThrow(expect.objectContaining({ code: 'features.type_mismatch_key' }))
  expect(read(10, null, null)).toEqual([Number.NaN, 'NOT_FOUND'])
})

/** Reference §3.3, the sliding column: rows, T in seconds, count and sum. */
const WINDOW_CASES: readonly [readonly (readonly [number, number | null])[], number, number, number, string][] = [
  [
    [
      [0, 1],
      [5, 2],
      [10, 4],
      [25, 8],
    ],
    25,
    2,
    12,
    'PRESENT',
  ],
  [
    [
      [0, 1],
      [5, 2],
      [10, 4],
      [25, 8],
    ],
    30,
    1,
    8,
    'PRESENT',
  ],
  [
    [
      [0, 1],
      [5, 2],
      [10, 4],
      [25, 8],
    ],
    20,
    2,
    6,
    'PRESENT',
  ],
  [
    [
      [0, 1],
      [5, 2],
      [10, 4],
      [25, 8],
    ],
    19.999999,
    3,
    7,
    'PRESENT',
  ],
  [[], 25, 0, Number.NaN, 'NULL_VALUE'],
  [[[25, null]], 25, 0, Number.NaN, 'NULL_VALUE'],
  [
    [
      [25, 1],
      [25.5, 2],
    ],
    25,
    1,
    1,
    'PRESENT',
  ],
]

test.each(WINDOW_CASES)('lookup() answers a sliding window: %j at %d', async (rows, t, count, sum, status) => {
  const { key } = encodeKey(windowSection(3), ['text'], ['a'])!
  const value = encodeWindow({
    fromUs: -100 * S,
    untilUs: 40 * S,
    times: rows.map(([ev]) => ev * S),
    columns: [rows.map(([, v]) => v)],
  })
  await store.applyBatch({
    generation: windowSection(3),
    fence: 1,
    watermark: 0,
    records: [{ key, version: encodeVersion(1n, 0n, 0n), value }],
  })
  const windows = (['count', 'sum'] as const).map((name, at) => ({ at, function: name, column: 0, windowUs: 20 * S }))
  const found = openOnlineReader({ store, spec: specOf({ windows }) }).lookup(
    { origin: 'a' },
    BigInt(Math.round(t * S)),
  )
  expect([...found.values]).toEqual([count, sum])
  expect(found.statuses).toEqual(['PRESENT', status])
})

test('lookup() calls a window INVALID that the store no longer holds whole', async () => {
  const { key } = encodeKey(windowSection(3), ['text'], ['a'])!
  const value = encodeWindow({ fromUs: 10 * S, untilUs: 40 * S, times: [20 * S], columns: [] })
  await store.applyBatch({
    generation: windowSection(3),
    fence: 1,
    watermark: 0,
    records: [{ key, version: encodeVersion(1n, 0n, 0n), value }],
  })
  const spec = specOf({ windows: [{ at: 0, function: 'count', column: -1, windowUs: 20 * S }] })
  const reader = openOnlineReader({ store, spec })
  expect(reader.lookup({ origin: 'a' }, BigInt(29 * S)).statuses).toEqual(['INVALID'])
  expect(reader.lookup({ origin: 'a' }, BigInt(30 * S))).toEqual({
    values: new Float64Array([1]),
    statuses: ['PRESENT'],
  })
})

const WINDOWS = (['count', 'mean'] as const).map((name, at) => ({
  at,
  function: name,
  column: at - 1,
  windowUs: 20 * S,
}))

/** One event of value 8 at 35, and everything is known up to `untilSeconds`. */
async function putWindow(untilSeconds: number) {
  const { key } = encodeKey(windowSection(3), ['text'], ['a'])!
  const value = encodeWindow({ fromUs: 0, untilUs: 40 * S, times: [35 * S], columns: [[8]] })
  await store.applyBatch({
    generation: windowSection(3),
    fence: 1,
    watermark: untilSeconds * S,
    records: [{ key, version: encodeVersion(1n, 0n, 0n), value }],
  })
}

function readWindows(nowSeconds: number, ttlSeconds: number | null = null, origin = 'a') {
  const spec = specOf({ windows: WINDOWS, ttlUs: ttlSeconds === null ? null : ttlSeconds * S })
  const { values, statuses } = openOnlineReader({ store, spec }).lookup({ origin }, BigInt(Math.round(nowSeconds * S)))
  return [...values, ...statuses]
}

const TOO_OLD = [Number.NaN, Number.NaN, 'OUTSIDE_MAX_AGE', 'OUTSIDE_MAX_AGE']

test('lookup() beyond the watermark answers the window as of the watermark, and after its length nothing', async () => {
  await putWindow(40)
  expect(readWindows(40)).toEqual([1, 8, 'PRESENT', 'PRESENT'])
  // Nothing is known of what came after 40: the event at 35 has not left the window that was known.
  expect(readWindows(58)).toEqual([1, 8, 'PRESENT', 'PRESENT'])
  expect(readWindows(60)).toEqual([1, 8, 'PRESENT', 'PRESENT'])
  expect(readWindows(60.000001)).toEqual(TOO_OLD)
})

test('lookup() beyond the watermark has no value once the view’s ttl has passed', async () => {
  await putWindow(40)
  expect(readWindows(45, 5)).toEqual([1, 8, 'PRESENT', 'PRESENT'])
  expect(readWindows(45.000001, 5)).toEqual(TOO_OLD)
  expect(readWindows(61, 100)).toEqual(TOO_OLD)
})

test('lookup() takes an entity without new events up to the watermark of its generation', async () => {
  await putWindow(100)
  expect(readWindows(56)).toEqual([0, Number.NaN, 'PRESENT', 'NULL_VALUE'])
  expect(readWindows(100, 1)).toEqual([0, Number.NaN, 'PRESENT', 'NULL_VALUE'])
})

test('lookup() counts no events of an unknown entity only as far as the store was filled', async () => {
  expect(readWindows(10)).toEqual([Number.NaN, Number.NaN, 'NOT_FOUND', 'NOT_FOUND'])
  await putWindow(40)
  expect(readWindows(50, null, 'b')).toEqual([0, Number.NaN, 'NOT_FOUND', 'NOT_FOUND'])
  expect(readWindows(61, null, 'b')).toEqual(TOO_OLD)
})

test('openOnlineReader() refuses a store that cannot answer at once', () => {
  const { readNow: _, ...distant } = store
  expect(() => openOnlineReader({ store: distant, spec: specOf({}) })).toThrow(
    expect.objectContaining({ kind: 'unsupported', code: 'features.store_not_local' }),
  )
})
