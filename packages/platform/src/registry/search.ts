import { type RawBuilder, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import {
  afterCursor,
  type Comparison,
  cursorSql,
  numberSql,
  orderSql,
  pageQuery,
  parseFilter,
  parseOrderBy,
  readPageToken,
  type SortKey,
  sortParts,
  textSql,
  writePageToken,
} from '../tracking/index.ts'

const PROMPT = 'mlflow.prompt.is_prompt'
const ATTRIBUTES = ['', 'attribute', 'attributes', 'attr']

export interface Search {
  readonly filter?: string | undefined
  readonly max?: number | undefined
  readonly orderBy?: readonly string[] | undefined
  readonly pageToken?: string | undefined
}

function refuse(message: string): PlimsollError {
  return new PlimsollError('invalid', 'registry.bad_search', message)
}

const isTag = (clause: Comparison) => clause.entity === 'tag' || clause.entity === 'tags'
const micros = (column: RawBuilder<unknown>) => sql`(extract(epoch from ${column}) * 1000000)::bigint`

/** `version` picks the rows of the tag table: 0 for the model itself. */
function tagSql(clause: Comparison, model: RawBuilder<unknown>, version: RawBuilder<unknown>): RawBuilder<boolean> {
  const found = (condition: RawBuilder<unknown>) =>
    sql<boolean>`exists (select 1 from model_tag t where t.project = v.project and t.model = ${model} and t.version = ${version} and t.key = ${clause.key} and ${condition})`
  // a search for what is no prompt asks for rows without the tag
  if (clause.key === PROMPT && clause.comparator === '!=')
    return sql<boolean>`not ${found(sql`t.value = ${clause.value}`)}`
  return found(textSql(sql`t.value`, clause))
}

function withoutPrompts(clauses: readonly Comparison[], model: RawBuilder<unknown>): RawBuilder<boolean>[] {
  if (clauses.some((clause) => isTag(clause) && clause.key === PROMPT)) return []
  return [
    sql<boolean>`not exists (select 1 from model_tag t where t.project = v.project and t.model = ${model} and t.version = 0 and t.key = ${PROMPT} and lower(t.value) = 'true')`,
  ]
}

function keysOf(
  orderBy: readonly string[] | undefined,
  columns: Readonly<Record<string, Omit<SortKey, 'descending'>>>,
): SortKey[] {
  return parseOrderBy(orderBy).map((term) => {
    if (!ATTRIBUTES.includes(term.entity) || !Object.hasOwn(columns, term.key)) {
      throw refuse(`Invalid order_by key '${term.key}'. Valid keys are ${Object.keys(columns).join(', ')}`)
    }
    return { ...columns[term.key]!, descending: term.descending }
  })
}

/** Names of registered models; prompts only when the filter asks for them. */
export async function searchModelNames(
  ctx: Context,
  asked: Search,
): Promise<{ names: string[]; nextPageToken?: string }> {
  const clauses = parseFilter(asked.filter)
  const conditions = clauses.map((clause) => {
    if (isTag(clause)) return tagSql(clause, sql`v.name`, sql`0`)
    if (ATTRIBUTES.includes(clause.entity) && clause.key === 'name')
      return textSql(sql`v.name`, clause, { lists: true })
    throw refuse(`Invalid attribute key '${clause.key}' specified. Valid keys are name, tags.<key>`)
  })
  const updated = { expression: micros(sql`v.updated_at`), kind: 'int' as const }
  const name = { expression: sql`v.name`, kind: 'text' as const }
  const columns = {
    name,
    timestamp: updated,
    last_updated_timestamp: updated,
    creation_timestamp: { expression: micros(sql`v.created_at`), kind: 'int' as const },
  }
  const parts = sortParts([...keysOf(asked.orderBy, columns), { ...name, descending: false }])
  const query = pageQuery('registered-models', [asked.filter, asked.orderBy ?? []])
  const after = readPageToken(asked.pageToken, query)
  const max = asked.max ?? 100
  const where = [
    sql<boolean>`v.project = ${ctx.project} and v.deleted_at is null`,
    ...withoutPrompts(clauses, sql`v.name`),
    ...conditions,
    ...(after ? [afterCursor(parts, after)] : []),
  ]
  const { rows } = await sql<{ name: string; cursor: (string | null)[] }>`select v.name, ${cursorSql(parts)} as cursor
    from registered_model v where ${sql.join(where, sql` and `)} order by ${orderSql(parts)} limit ${max + 1}`.execute(
    ctx.db,
  )
  const page = rows.slice(0, max)
  const last = page.at(-1)
  const names = page.map((row) => row.name)
  return rows.length > max && last ? { names, nextPageToken: writePageToken(query, last.cursor) } : { names }
}

/** A whole number may be quoted, as upstream. */
function withNumber(clause: Comparison): Comparison {
  const { value } = clause
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? { ...clause, value: Number(value) } : clause
}

function versionClause(clause: Comparison): RawBuilder<boolean> {
  if (isTag(clause)) return tagSql(clause, sql`v.model`, sql`v.version`)
  if (ATTRIBUTES.includes(clause.entity)) {
    if (clause.key === 'name') return textSql(sql`v.model`, clause, { lists: true })
    if (clause.key === 'source_path') return textSql(sql`v.source collate "C"`, clause)
    // a version without a run shows '' and is found as such
    if (clause.key === 'run_id') return textSql(sql`coalesce(v.tracked_run, '') collate "C"`, clause, { lists: true })
    if (clause.key === 'version_number') return numberSql(sql`v.version`, withNumber(clause))
  }
  throw refuse(
    `Invalid attribute key '${clause.key}' specified. Valid keys are name, source_path, run_id, version_number, tags.<key>`,
  )
}

export async function searchVersionKeys(
  ctx: Context,
  asked: Search,
): Promise<{ keys: { model: string; version: number }[]; nextPageToken?: string }> {
  const clauses = parseFilter(asked.filter)
  const conditions = clauses.map(versionClause)
  const updated = { expression: micros(sql`v.updated_at`), kind: 'int' as const }
  const name = { expression: sql`v.model`, kind: 'text' as const }
  const number = { expression: sql`v.version`, kind: 'int' as const }
  const columns = {
    name,
    version_number: number,
    creation_timestamp: { expression: micros(sql`v.created_at`), kind: 'int' as const },
    last_updated_timestamp: updated,
  }
  const order = keysOf(asked.orderBy, columns)
  const parts = sortParts([
    ...(order.length > 0 ? order : [{ ...updated, descending: true }]),
    { ...name, descending: false },
    { ...number, descending: true },
  ])
  const query = pageQuery('model-versions', [asked.filter, asked.orderBy ?? []])
  const after = readPageToken(asked.pageToken, query)
  const max = asked.max ?? 10_000
  const where = [
    sql<boolean>`v.project = ${ctx.project} and v.deleted_at is null`,
    ...withoutPrompts(clauses, sql`v.model`),
    ...conditions,
    ...(after ? [afterCursor(parts, after)] : []),
  ]
  const { rows } = await sql<{
    model: string
    version: number
    cursor: (string | null)[]
  }>`select v.model, v.version, ${cursorSql(parts)} as cursor
    from model_version v where ${sql.join(where, sql` and `)} order by ${orderSql(parts)} limit ${max + 1}`.execute(
    ctx.db,
  )
  const page = rows.slice(0, max)
  const last = page.at(-1)
  const keys = page.map(({ model, version }) => ({ model, version }))
  return rows.length > max && last ? { keys, nextPageToken: writePageToken(query, last.cursor) } : { keys }
}
