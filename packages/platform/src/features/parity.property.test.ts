import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FeatureServingSpec, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { isThorough } from '../../../../tests/servers.ts'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { openLmdbOnlineStore } from '../adapters/lmdb/index.ts'
import { materializeView } from './materialize-batch.ts'
import { layoutOf, openOnlineReader } from './online/index.ts'
import { isNear, valueAt } from './oracle.fixture.ts'
import { ENTITY, type HistoryRow, joinView, temporaryFolder, viewOf, writeHistory } from './point-in-time.fixture.ts'

const folder = temporaryFolder()
const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 2 })
afterAll(() => engine.close())

const VIEW = viewOf(
  {
    newest: { from: 'column', column: 'x', type: 'float64' },
    rows_4: { from: 'aggregate', function: 'count', windowUs: 4, type: 'int64' },
    count_n: { from: 'aggregate', function: 'count', column: 'n', windowUs: 20, type: 'int64' },
    mean_n: { from: 'aggregate', function: 'mean', column: 'n', windowUs: 20, type: 'float64' },
    std_n: { from: 'aggregate', function: 'std', column: 'n', windowUs: 20, type: 'float64' },
    sum_x: { from: 'aggregate', function: 'sum', column: 'x', windowUs: 7, type: 'float64' },
    min_x: { from: 'aggregate', function: 'min', column: 'x', windowUs: 7, type: 'float64' },
    max_x: { from: 'aggregate', function: 'max', column: 'x', windowUs: 20, type: 'float64' },
  },
  { ttlUs: 6 },
)

function specFor(view: FeatureViewDefinition): FeatureServingSpec {
  const layout = layoutOf(view)
  const names = Object.keys(view.features)
  const columns: FeatureServingSpec['views'][number]['columns'] = []
  const windows: FeatureServingSpec['views'][number]['windows'] = []
  for (const [at, name] of names.entries()) {
    const feature = view.features[name]!
    if (feature.from === 'column') columns.push({ at, slot: layout.slots.findIndex((slot) => slot.feature === name) })
    else
      windows.push({
        at,
        function: feature.function,
        column: feature.column === undefined ? -1 : layout.windowColumns.indexOf(feature.column),
        windowUs: feature.windowUs,
      })
  }
  const keys = [
    { input: 'k0', type: 'text' as const },
    { input: 'k1', type: 'text' as const },
  ]
  return {
    v: 1,
    service: 's',
    digest: 'd',
    names,
    views: [{ view: 'history', viewVersion: 'v', generation: 1, keys, ttlUs: view.ttlUs, columns, windows }],
  }
}

const row = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'x'.repeat(600)),
  ev: fc.integer({ min: 0, max: 60 }),
  lag: fc.option(fc.integer({ min: -3, max: 25 }), { freq: 4 }),
  del: fc.integer({ min: 0, max: 12 }).map((n) => n === 0),
  x: fc.option(fc.integer({ min: -400, max: 400 }).map((n) => n / 8)),
  n: fc.option(fc.integer({ min: -100, max: 100 })),
})

const SLACK = 30

/** Every instant from `until − slack` on is promised: its ends, and some between. */
function instantsOf(until: number, seed: number): number[] {
  return [until, until - SLACK, ...fc.sample(fc.integer({ min: until - SLACK, max: until }), { seed, numRuns: 6 })]
}

test('an online value equals the offline value at every instant from until − slack on, windows and late rows included', {
  timeout: 240_000,
}, async () => {
  const histories = fc.sample(fc.array(row, { minLength: 40, maxLength: 160, size: 'max' }), {
    seed: 7,
    numRuns: isThorough ? 4 : 2,
  })
  for (const [number, generated] of histories.entries()) {
    const rows = generated.map(({ key, ev, lag, del, x, n }, seq) => ({
      keys: [key, 'z'],
      ev,
      cr: lag === null ? null : ev + lag,
      seq,
      del,
      values: { x, n },
    }))
    const history = await writeHistory(engine, folder, rows)
    const store = openLmdbOnlineStore({
      directory: mkdtempSync(join(tmpdir(), 'plimsoll-parity-')),
      mapSizeBytes: 64 << 20,
    })
    const reader = openOnlineReader({ store, spec: specFor(VIEW) })
    for (const until of [12, 25, 26, 44, 70, 95]) {
      const request = {
        engine,
        store,
        view: VIEW,
        entity: ENTITY,
        generation: 1,
        source: history,
        untilUs: BigInt(until),
        sourceVersion: 1,
        slackUs: SLACK,
      }
      await materializeView({ ...request, workDir: join(folder, `m-${number}-${until}`) })
      const again = await materializeView({ ...request, workDir: join(folder, `again-${number}-${until}`) })
      expect(again.applied).toBe(0)
      const spine = [...new Set(rows.map(({ keys }) => keys[0]!)), 'nobody'].flatMap((key) =>
        instantsOf(until, number * 100 + until).map((t) => ({ keys: [key, 'z'], t })),
      )
      const offline = await joinView(engine, folder, VIEW, history, spine)
      for (const [index, { keys, t }] of spine.entries()) {
        const { values } = reader.lookup({ k0: keys[0], k1: keys[1] }, BigInt(t))
        const differences = reader.names.flatMap((name, at) => {
          const cell = offline[index]![name]
          const online = Number.isNaN(values[at]) ? null : values[at]!
          return isNear(cell === null ? null : Number(cell), online)
            ? []
            : [{ until, t, key: keys[0]!.slice(0, 9), name, offline: cell, online }]
        })
        expect(differences).toEqual([])
      }
    }
    await store.close()
  }
})

const SPREAD = viewOf({
  std_x: { from: 'aggregate', function: 'std', column: 'x', windowUs: 20, type: 'float64' },
  std_n: { from: 'aggregate', function: 'std', column: 'n', windowUs: 20, type: 'float64' },
})

test('a deviation far from zero is the same online, offline and by definition, and not a number is none', async () => {
  const noise = Array.from({ length: 60 }, (_, index) => (index * 37) % 11)
  const shifts = { far: [1e9, 1_000_000_000], below: [-1e9, -1_000_000_000], near: [-3, -3] } as const
  const rows = Object.entries(shifts).flatMap(([key, [x, n]]) =>
    noise.map((part, ev): HistoryRow => ({ keys: [key, 'z'], ev, seq: ev, values: { x: x + part / 8, n: n + part } })),
  )
  const lost = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const [index, x] of lost.entries())
    for (const [ev, value] of [
      [5, 1],
      [10, x],
      [15, 2],
    ] as const)
      rows.push({ keys: [`lost ${index}`, 'z'], ev, seq: ev, values: { x: value, n: 1 } })
  const history = await writeHistory(engine, folder, rows)
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-spread-'))
  const store = openLmdbOnlineStore({ directory, mapSizeBytes: 64 << 20 })
  const at = { generation: 1, untilUs: 60n, sourceVersion: 1, slackUs: 60, workDir: join(folder, 'spread') }
  await materializeView({ engine, store, view: SPREAD, entity: ENTITY, source: history, ...at })
  const reader = openOnlineReader({ store, spec: specFor(SPREAD) })
  const spine = [...new Set(rows.map(({ keys }) => keys[0]!))].flatMap((key) =>
    [0, 4, 10, 12, 20, 31, 35, 59].map((t) => ({ keys: [key, 'z'], t })),
  )
  const offline = await joinView(engine, folder, SPREAD, history, spine)
  const differences = spine.flatMap((asked, index) => {
    const { values, statuses } = reader.lookup({ k0: asked.keys[0], k1: 'z' }, BigInt(asked.t))
    return reader.names.flatMap((name, place) => {
      const wanted = valueAt(SPREAD, SPREAD.features[name]!, rows, asked)
      const online = statuses[place] === 'PRESENT' ? values[place]! : null
      const cell = offline[index]![name] as number | null // a deviation is a double
      return isNear(cell, wanted) && isNear(online, wanted) ? [] : [{ asked, name, wanted, cell, online }]
    })
  })
  expect(differences).toEqual([])
  await store.close()
})
