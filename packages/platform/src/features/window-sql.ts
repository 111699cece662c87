import type { ColumnType } from '@plimsoll/sdk/wire'
import {
  aggregateFeatures,
  keyEquals,
  keyList,
  keysPresent,
  NO_TIME,
  type PlannedAggregate,
  SQL_TYPES,
  sourceRows,
  type ViewPlan,
} from './view-plan.ts'

type Schema = Readonly<Record<string, ColumnType>>

const INTEGERS = new Set(['boolean', 'int32', 'int64'])

/**
 * Sums of integers may be taken as differences of running sums without losing a bit; everything else needs the rows.
 * So do deviations of 64-bit integers, whose squares would not fit.
 */
function isExactDifference({ expression }: PlannedAggregate, schema: Schema): boolean {
  const { function: name, column } = expression
  if (name === 'count') return true
  if (name === 'min' || name === 'max') return false
  const type = schema[column ?? '']?.type ?? ''
  return INTEGERS.has(type) && !(name === 'std' && type === 'int64')
}

/**
 * Aggregates over (T − w, T] on the time at which rows were known (event time, where a view has no known-at):
 * statements that each give `rid` and the columns of their features, for the spine rows that have a key and a time.
 * An empty window has count 0 and null for everything else, as in SQL; so has the deviation of one row.
 */
export function windowStatements(plan: ViewPlan, schema: Schema): { sql: string; columns: string[] }[] {
  const all = aggregateFeatures(plan)
  const differences = all.filter((feature) => isExactDifference(feature, schema))
  const frames = all.filter((feature) => !isExactDifference(feature, schema))
  const statements: { sql: string; columns: string[] }[] = []
  if (differences.length > 0)
    statements.push({ sql: differenceSql(plan, differences, schema), columns: differences.map(({ column }) => column) })
  if (frames.length > 0)
    statements.push({ sql: frameSql(plan, frames, schema), columns: frames.map(({ column }) => column) })
  return statements
}

function columnsOf(features: readonly PlannedAggregate[]): string[] {
  return [
    ...new Set(features.flatMap(({ expression }) => (expression.column === undefined ? [] : [expression.column]))),
  ]
}

/** Rows that can be in some window of the spine, by the time at which they were known. Deleted rows are no events. */
function eventRows(plan: ViewPlan, columns: readonly string[], windowMaxUs: number): string {
  const alive = plan.tombstone === undefined ? '' : ' AND NOT dl'
  return `SELECT ${keyList(plan)}, greatest(ev, coalesce(cr, ev)) AS t${columns.map((_, index) => `, c${index}`).join('')}
  FROM (${sourceRows(plan, columns, { withOrder: false })})
  WHERE greatest(ev, coalesce(cr, ev)) <= (SELECT max(t) FROM spine) AND greatest(ev, coalesce(cr, ev)) > (SELECT min(t) FROM spine) - ${windowMaxUs}${alive}`
}

const spineRows = (plan: ViewPlan) =>
  `SELECT rid, ${keyList(plan)}, t FROM spine WHERE ${keysPresent(plan)} AND t IS NOT NULL`

interface Totals {
  readonly select: string[]
  readonly running: string[]
  readonly names: string[]
}

/** Per key and instant: number of rows, and of each column its non-null count, sum and (for deviations) sum of squares. */
function totalsOf(features: readonly PlannedAggregate[], columns: readonly string[], schema: Schema): Totals {
  const select = ['count(*) AS n']
  const names = ['n']
  for (const [index, column] of columns.entries()) {
    const own = features.filter(({ expression }) => expression.column === column)
    const isWide = schema[column]?.type === 'int64'
    const exact = `CAST(c${index} AS ${isWide ? 'HUGEINT' : 'BIGINT'})`
    const total = isWide ? `sum(${exact})` : `CAST(sum(${exact}) AS BIGINT)`
    select.push(`count(c${index}) AS n${index}`)
    names.push(`n${index}`)
    if (own.some(({ expression }) => expression.function !== 'count')) {
      select.push(`coalesce(${total}, 0) AS s${index}`)
      names.push(`s${index}`)
    }
    if (own.some(({ expression }) => expression.function === 'std')) {
      select.push(`coalesce(sum(CAST(c${index} AS HUGEINT) * CAST(c${index} AS HUGEINT)), 0) AS q${index}`)
      names.push(`q${index}`)
    }
  }
  const wide = new Set(columns.flatMap((column, index) => (schema[column]?.type === 'int64' ? [`s${index}`] : [])))
  const running = names.map(
    (name) =>
      `CAST(sum(${name}) OVER run AS ${wide.has(name) || name.startsWith('q') ? 'HUGEINT' : 'BIGINT'}) AS ${name}`,
  )
  return { select, running, names }
}

function differenceSql(plan: ViewPlan, features: readonly PlannedAggregate[], schema: Schema): string {
  const columns = columnsOf(features)
  const windows = [...new Set(features.map(({ expression }) => expression.windowUs))].sort((a, b) => a - b)
  const { select, running, names } = totalsOf(features, columns, schema)
  const keys = keyList(plan)
  const joins = windows.map(
    (_, index) =>
      `ASOF LEFT JOIN px p${index + 1} ON ${keyEquals(plan, 's', `p${index + 1}`)} AND s.t${index + 1} >= p${index + 1}.t`,
  )
  const starts = windows.map((windowUs, index) => `t - ${windowUs} AS t${index + 1}`)
  const values = features.map(({ column, expression }) => {
    const start = `p${windows.indexOf(expression.windowUs) + 1}`
    const of = (name: string) => `(coalesce(p0.${name}, 0) - coalesce(${start}.${name}, 0))`
    const value = differenceValue(
      expression.function,
      expression.column === undefined ? undefined : columns.indexOf(expression.column),
      of,
    )
    return `CAST(${value} AS ${SQL_TYPES[expression.type]}) AS ${column}`
  })
  // Running sums go on from key to key, which streams, where sums by key would build a tree over all rows. Each key
  // begins with an empty row, so that a difference never reaches into the key before.
  return `WITH g AS MATERIALIZED (SELECT ${keys}, t, ${select.join(', ')} FROM (${eventRows(plan, columns, windows.at(-1) ?? 0)}) GROUP BY ${keys}, t),
e AS (SELECT * FROM g UNION ALL SELECT DISTINCT ${keys}, ${NO_TIME}, ${names.map(() => '0').join(', ')} FROM g),
px AS MATERIALIZED (SELECT ${keys}, t, ${running.join(', ')} FROM (SELECT * FROM e ORDER BY ${keys}, t) WINDOW run AS (ROWS UNBOUNDED PRECEDING)),
s AS (SELECT *, ${starts.join(', ')} FROM (${spineRows(plan)}))
SELECT s.rid AS rid, ${values.join(', ')} FROM s ASOF LEFT JOIN px p0 ON ${keyEquals(plan, 's', 'p0')} AND s.t >= p0.t ${joins.join(' ')}`
}

function differenceValue(
  name: PlannedAggregate['expression']['function'],
  column: number | undefined,
  of: (total: string) => string,
): string {
  if (column === undefined) return of('n')
  const [n, s, q] = [of(`n${column}`), of(`s${column}`), of(`q${column}`)]
  if (name === 'count') return n
  if (name === 'sum') return `CASE WHEN ${n} > 0 THEN ${s} END`
  if (name === 'mean') return `CASE WHEN ${n} > 0 THEN CAST(${s} AS DOUBLE) / CAST(${n} AS DOUBLE) END`
  // n·Σx² − (Σx)² is exact in 128-bit integers; in floating point it would lose everything.
  return `CASE WHEN ${n} > 1 THEN sqrt(CAST(${n}::HUGEINT * ${q} - ${s}::HUGEINT * ${s}::HUGEINT AS DOUBLE) / (CAST(${n} AS DOUBLE) * CAST(${n} - 1 AS DOUBLE))) END`
}

const FRAME_FUNCTIONS = { sum: 'sum', mean: 'avg', min: 'min', max: 'max', count: 'count' } as const

/**
 * Deviations are of the distances to the value of a key that is nearest to zero, which lose nothing, where those of the
 * values themselves lose all digits that they have in common. DuckDB refuses to take one of what is no finite number.
 */
function deviation(column: number, window: string): string {
  const [all, finite] = [`count(c${column}) OVER ${window}`, `count(d${column}) OVER ${window}`]
  return `CASE WHEN ${all} = ${finite} THEN stddev_samp(d${column}) OVER ${window} WHEN ${all} > 1 THEN 'nan'::DOUBLE END`
}

/** The finite value of each key that is nearest to zero, or zero between such of both signs. */
function nearestToZero(column: number): string {
  const [least, most] = ['min', 'max'].map((name) => `${name}(v${column}) FILTER (WHERE isfinite(v${column}))`)
  return `CASE WHEN ${least} > 0 THEN ${least} WHEN ${most} < 0 THEN ${most} ELSE 0 END AS z${column}`
}

/** Spine and events in one sorted sequence with a frame per window: nothing is subtracted, so it holds for any type and function. */
function frameSql(plan: ViewPlan, features: readonly PlannedAggregate[], schema: Schema): string {
  const columns = columnsOf(features)
  const keys = keyList(plan)
  const windows = [...new Set(features.map(({ expression }) => expression.windowUs))].sort((a, b) => a - b)
  const frames = windows.map(
    (windowUs, index) =>
      `w${index} AS (PARTITION BY ${keys} ORDER BY t RANGE BETWEEN ${windowUs - 1} PRECEDING AND CURRENT ROW)`,
  )
  const values = features.map(({ column, expression }) => {
    const [at, window] = [columns.indexOf(expression.column ?? ''), `w${windows.indexOf(expression.windowUs)}`]
    const { function: name } = expression
    return `${name === 'std' ? deviation(at, window) : `${FRAME_FUNCTIONS[name]}(c${at}) OVER ${window}`} AS ${column}`
  })
  const cast = features.map(({ column, expression }) => `CAST(${column} AS ${SQL_TYPES[expression.type]}) AS ${column}`)
  const spread = columns.flatMap((column, index) =>
    features.some(({ expression }) => expression.function === 'std' && expression.column === column) ? [index] : [],
  )
  const wide = columns.map(
    (column, index) =>
      `CAST(c${index} AS ${INTEGERS.has(schema[column]?.type ?? '') ? 'BIGINT' : 'DOUBLE'}) AS c${index}`,
  )
  const doubles = spread.map((index) => `CAST(c${index} AS DOUBLE) AS v${index}`)
  const distances = spread.map((index) => `CASE WHEN isfinite(v${index}) THEN v${index} - z${index} END AS d${index}`)
  const payload = [...columns.map((_, index) => `c${index}`), ...distances]
  const nothing = payload.map(() => 'NULL')
  const nearest =
    spread.length > 0
      ? ` NATURAL JOIN (SELECT ${[keys, ...spread.map(nearestToZero)].join(', ')} FROM e GROUP BY ${keys})`
      : ''
  const kept = spread.length > 0 ? 'MATERIALIZED ' : ''
  return `WITH e AS ${kept}(SELECT ${[keys, 't', ...wide, ...doubles].join(', ')} FROM (${eventRows(plan, columns, windows.at(-1) ?? 0)})),
u AS (SELECT NULL::BIGINT AS rid, ${[keys, 't', ...payload].join(', ')} FROM e${nearest} UNION ALL SELECT rid, ${[keys, 't', ...nothing].join(', ')} FROM (${spineRows(plan)})),
f AS (SELECT rid, ${values.join(', ')} FROM u WINDOW ${frames.join(', ')})
SELECT rid, ${cast.join(', ')} FROM f WHERE rid IS NOT NULL`
}
