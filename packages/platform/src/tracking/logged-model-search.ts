import { type RawBuilder, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { refusal } from './failure.ts'
import { type Comparison, parseFilter } from './filter.ts'
import { numberSql, textSql } from './filter-sql.ts'
import { type LoggedModel, withModelData } from './logged-model.ts'
import { afterCursor, cursorSql, orderSql, type SortKey, sortParts } from './order.ts'
import { pageQuery, readPageToken, writePageToken } from './page-token.ts'
import type { LoggedModelRow } from './tables.ts'

const TEXT_COLUMNS: Readonly<Record<string, RawBuilder<unknown>>> = {
  name: sql`l.name`,
  model_id: sql`l.id`,
  model_type: sql`l.model_type`,
  status: sql`replace(l.status, 'LOGGED_MODEL_', '')`,
  source_run_id: sql`l.source_run`,
}
const TIME_COLUMNS: Readonly<Record<string, RawBuilder<unknown>>> = {
  creation_timestamp: sql`l.created_ms`,
  creation_time: sql`l.created_ms`,
  last_updated_timestamp: sql`l.updated_ms`,
  last_updated_time: sql`l.updated_ms`,
}

export interface DatasetName {
  readonly name: string
  readonly digest?: string | undefined
}

function ofDataset(datasets: readonly DatasetName[]): RawBuilder<boolean> {
  if (datasets.length === 0) return sql<boolean>`true`
  const each = datasets.map(
    (dataset) =>
      sql`(m.dataset_name = ${dataset.name}${dataset.digest ? sql` and m.dataset_digest = ${dataset.digest}` : sql``})`,
  )
  return sql<boolean>`(${sql.join(each, sql` or `)})`
}

function clauseSql(clause: Comparison, datasets: readonly DatasetName[]): RawBuilder<boolean> {
  const { entity, key } = clause
  if (entity === 'metrics' || entity === 'metric') {
    return sql<boolean>`exists (select 1 from tracked_metric m where m.project = l.project and m.model = l.id and m.key = ${key} and not m.is_nan and ${ofDataset(datasets)} and ${numberSql(sql`m.value`, clause)})`
  }
  const pairs =
    entity === 'params' || entity === 'param'
      ? sql`logged_model_param`
      : entity === 'tags' || entity === 'tag'
        ? sql`logged_model_tag`
        : undefined
  if (pairs) {
    return sql<boolean>`exists (select 1 from ${pairs} p where p.project = l.project and p.model = l.id and p.key = ${key} and ${textSql(sql`p.value`, clause, { lists: true })})`
  }
  if (!['', 'attribute', 'attributes', 'attr'].includes(entity)) throw refusal(`Invalid entity type '${entity}'`)
  if (Object.hasOwn(TEXT_COLUMNS, key)) return textSql(TEXT_COLUMNS[key]!, clause, { lists: true })
  if (Object.hasOwn(TIME_COLUMNS, key)) return numberSql(TIME_COLUMNS[key]!, clause)
  throw refusal(`Invalid attribute key '${key}' specified`)
}

export interface ModelOrder extends DatasetOrder {
  readonly field: string
  readonly ascending: boolean
}
interface DatasetOrder {
  readonly dataset?: DatasetName | undefined
}

function sortKey({ field, ascending, dataset }: ModelOrder): SortKey {
  const descending = !ascending
  if (field.startsWith('metrics.')) {
    const pick = (
      column: RawBuilder<unknown>,
    ) => sql`(select ${column} from tracked_metric m where m.project = l.project and m.model = l.id and m.key = ${field.slice(8)}
      and ${ofDataset(dataset ? [dataset] : [])} order by m.step desc, m.ts_ms desc, m.value desc limit 1)`
    return {
      expression: sql`coalesce(${pick(sql`m.value`)}, 0)`,
      rank: sql<number>`coalesce(${pick(sql`case when m.is_nan then 1 else 0 end`)}, 2)`,
      kind: 'float',
      descending,
    }
  }
  if (Object.hasOwn(TIME_COLUMNS, field)) return { expression: TIME_COLUMNS[field]!, kind: 'int', descending }
  if (Object.hasOwn(TEXT_COLUMNS, field)) {
    const column = TEXT_COLUMNS[field]!
    return {
      expression: sql`coalesce(${column}, '')`,
      rank: sql<number>`case when ${column} is null then 1 else 0 end`,
      kind: 'text',
      descending,
    }
  }
  throw refusal(`Invalid order by field name: ${field.slice(0, 100)}`)
}

export interface LoggedModelSearch {
  readonly experiments: readonly string[]
  readonly filter?: string | undefined
  readonly datasets: readonly DatasetName[]
  readonly max?: number | undefined
  readonly orderBy: readonly ModelOrder[]
  readonly pageToken?: string | undefined
}

export async function searchLoggedModels(
  ctx: Context,
  asked: LoggedModelSearch,
): Promise<{ models: LoggedModel[]; nextPageToken?: string }> {
  const clauses = parseFilter(asked.filter).map((clause) => clauseSql(clause, asked.datasets))
  const keys = asked.orderBy.map(sortKey)
  if (!asked.orderBy.some((term) => term.field.startsWith('creation_time')))
    keys.push(sortKey({ field: 'creation_timestamp', ascending: false }))
  keys.push({ expression: sql`l.id`, kind: 'text', descending: false })
  const query = pageQuery('logged-models', [asked.experiments, asked.filter, asked.datasets, asked.orderBy])
  const after = readPageToken(asked.pageToken, query)
  if (asked.experiments.length === 0) return { models: [] }
  const parts = sortParts(keys)
  const max = asked.max ?? 50
  const where = [
    sql<boolean>`l.project = ${ctx.project} and l.lifecycle = 'active'`,
    sql<boolean>`l.experiment in (${sql.join(asked.experiments)})`,
    ...clauses,
    ...(after ? [afterCursor(parts, after)] : []),
  ]
  const { rows } = await sql<LoggedModelRow & { cursor: (string | null)[] }>`select l.*, ${cursorSql(parts)} as cursor
    from logged_model l where ${sql.join(where, sql` and `)} order by ${orderSql(parts)} limit ${max + 1}`.execute(
    ctx.db,
  )
  const page = rows.slice(0, max)
  const models = await withModelData(ctx, page)
  const last = page.at(-1)
  return rows.length > max && last ? { models, nextPageToken: writePageToken(query, last.cursor) } : { models }
}
