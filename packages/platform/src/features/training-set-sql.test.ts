import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Cell, InputRelation } from '@plimsoll/sdk/seams'
import type { ColumnType, EntityDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { afterAll, expect, test } from 'vitest'
import { openDuckdbQueryEngine } from '../adapters/duckdb/index.ts'
import { temporaryFolder, viewOf } from './point-in-time.fixture.ts'
import { writePointInTimeJoin } from './training-set-sql.ts'
import { planView } from './view-plan.ts'

const folder = temporaryFolder()
const engine = openDuckdbQueryEngine({ tempDirectory: folder, threads: 1 })
afterAll(() => engine.close())

const instant: ColumnType = { type: 'timestamp', zone: 'UTC', nullable: true }
const SCHEMA: Record<string, ColumnType> = {
  key: { type: 'text', nullable: false },
  at: instant,
  known: instant,
  x: { type: 'float64', nullable: true },
}
let written = 0

/** A Parquet file of the statement's rows. */
async function relation(sql: string, columns?: Record<string, ColumnType>): Promise<InputRelation> {
  written += 1
  const { files } = await engine.write({ sql, inputs: {}, output: { directory: join(folder, `data-${written}`) } })
  return { format: 'parquet', files, ...(columns ? { columns } : {}) }
}

interface Joined {
  readonly entity: string
  readonly spineKey: string
  readonly source: InputRelation
  readonly change?: Partial<FeatureViewDefinition>
}

/** The features `x` of the views in the order of the spine, which has the time `t`. */
async function joinViews(
  spine: InputRelation,
  spineColumns: readonly string[],
  views: readonly Joined[],
): Promise<Cell[][]> {
  written += 1
  const { files } = await writePointInTimeJoin({
    engine,
    spine,
    spineColumns,
    spineTime: 't',
    views: views.map(({ entity, spineKey, source, change }) => {
      const {
        sequence: _,
        tombstone: __,
        knownAt: ___,
        ...view
      } = viewOf({ x: { from: 'column', column: 'x', type: 'float64' } })
      const keyed: EntityDefinition = { kind: 'entity', name: entity, keys: [{ name: 'key', type: 'text' }] }
      const plan = planView({ ...view, ...change }, keyed, ['x'])
      return { plan, source, schema: SCHEMA, spineKeys: [spineKey], names: [`${entity}__x`] }
    }),
    workDir: join(folder, `work-${written}`),
    output: join(folder, `out-${written}`),
  })
  const names = views.map(({ entity }) => `${entity}__x`).join(', ')
  return (await engine.rows({ sql: `SELECT ${names} FROM made`, inputs: { made: { format: 'parquet', files } } })).rows
}

test('writePointInTimeJoin() joins two entities to one spine, each by its own key (40)', async () => {
  const at = (second: number) => `make_timestamptz(${second}000000)`
  const row = (key: string, second: number, x: number) => `('${key}', ${at(second)}, ${at(second)}, ${x}.0::DOUBLE)`
  const rows = (...tuples: string[]) =>
    relation(`SELECT * FROM (VALUES ${tuples.join(', ')}) v("key", "at", known, x)`, SCHEMA)
  // The other entity has the same keys: they must not meet.
  const users = await rows(row('u', 5, 1), row('i', 6, 8))
  const items = await rows(row('i', 9, 2), row('i', 11, 3), row('u', 4, 9))
  const spine = await relation(
    `SELECT * FROM (VALUES ('u', 'i', ${at(10)}), ('u', 'i', ${at(4)}), ('none', 'i', ${at(12)})) v(who, what, t)`,
  )
  expect(
    await joinViews(
      spine,
      ['who', 'what', 't'],
      [
        { entity: 'user', spineKey: 'who', source: users },
        { entity: 'item', spineKey: 'what', source: items },
      ],
    ),
  ).toEqual([
    [1, 2],
    [null, null],
    [null, 3],
  ])
})

test('writePointInTimeJoin() is of no use when the result has not exactly the rows of the spine', async () => {
  const losing = { ...engine, write: async () => ({ files: [], rowCount: 1 }) }
  const spine = await relation(`SELECT 'a' AS who, make_timestamptz(0) AS t FROM range(2)`)
  const request = { spine, spineColumns: ['who', 't'], spineTime: 't', views: [], workDir: folder, output: folder }
  await expect(writePointInTimeJoin({ ...request, engine: losing })).rejects.toMatchObject({
    code: 'features.row_count',
    message: 'Cannot make the training set: 2 spine rows became 1',
  })
})

const NS = (nanos: string) => `TIMESTAMP_NS '2024-01-01 00:00:00.${nanos}'`

test.each([
  ['event time', NS('000000500'), NS('000000000')],
  ['known-at time', NS('000000000'), NS('000000500')],
])('writePointInTimeJoin() shows no row before a nanosecond of its %s (39)', async (_, ev, cr) => {
  const rows = await relation(`SELECT 'a' AS "key", ${ev} AS "at", ${cr} AS known, 1.0::DOUBLE AS x`, SCHEMA)
  // The spine's own nanoseconds are left out: at ….000000999 it is ….000000.
  const times = [NS('000000000'), NS('000000999'), NS('000001000')].map((time, index) => `(${index}, ${time})`)
  const spine = await relation(`SELECT 'a' AS who, t FROM (VALUES ${times.join(', ')}) v(n, t) ORDER BY n`, undefined)
  const typed = { ...spine, columns: { who: SCHEMA.key!, t: instant } }
  const view = { entity: 'a', spineKey: 'who', source: rows, change: { knownAt: 'known' } }
  expect(await joinViews(typed, ['who', 't'], [view])).toEqual([[null], [null], [1]])
})

test('a ttl is elapsed time, whatever the zone of the process (36)', async () => {
  const fixture = new URL('./session-zone.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { TZ: 'America/New_York' },
  })
  const [printed] = await Promise.all([text(child.stdout), once(child, 'exit')])
  // 24 hours across the night in which New York's clocks went forward, and one microsecond more.
  expect(JSON.parse(printed)).toEqual({ process: 'America/New_York', session: 'UTC', found: [1, null] })
})
