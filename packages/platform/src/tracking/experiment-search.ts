import { type RawBuilder, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { type Experiment, ensureDefaultExperiment, withExperimentTags } from './experiment.ts'
import { refusal } from './failure.ts'
import { type Comparison, parseFilter } from './filter.ts'
import { numberSql, pairSql, textSql } from './filter-sql.ts'
import { afterCursor, cursorSql, orderSql, parseOrderBy, type SortKey, sortParts } from './order.ts'
import { pageQuery, readPageToken, writePageToken } from './page-token.ts'
import type { ViewType } from './run-search.ts'
import type { ExperimentRow } from './tables.ts'

const ATTRIBUTES = ['', 'attribute', 'attributes', 'attr', 'experiment']

function clauseSql(clause: Comparison): RawBuilder<boolean> {
  const { entity, key } = clause
  if (entity === 'tag' || entity === 'tags') {
    const rows = sql`select 1 from experiment_tag t where t.project = e.project and t.experiment = e.id and t.key = ${key}`
    return pairSql(rows, sql`t.value`, clause)
  }
  if (!ATTRIBUTES.includes(entity)) throw refusal(`Invalid entity type '${entity}'. Valid values are attribute, tag`)
  if (key === 'name') return textSql(sql`e.name`, clause)
  if (key === 'experiment_id') return textSql(sql`e.id`, clause, { lists: true })
  if (key === 'creation_time') return numberSql(sql`e.created_ms`, clause)
  if (key === 'last_update_time') return numberSql(sql`e.updated_ms`, clause)
  throw refusal(
    `Invalid attribute key '${key}' specified. Valid keys are name, experiment_id, creation_time, last_update_time`,
  )
}

function sortKey(key: string, descending: boolean): SortKey {
  switch (key) {
    case 'name':
      return { expression: sql`e.name`, kind: 'text', descending }
    case 'experiment_id':
      return { expression: sql`e.number`, kind: 'int', descending }
    case 'creation_time':
      return { expression: sql`e.created_ms`, kind: 'int', descending }
    case 'last_update_time':
      return { expression: sql`e.updated_ms`, kind: 'int', descending }
    default:
      throw refusal(
        `Invalid order_by attribute key '${key.slice(0, 100)}'. Valid keys are name, experiment_id, creation_time, last_update_time`,
      )
  }
}

export interface ExperimentSearch {
  readonly filter?: string | undefined
  readonly view?: ViewType | undefined
  readonly max?: number | undefined
  readonly orderBy?: readonly string[] | undefined
  readonly pageToken?: string | undefined
}

export async function searchExperiments(
  ctx: Context,
  asked: ExperimentSearch,
): Promise<{ experiments: Experiment[]; nextPageToken?: string }> {
  await ensureDefaultExperiment(ctx)
  const clauses = parseFilter(asked.filter).map(clauseSql)
  const terms = parseOrderBy(asked.orderBy)
  for (const term of terms)
    if (!ATTRIBUTES.includes(term.entity)) throw refusal(`Invalid order_by entity '${term.entity}'`)
  const keys =
    terms.length === 0 ? [sortKey('creation_time', true)] : terms.map((term) => sortKey(term.key, term.descending))
  keys.push(sortKey('experiment_id', true))
  const view = asked.view ?? 'ACTIVE_ONLY'
  const query = pageQuery('experiments', [asked.filter, view, asked.orderBy ?? []])
  const after = readPageToken(asked.pageToken, query)
  const parts = sortParts(keys)
  const max = asked.max ?? 1_000
  const where = [
    sql<boolean>`e.project = ${ctx.project}`,
    ...(view === 'ALL' ? [] : [sql<boolean>`e.lifecycle = ${view === 'ACTIVE_ONLY' ? 'active' : 'deleted'}`]),
    ...clauses,
    ...(after ? [afterCursor(parts, after)] : []),
  ]
  const { rows } = await sql<ExperimentRow & { cursor: (string | null)[] }>`select e.*, ${cursorSql(parts)} as cursor
    from experiment e where ${sql.join(where, sql` and `)} order by ${orderSql(parts)} limit ${max + 1}`.execute(ctx.db)
  const page = rows.slice(0, max)
  const experiments = await withExperimentTags(ctx, page)
  const last = page.at(-1)
  return rows.length > max && last
    ? { experiments, nextPageToken: writePageToken(query, last.cursor) }
    : { experiments }
}
