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
 * The newest row of each key that was known at the spine's time: `rid` and one column per column feature. Spine rows
 * without a key, a time or a row that they could see may be missing from the result.
 *
 * Without a known-at time the newest event at T wins. With one, the newest event may not be known yet at T, so the log
 * is first reduced to the rows that ever *became* the winner, ordered by the time they were known. Either way DuckDB's
 * ASOF join has no tie to break that would change the result (it breaks them at random), and its condition has
 * equalities and one `>=` only. Age and deletion are judged after the winner is chosen.
 */
export function latestRowSql(plan: ViewPlan): string {
  return plan.knownAt === undefined ? newestEventSql(plan) : newestKnownSql(plan)
}

const payloadOf = (plan: ViewPlan) => [...new Set(columnFeatures(plan).map(({ expression }) => expression.column))]

/** Values of the winner, null where it is deleted or too old. */
function winnerValues(
  plan: ViewPlan,
  winner: { field: (name: string) => string; event: string; time: string },
): string {
  const columns = payloadOf(plan)
  const conditions = [
    `${winner.event} IS NOT NULL`,
    ...(plan.tombstone === undefined ? [] : [`NOT ${winner.field('dl')}`]),
    ...(plan.ttlUs === null ? [] : [`${winner.time} - ${winner.event} <= ${plan.ttlUs}`]),
  ]
  const values = columnFeatures(plan).map(({ column, expression }) => {
    const value = winner.field(`c${columns.indexOf(expression.column)}`)
    return `CAST(CASE WHEN ${conditions.join(' AND ')} THEN ${value} END AS ${SQL_TYPES[expression.type]}) AS ${column}`
  })
  return values.join(', ')
}

const carriedOf = (plan: ViewPlan) => [
  ...(plan.tombstone === undefined ? [] : ['dl']),
  ...payloadOf(plan).map((_, index) => `c${index}`),
]

const spineRows = (plan: ViewPlan) =>
  `SELECT rid, ${keyList(plan)}, t FROM spine WHERE ${keysPresent(plan)} AND t IS NOT NULL`

/** The join finds times only, so ties do not matter; the payload of the few that were found is looked up afterwards. */
function newestEventSql(plan: ViewPlan): string {
  const keys = keyList(plan)
  const row = `{${['sq', ...carriedOf(plan)].map((name) => `'${name}': ${name}`).join(', ')}}`
  const oldest = plan.ttlUs === null ? '' : ` AND ev >= (SELECT min(t) FROM spine) - ${plan.ttlUs}`
  const values = winnerValues(plan, { field: (name) => `w.r.${name}`, event: 'm.ev', time: 'm.t' })
  return `WITH src AS NOT MATERIALIZED (${sourceRows(plan, payloadOf(plan), { withSequence: true })}),
s AS (${spineRows(plan)}),
m AS MATERIALIZED (SELECT s.rid, ${keyList(plan, 's.')}, s.t, f.ev FROM s ASOF JOIN (SELECT ${keys}, ev FROM src WHERE ev <= (SELECT max(t) FROM spine)${oldest}) f ON ${keyEquals(plan, 's', 'f')} AND s.t >= f.ev),
w AS (SELECT ${keys}, ev, arg_max(${row}, sq) AS r FROM src SEMI JOIN m USING (${keys}, ev) GROUP BY ${keys}, ev)
SELECT m.rid AS rid, ${values} FROM m JOIN w ON ${keyEquals(plan, 'm', 'w')} AND m.ev = w.ev`
}

function newestKnownSql(plan: ViewPlan): string {
  const keys = keyList(plan)
  const values = winnerValues(plan, { field: (name) => `w.${name}`, event: 'w.ev', time: 's.t' })
  return `WITH src AS (${sourceRows(plan, payloadOf(plan), { withSequence: true })}),
rk AS (SELECT *, greatest(ev, coalesce(cr, ${NO_TIME})) AS kt, row_number() OVER (PARTITION BY ${keys} ORDER BY ev, coalesce(cr, ${NO_TIME}), sq) AS rn FROM src),
pm AS (SELECT *, max(rn) OVER (PARTITION BY ${keys} ORDER BY kt, rn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, lead(kt) OVER (PARTITION BY ${keys} ORDER BY kt, rn) AS after FROM rk),
w AS (SELECT ${keys}, ev, kt, ${carriedOf(plan).join(', ')} FROM pm WHERE (before IS NULL OR rn > before) AND after IS DISTINCT FROM kt),
s AS (${spineRows(plan)})
SELECT s.rid AS rid, ${values} FROM s ASOF LEFT JOIN w ON ${keyEquals(plan, 's', 'w')} AND s.t >= w.kt`
}
