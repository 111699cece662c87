import { DuckDBInstance } from '@duckdb/node-api'
import type { FeatureViewDefinition } from '@plimsoll/sdk/wire'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { isThorough } from '../../../../tests/servers.ts'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { isNear, valueAt } from './oracle.fixture.ts'
import {
  type HistoryRow,
  joinStatements,
  joinView,
  type SpineRow,
  temporaryFolder,
  viewOf,
  writeHistory,
} from './point-in-time.fixture.ts'

const SEED = 20_010_101
const BATCHES = isThorough ? 4 : 1
const CASES_PER_BATCH = 250

const key = fc.constantFrom('a', 'b', '', null)
const time = fc.option(fc.integer({ min: -5, max: 20 }), { freq: 12 })
const row = fc.record({
  keys: fc.tuple(key, fc.constantFrom('z', '')),
  ev: time,
  lag: fc.option(fc.integer({ min: -4, max: 9 }), { freq: 5 }),
  del: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  x: fc.option(fc.integer({ min: -50, max: 50 }).map((n) => n / 4)),
  n: fc.option(fc.integer({ min: -1_000, max: 1_000 })),
})
type GeneratedRow = typeof row extends fc.Arbitrary<infer R> ? R : never
const spineRow = fc.record({ keys: fc.tuple(key, fc.constantFrom('z', '')), t: time })
const oneCase = fc.record({
  rows: fc.array(row, { maxLength: 14 }),
  spine: fc.array(spineRow, { minLength: 1, maxLength: 8 }),
})

const FEATURES: FeatureViewDefinition['features'] = {
  newest_x: { from: 'column', column: 'x', type: 'float64' },
  newest_n: { from: 'column', column: 'n', type: 'int32' },
  rows_4: { from: 'aggregate', function: 'count', windowUs: 4, type: 'int64' },
  rows_15: { from: 'aggregate', function: 'count', windowUs: 15, type: 'int64' },
  count_n: { from: 'aggregate', function: 'count', column: 'n', windowUs: 6, type: 'int64' },
  sum_n: { from: 'aggregate', function: 'sum', column: 'n', windowUs: 6, type: 'float64' },
  mean_n: { from: 'aggregate', function: 'mean', column: 'n', windowUs: 15, type: 'float64' },
  std_n: { from: 'aggregate', function: 'std', column: 'n', windowUs: 15, type: 'float64' },
  min_n: { from: 'aggregate', function: 'min', column: 'n', windowUs: 6, type: 'float64' },
  sum_x: { from: 'aggregate', function: 'sum', column: 'x', windowUs: 4, type: 'float64' },
  mean_x: { from: 'aggregate', function: 'mean', column: 'x', windowUs: 15, type: 'float64' },
  max_x: { from: 'aggregate', function: 'max', column: 'x', windowUs: 15, type: 'float64' },
  std_x: { from: 'aggregate', function: 'std', column: 'x', windowUs: 6, type: 'float64' },
}

const { knownAt: _, ...EVENT_VIEW } = viewOf(FEATURES)
const { sequence: __, ...PLACED_VIEW } = EVENT_VIEW
const VIEWS = {
  'known time, no ttl': viewOf(FEATURES),
  'known time, no row known early': viewOf(FEATURES),
  'known time, ttl 5': viewOf(FEATURES, { ttlUs: 5 }),
  'event time, ttl 3': { ...EVENT_VIEW, ttlUs: 3 },
  'event time, ties by the place in the file': PLACED_VIEW,
}

/** Rows of which none is known before it happened: their statement sorts without the created time. */
const withoutEarly = <C extends { readonly rows: readonly GeneratedRow[] }>(one: C): C => ({
  ...one,
  rows: one.rows.filter(({ ev, lag }) => ev === null || (lag !== null && lag >= 0)),
})

/** Many cases share one statement: each has keys of its own. */
function merge(cases: readonly { rows: readonly GeneratedRow[]; spine: readonly SpineRow[] }[]) {
  const own = (keys: readonly (string | null)[], index: number) => [
    keys[0] === null ? null : `${index}/${keys[0]}`,
    keys[1]!,
  ]
  const rows: HistoryRow[] = cases.flatMap((one, index) =>
    one.rows.map(({ keys, ev, lag, del, x, n }, seq) => ({
      keys: own(keys, index),
      ev,
      cr: ev === null || lag === null ? null : ev + lag,
      seq,
      del,
      values: { x, n },
    })),
  )
  const spine = cases.flatMap((one, index) => one.spine.map(({ keys, t }) => ({ keys: own(keys, index), t })))
  return { rows, spine }
}

/** How many of a statement's joins DuckDB makes in its own ASOF plan; the engine takes one SELECT, and so no EXPLAIN. */
async function countAsofJoins(
  threshold: unknown,
  { sql, inputs }: Awaited<ReturnType<typeof joinStatements>>[number],
): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', { asof_loop_join_threshold: String(threshold) })
  const connection = await instance.connect()
  for (const [name, { files, orderColumn }] of Object.entries(inputs))
    await connection.run(
      `CREATE VIEW ${name} AS SELECT *, file_row_number AS ${orderColumn ?? 'place'} FROM read_parquet('${files[0]}', file_row_number = true)`,
    )
  const plan = (await connection.runAndReadAll(`EXPLAIN ${sql}`)).getRowsJS().join('\n')
  instance.closeSync()
  return plan.match(/ASOF_JOIN/g)?.length ?? 0
}

// A spine of about 1,000 rows is beyond DuckDB's own threshold of 64.
describe.each([
  [1_000_000, 0],
  [0, 4],
])('a point-in-time join equals the oracle with asof_loop_join_threshold %i', (threshold, asofJoins) => {
  const folder = temporaryFolder()
  const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 2, asofLoopJoinThreshold: threshold })
  afterAll(() => engine.close())

  test(`and ${asofJoins} ASOF joins in its plan`, async () => {
    const cases = fc.sample(oneCase, { seed: SEED, numRuns: CASES_PER_BATCH })
    const { rows, spine } = merge(cases)
    const view = VIEWS['known time, no ttl']
    const statements = await joinStatements(engine, folder, view, await writeHistory(engine, folder, rows), spine)
    const setting = await engine.rows({ sql: "SELECT current_setting('asof_loop_join_threshold')", inputs: {} })
    const counts = await Promise.all(statements.map((one) => countAsofJoins(setting.rows[0]![0], one)))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(asofJoins)
  })

  test.each(Object.entries(VIEWS))('%s', { timeout: 240_000 }, async (name, view) => {
    const cases = name.endsWith('no row known early') ? oneCase.map(withoutEarly) : oneCase
    const batches = fc.sample(
      fc.array(cases, { minLength: CASES_PER_BATCH, maxLength: CASES_PER_BATCH, size: 'max' }),
      { seed: SEED + threshold, numRuns: BATCHES },
    )
    for (const batch of [
      ...batches,
      ...batches.slice(0, 2).flatMap((cases) => cases.slice(0, 4).map((one) => [one])),
    ]) {
      const { rows, spine } = merge(batch)
      const found = await joinView(engine, folder, view, await writeHistory(engine, folder, rows), spine)
      expect(found).toHaveLength(spine.length)
      const byKey = Map.groupBy(rows, ({ keys }) => keys.join('\0'))
      const faults = spine.flatMap((asked, rid) =>
        Object.entries(view.features).flatMap(([name, feature]) => {
          const wanted = valueAt(view, feature, byKey.get(asked.keys.join('\0')) ?? [], asked)
          const cell = found[rid]![name]
          const value = cell === null ? null : Number(cell)
          return isNear(value, wanted)
            ? []
            : [{ asked, name, value, wanted, history: byKey.get(asked.keys.join('\0')) }]
        }),
      )
      expect(faults.slice(0, 3)).toEqual([])
    }
  })
})
