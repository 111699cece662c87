import { type RawBuilder, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { refusal } from './failure.ts'
import { type Comparison, parseFilter } from './filter.ts'
import { numberSql, pairSql, textSql } from './filter-sql.ts'
import { afterCursor, cursorSql, type OrderTerm, orderSql, parseOrderBy, type SortKey, sortParts } from './order.ts'
import { pageQuery, readPageToken, writePageToken } from './page-token.ts'
import type { RunRow, TrackedRun } from './run.ts'
import { readRunData } from './run-data.ts'

export const VIEW_TYPE = { ACTIVE_ONLY: 1, DELETED_ONLY: 2, ALL: 3 } as const
export type ViewType = keyof typeof VIEW_TYPE

const ATTRIBUTES = ['', 'attribute', 'attributes', 'attr', 'run']
const PARAMS = ['param', 'params', 'parameter', 'parameters']
const METRICS = ['metric', 'metrics']
const TAGS = ['tag', 'tags']
const DATASETS = ['dataset', 'datasets']

const TEXT_COLUMNS: Readonly<Record<string, RawBuilder<unknown>>> = {
  run_id: sql`r.id`,
  run_name: sql`r.name`,
  'run name': sql`r.name`,
  'Run name': sql`r.name`,
  'Run Name': sql`r.name`,
  user_id: sql`r.user_id`,
  User: sql`r.user_id`,
  status: sql`r.status`,
  artifact_uri: sql`r.artifact_uri`,
  experiment_id: sql`r.experiment`,
}
const TIME_COLUMNS: Readonly<Record<string, RawBuilder<unknown>>> = {
  start_time: sql`r.start_ms`,
  created: sql`r.start_ms`,
  Created: sql`r.start_ms`,
  end_time: sql`r.end_ms`,
}
const DATASET_COLUMNS: Readonly<Record<string, RawBuilder<unknown>>> = {
  name: sql`d.name`,
  digest: sql`d.digest`,
  context: sql`i.context`,
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}

function clauseSql(clause: Comparison): RawBuilder<boolean> {
  const { entity, key } = clause
  if (METRICS.includes(entity)) {
    return sql<boolean>`exists (select 1 from tracked_metric_latest m where m.run_no = r.no and m.key = ${key} and not m.is_nan and ${numberSql(sql`m.value`, clause)})`
  }
  if (PARAMS.includes(entity)) {
    return pairSql(sql`select 1 from tracked_param p where p.run_no = r.no and p.key = ${key}`, sql`p.value`, clause)
  }
  if (TAGS.includes(entity)) {
    return pairSql(sql`select 1 from tracked_tag t where t.run_no = r.no and t.key = ${key}`, sql`t.value`, clause)
  }
  if (DATASETS.includes(entity)) {
    const column = own(DATASET_COLUMNS, key)
    if (!column)
      throw refusal(`Invalid dataset key '${key}': expected one of ${Object.keys(DATASET_COLUMNS).join(', ')}`)
    return sql<boolean>`exists (select 1 from tracked_input i join tracked_dataset d on d.no = i.dataset_no where i.run_no = r.no and ${textSql(column, clause, { lists: true })})`
  }
  if (!ATTRIBUTES.includes(entity))
    throw refusal(`Invalid entity type '${entity}'. Valid values are attribute, metric, param, tag, dataset`)
  const text = own(TEXT_COLUMNS, key)
  if (text) return textSql(text, clause, { lists: key === 'run_id' })
  const time = own(TIME_COLUMNS, key)
  if (time) return numberSql(time, clause)
  throw refusal(
    `Invalid attribute key '${key}' specified. Valid keys are ${[...Object.keys(TEXT_COLUMNS), ...Object.keys(TIME_COLUMNS)].join(', ')}`,
  )
}

const MISSING_LAST = (value: RawBuilder<unknown>) => sql<number>`case when ${value} is null then 1 else 0 end`

function sortKey({ entity, key, descending }: OrderTerm): SortKey {
  if (METRICS.includes(entity)) {
    const pick = (column: RawBuilder<unknown>) =>
      sql`(select ${column} from tracked_metric_latest m where m.run_no = r.no and m.key = ${key})`
    return {
      expression: sql`coalesce(${pick(sql`m.value`)}, 0)`,
      rank: sql<number>`coalesce(${pick(sql`case when m.is_nan then 1 else 0 end`)}, 2)`,
      kind: 'float',
      descending,
    }
  }
  const pairs = PARAMS.includes(entity) ? sql`tracked_param` : TAGS.includes(entity) ? sql`tracked_tag` : undefined
  if (pairs) {
    const value = sql`(select p.value from ${pairs} p where p.run_no = r.no and p.key = ${key})`
    return { expression: sql`coalesce(${value}, '')`, rank: MISSING_LAST(value), kind: 'text', descending }
  }
  if (!ATTRIBUTES.includes(entity)) throw refusal(`Invalid order_by entity '${entity.slice(0, 100)}'`)
  const time = own(TIME_COLUMNS, key)
  if (time) return { expression: sql`coalesce(${time}, 0)`, rank: MISSING_LAST(time), kind: 'int', descending }
  const text = own(TEXT_COLUMNS, key)
  if (text) return { expression: text, kind: 'text', descending }
  throw refusal(`Invalid order_by attribute key '${key.slice(0, 100)}'`)
}

export interface RunSearch {
  readonly experiments: readonly string[]
  readonly filter?: string | undefined
  readonly view?: ViewType | undefined
  readonly max?: number | undefined
  readonly orderBy?: readonly string[] | undefined
  readonly pageToken?: string | undefined
}

/** Runs of the experiments, newest first unless told otherwise; equal ones by id. Pages by keyset. */
export async function searchRuns(
  ctx: Context,
  asked: RunSearch,
): Promise<{ runs: TrackedRun[]; nextPageToken?: string }> {
  const clauses = parseFilter(asked.filter).map(clauseSql)
  const terms = parseOrderBy(asked.orderBy)
  const keys = terms.map(sortKey)
  if (!terms.some((term) => term.key === 'start_time'))
    keys.push(sortKey({ entity: '', key: 'start_time', descending: true }))
  keys.push({ expression: sql`r.id`, kind: 'text', descending: false })
  const view = asked.view ?? 'ACTIVE_ONLY'
  const query = pageQuery('runs', [asked.experiments, asked.filter, view, asked.orderBy ?? []])
  const after = readPageToken(asked.pageToken, query)
  if (asked.experiments.length === 0) return { runs: [] }
  const parts = sortParts(keys)
  const max = asked.max ?? 1_000
  const where = [
    sql<boolean>`r.project = ${ctx.project}`,
    sql<boolean>`r.experiment in (${sql.join(asked.experiments)})`,
    ...(view === 'ALL' ? [] : [sql<boolean>`r.lifecycle = ${view === 'ACTIVE_ONLY' ? 'active' : 'deleted'}`]),
    ...clauses,
    ...(after ? [afterCursor(parts, after)] : []),
  ]
  const { rows } = await sql<RunRow & { cursor: (string | null)[] }>`select r.*, ${cursorSql(parts)} as cursor
    from tracked_run r where ${sql.join(where, sql` and `)} order by ${orderSql(parts)} limit ${max + 1}`.execute(
    ctx.db,
  )
  const page = rows.slice(0, max)
  const runs = await readRunData(ctx, page)
  const last = page.at(-1)
  return rows.length > max && last ? { runs, nextPageToken: writePageToken(query, last.cursor) } : { runs }
}
