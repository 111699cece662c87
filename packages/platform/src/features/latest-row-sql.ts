import {
  columnFeatures,
  keyEquals,
  keyList,
  keysPresent,
  NO_TIME,
  SQL_TYPES,
  sourceRows,
  type ViewPlan,
} from './view-plan.ts'

/**
 * The newest row of each key that was known at the spine's time: `rid` and one column per column feature, for the spine
 * rows that have a key and a time.
 *
 * Without a known-at time the newest event at T wins. With one, the newest event may not be known yet at T, so the log
 * is first reduced to the rows that ever *became* the winner, ordered by the time they were known. Either way the join
 * has one row per key and time, so that DuckDB's ASOF join has no tie to break (it breaks them at random), and its
 * condition has equalities and one `>=` only. Age and deletion are judged after the winner is chosen.
 */
export function latestRowSql(plan: ViewPlan): string {
  const features = columnFeatures(plan)
  const columns = [...new Set(features.map(({ expression }) => expression.column))]
  const payload = columns.map((_, index) => `c${index}`)
  const deleted = plan.tombstone === undefined ? [] : ['dl']
  const isAlive = [
    'w.kt IS NOT NULL',
    ...(plan.tombstone === undefined ? [] : ['NOT w.dl']),
    ...(plan.ttlUs === null ? [] : [`s.t - w.ev <= ${plan.ttlUs}`]),
  ].join(' AND ')
  const values = features.map(({ column, expression }) => {
    const value = `w.c${columns.indexOf(expression.column)}`
    return `CAST(CASE WHEN ${isAlive} THEN ${value} END AS ${SQL_TYPES[expression.type]}) AS ${column}`
  })
  const winners =
    plan.knownAt === undefined
      ? newestPerEvent(plan, [...deleted, ...payload])
      : newestKnown(plan, [...deleted, ...payload])
  return `WITH src AS (${sourceRows(plan, columns, { withSequence: true })}),
${winners},
s AS (SELECT rid, ${keyList(plan)}, t FROM spine WHERE ${keysPresent(plan)} AND t IS NOT NULL)
SELECT s.rid AS rid, ${values.join(', ')} FROM s ASOF LEFT JOIN w ON ${keyEquals(plan, 's', 'w')} AND s.t >= w.kt`
}

/** Of rows with equal key and event time, the one with the highest sequence; ordinary logs have few ties, so a hash aggregate on the whole row is cheapest. */
function newestPerEvent(plan: ViewPlan, carried: readonly string[]): string {
  const row = `{${['sq', ...carried].map((name) => `'${name}': ${name}`).join(', ')}}`
  const fields = carried.map((name) => `r.${name} AS ${name}`)
  return `w AS (SELECT ${keyList(plan)}, ev, ev AS kt, ${fields.join(', ')} FROM (SELECT ${keyList(plan)}, ev, arg_max(${row}, sq) AS r FROM src GROUP BY ${keyList(plan)}, ev))`
}

function newestKnown(plan: ViewPlan, carried: readonly string[]): string {
  const keys = keyList(plan)
  return `rk AS (SELECT *, greatest(ev, coalesce(cr, ${NO_TIME})) AS kt, row_number() OVER (PARTITION BY ${keys} ORDER BY ev, coalesce(cr, ${NO_TIME}), sq) AS rn FROM src),
pm AS (SELECT *, max(rn) OVER (PARTITION BY ${keys} ORDER BY kt, rn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, lead(kt) OVER (PARTITION BY ${keys} ORDER BY kt, rn) AS after FROM rk),
w AS (SELECT ${keys}, ev, kt, ${carried.join(', ')} FROM pm WHERE (before IS NULL OR rn > before) AND after IS DISTINCT FROM kt)`
}
