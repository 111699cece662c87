import {
  columnFeatures,
  keyEquals,
  keyList,
  keysPresent,
  NO_TIME,
  placedRows,
  SQL_TYPES,
  sourceRows,
  type ViewPlan,
} from './view-plan.ts'

/**
 * The newest row of each key that was known at the spine's time: `rid` and one column per column feature. Spine rows
 * without a key, a time or a row that they could see may be missing from the result.
 *
 * Without a known-at time the newest event at T wins: spine and events go through one sort and a running last value.
 * With one, the newest event may not be known yet at T, so the log is first reduced to the rows that ever *became* the
 * winner, ordered by the time they were known, and joined by DuckDB's ASOF join: it has no tie to break then that would
 * change the result (it breaks them at random), and its condition has equalities and one `>=` only. Age and deletion are
 * judged after the winner is chosen.
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

/** Places of spine rows begin here, above those of any event: at one instant the spine comes last. */
const SPINE_PLACE = '4611686018427387904'

/**
 * Only a number for the key, the time and the place are sorted (a sequence too, where there is one), in an order without
 * ties; the rows that won are looked up by their place afterwards. Each key begins with a place that no row has, so that
 * the running value never reaches into the key before.
 */
function newestEventSql(plan: ViewPlan): string {
  const keys = keyList(plan)
  const hasSequence = plan.sequence !== undefined
  const [sequence, noSequence] = hasSequence ? [', sq', ', NULL'] : ['', '']
  const order = `k, t NULLS FIRST, ${hasSequence ? 'sq NULLS LAST, ' : ''}pl`
  const oldest = plan.ttlUs === null ? '' : ` AND ev >= (SELECT min(t) FROM spine) - ${plan.ttlUs}`
  const values = winnerValues(plan, { field: (name) => `w.${name}`, event: 'w.ev', time: 'm.t' })
  return `WITH keys AS MATERIALIZED (SELECT ${keys}, CAST(row_number() OVER () AS UINTEGER) AS k FROM (SELECT DISTINCT ${keys} FROM spine WHERE ${keysPresent(plan)})),
e AS (SELECT k, ev AS t${sequence}, pl FROM (${sourceRows(plan, [], { withOrder: true })}) JOIN keys USING (${keys}) WHERE ev <= (SELECT max(t) FROM spine)${oldest}
UNION ALL SELECT k, NULL${noSequence}, -1 FROM keys
UNION ALL SELECT k, t${noSequence}, rid + ${SPINE_PLACE} FROM spine JOIN keys USING (${keys}) WHERE t IS NOT NULL),
l AS (SELECT pl, t, last_value(CASE WHEN pl < ${SPINE_PLACE} THEN pl END IGNORE NULLS) OVER (ROWS UNBOUNDED PRECEDING) AS won FROM (SELECT * FROM e ORDER BY ${order})),
m AS (SELECT pl - ${SPINE_PLACE} AS rid, t, won FROM l WHERE pl >= ${SPINE_PLACE}),
w AS (${placedRows(plan, payloadOf(plan))})
SELECT m.rid AS rid, ${values} FROM m JOIN w ON m.won = w.pl`
}

function newestKnownSql(plan: ViewPlan): string {
  const keys = keyList(plan)
  const values = winnerValues(plan, { field: (name) => `w.${name}`, event: 'w.ev', time: 's.t' })
  return `WITH src AS (${sourceRows(plan, payloadOf(plan), { withOrder: true })}),
rk AS (SELECT *, greatest(ev, coalesce(cr, ${NO_TIME})) AS kt, row_number() OVER (PARTITION BY ${keys} ORDER BY ev, coalesce(cr, ${NO_TIME}), sq) AS rn FROM src),
pm AS (SELECT *, max(rn) OVER (PARTITION BY ${keys} ORDER BY kt, rn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, lead(kt) OVER (PARTITION BY ${keys} ORDER BY kt, rn) AS after FROM rk),
w AS (SELECT ${keys}, ev, kt, ${carriedOf(plan).join(', ')} FROM pm WHERE (before IS NULL OR rn > before) AND after IS DISTINCT FROM kt),
s AS (${spineRows(plan)})
SELECT s.rid AS rid, ${values} FROM s ASOF LEFT JOIN w ON ${keyEquals(plan, 's', 'w')} AND s.t >= w.kt`
}
