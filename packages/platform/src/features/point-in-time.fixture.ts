import { mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cell, InputRelation, QueryEngine } from '@plimsoll/sdk/seams'
import type { ColumnType, EntityDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { latestRowStatements } from './latest-row-sql.ts'
import { withSpine } from './training-set-sql.ts'
import { orderedSource, planView } from './view-plan.ts'
import { windowStatements } from './window-sql.ts'

/** A row of a history; times are microseconds. */
export interface HistoryRow {
  readonly keys: readonly (string | null)[]
  readonly ev: number | null
  readonly cr?: number | null
  readonly seq: number
  readonly del?: boolean
  readonly values: Readonly<Record<string, number | null>>
}

export interface SpineRow {
  readonly keys: readonly (string | null)[]
  readonly t: number | null
}

export const SCHEMA: Readonly<Record<string, ColumnType>> = {
  k0: { type: 'text', nullable: true },
  k1: { type: 'text', nullable: true },
  at: { type: 'timestamp', zone: 'UTC', nullable: true },
  known: { type: 'timestamp', zone: 'UTC', nullable: true },
  seq: { type: 'int64', nullable: false },
  gone: { type: 'boolean', nullable: false },
  x: { type: 'float64', nullable: true },
  n: { type: 'int32', nullable: true },
}

export const ENTITY: EntityDefinition = {
  kind: 'entity',
  name: 'thing',
  keys: [
    { name: 'k0', type: 'text' },
    { name: 'k1', type: 'text' },
  ],
}

export function viewOf(
  features: FeatureViewDefinition['features'],
  change: Partial<FeatureViewDefinition> = {},
): FeatureViewDefinition {
  return {
    kind: 'feature-view',
    name: 'history',
    entity: 'thing',
    source: 'history',
    keyColumns: {},
    eventTime: 'at',
    knownAt: 'known',
    sequence: 'seq',
    tombstone: 'gone',
    ttlUs: null,
    features,
    online: true,
    ...change,
  }
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-features-'))
  mkdirSync(join(folder, 'spill'))
  return folder
}

/** The text of a statement holds no zero byte, so that one of a value is made. */
const sqlText = (text: string | null) =>
  text === null ? 'NULL' : `('${text.replaceAll("'", "''").replaceAll('\0', "' || chr(0) || '")}')`
const sqlNumber = (value: number | null | undefined) =>
  value === null || value === undefined ? 'NULL' : Number.isFinite(value) ? String(value) : `'${value}'::DOUBLE`
const sqlTime = (us: number | null | undefined) =>
  us === null || us === undefined ? 'NULL' : `make_timestamptz(${us})`

let written = 0

async function write(engine: QueryEngine, folder: string, sql: string): Promise<InputRelation> {
  written += 1
  const { files } = await engine.write({ sql, inputs: {}, output: { directory: join(folder, `data-${written}`) } })
  return { format: 'parquet', files }
}

export async function writeHistory(
  engine: QueryEngine,
  folder: string,
  rows: readonly HistoryRow[],
): Promise<InputRelation> {
  const tuples = rows.map(
    ({ keys, ev, cr, seq, del, values }) =>
      `(${sqlText(keys[0] ?? null)}, ${sqlText(keys[1] ?? null)}, ${sqlTime(ev)}, ${sqlTime(cr)}, ${seq}, ${del ?? false}, ${sqlNumber(values.x)}, ${sqlNumber(values.n)})`,
  )
  const columns = `CAST(a AS VARCHAR) AS k0, CAST(b AS VARCHAR) AS k1, CAST(c AS TIMESTAMPTZ) AS at, CAST(d AS TIMESTAMPTZ) AS known, CAST(e AS BIGINT) AS seq, CAST(f AS BOOLEAN) AS gone, CAST(g AS DOUBLE) AS x, CAST(h AS INTEGER) AS n`
  const none = `(NULL, NULL, NULL, NULL, 0, false, NULL, NULL)`
  const sql = `SELECT ${columns} FROM (VALUES ${tuples.length ? tuples.join(', ') : none}) t(a, b, c, d, e, f, g, h)${tuples.length ? '' : ' WHERE false'}`
  return { ...(await write(engine, folder, sql)), columns: SCHEMA }
}

interface JoinStatement {
  readonly sql: string
  readonly inputs: Readonly<Record<'numbered' | 'source', InputRelation>>
  /** Columns after `rid`, by the place of their feature. */
  readonly columns: readonly string[]
}

/** The statements by which a view is joined to a spine, and the files that they read. */
export async function joinStatements(
  engine: QueryEngine,
  folder: string,
  view: FeatureViewDefinition,
  history: InputRelation,
  spine: readonly SpineRow[],
  asOfUs?: bigint,
): Promise<JoinStatement[]> {
  const plan = planView(view, ENTITY, Object.keys(view.features), asOfUs)
  const tuples = spine.map(
    ({ keys, t }, rid) => `(${rid}, ${sqlText(keys[0] ?? null)}, ${sqlText(keys[1] ?? null)}, ${t ?? 'NULL'})`,
  )
  const values = tuples.length ? tuples.join(', ') : '(0, NULL, NULL, NULL)'
  const rows = `SELECT CAST(a AS BIGINT) AS rid, CAST(b AS VARCHAR) AS k0, CAST(c AS VARCHAR) AS k1, CAST(d AS BIGINT) AS t FROM (VALUES ${values}) v(a, b, c, d)${tuples.length ? '' : ' WHERE false'}`
  const inputs = { numbered: await write(engine, folder, rows), source: orderedSource(history, plan) }
  const statements = [...(await latestRowStatements(engine, plan, inputs)), ...windowStatements(plan, SCHEMA)]
  return statements.map(({ sql, columns }) => ({ sql: withSpine(sql, 'SELECT * FROM numbered'), columns, inputs }))
}

/** Values of the view's features for each row of the spine, in its order; rows without key or time have nulls. */
export async function joinView(
  engine: QueryEngine,
  folder: string,
  view: FeatureViewDefinition,
  history: InputRelation,
  spine: readonly SpineRow[],
  asOfUs?: bigint,
): Promise<Record<string, Cell>[]> {
  const names = Object.keys(view.features)
  const result: Record<string, Cell>[] = spine.map(() => Object.fromEntries(names.map((name) => [name, null])))
  for (const { columns, ...statement } of await joinStatements(engine, folder, view, history, spine, asOfUs)) {
    const found = await engine.rows(statement)
    const seen = new Set<number>()
    for (const [rid, ...cells] of found.rows) {
      if (seen.has(Number(rid))) throw new Error(`row ${rid} of the spine came twice`)
      seen.add(Number(rid))
      for (const [index, column] of columns.entries())
        result[Number(rid)]![names[Number(column.slice(1))]!] = cells[index]!
    }
  }
  return result
}
