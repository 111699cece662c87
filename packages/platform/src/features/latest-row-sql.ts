import type { InputRelation, QueryEngine } from '@plimsoll/sdk/seams'
import {
  columnFeatures,
  keyList,
  keysPresent,
  NO_TIME,
  placedRows,
  SQL_TYPES,
  sourceRows,
  type ViewPlan,
} from './view-plan.ts'

/**
 * The statement of a view's column features, none where it has none; `source` is its `orderedSource`.
 *
 * Where some row was known before it happened, or for ever, several may become visible at one instant that were known at
 * different ones, and the last of those wins a tie: whether there is such a row is looked up first.
 */
export async function latestRowStatements(
  engine: QueryEngine,
  plan: ViewPlan,
  request: { readonly source: InputRelation; readonly signal?: AbortSignal },
): Promise<{ sql: string; columns: string[] }[]> {
  const columns = columnFeatures(plan).map(({ column }) => column)
  if (columns.length === 0) return []
  return [{ sql: latestRowSql(plan, await isKnownEarly(engine, plan, request)), columns }]
}

async function isKnownEarly(
  engine: QueryEngine,
  plan: ViewPlan,
  { source, ...signal }: { readonly source: InputRelation; readonly signal?: AbortSignal },
): Promise<boolean> {
  if (plan.knownAt === undefined) return false
  const sql = `SELECT 1 FROM (${sourceRows(plan, [], { withOrder: false })}) WHERE cr IS NULL OR cr < ev LIMIT 1`
  return (await engine.rows({ sql, inputs: { source }, ...signal })).rows.length > 0
}

/**
 * The newest row of each key that was known at the spine's time: `rid` and one column per column feature. Spine rows
 * without a key, a time or a row that they could see may be missing from the result.
 *
 * Without a known-at time the newest event at T wins: spine and events go through one sort and a running last value.
 * With one, the newest event may not be known yet at T: the sort is by the time at which rows were known, and the running
 * value is the last row whose event was the newest of all known so far. Age and deletion are judged after the winner is
 * chosen.
 */
function latestRowSql(plan: ViewPlan, hasEarly: boolean): string {
  const keys = keyList(plan)
  const hasSequence = plan.sequence !== undefined
  const [sequence, noSequence] = hasSequence ? [', sq', ', NULL'] : ['', '']
  const { time, sorted, ofEvent, ofKey, ofSpine, order, running } =
    plan.knownAt === undefined ? BY_EVENT_TIME : BY_KNOWN_TIME
  const ties = hasEarly ? 'cr, ' : ''
  const places = `${order}, ${ties}${hasSequence ? 'sq NULLS LAST, ' : ''}pl`
  const oldest = plan.ttlUs === null ? '' : ` AND ev >= (SELECT min(t) FROM spine) - ${plan.ttlUs}`
  const values = winnerValues(plan, { field: (name) => `w.${name}`, event: 'w.ev', time: 'm.t' })
  return `WITH keys AS MATERIALIZED (SELECT ${keys}, CAST(row_number() OVER () AS UINTEGER) AS k FROM (SELECT DISTINCT ${keys} FROM spine WHERE ${keysPresent(plan)})),
e AS (SELECT k, ${time} AS t${sequence}, pl${ofEvent} FROM (${sourceRows(plan, [], { withOrder: true })}) JOIN keys USING (${keys}) WHERE ${time} <= (SELECT max(t) FROM spine)${oldest}
UNION ALL SELECT k, NULL${noSequence}, -1${ofKey} FROM keys
UNION ALL SELECT k, t${noSequence}, rid + ${SPINE_PLACE}${ofSpine} FROM spine JOIN keys USING (${keys}) WHERE t IS NOT NULL),
h AS (SELECT ${sorted} FROM (SELECT * FROM e ORDER BY ${places})),
l AS (SELECT pl, t, last_value(CASE WHEN ${running} THEN pl END IGNORE NULLS) OVER (ROWS UNBOUNDED PRECEDING) AS won FROM h),
m AS (SELECT pl - ${SPINE_PLACE} AS rid, t, won FROM l WHERE pl >= ${SPINE_PLACE}),
w AS (${placedRows(plan, payloadOf(plan))})
SELECT m.rid AS rid, ${values} FROM m JOIN w ON m.won = w.pl`
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

/** Places of spine rows begin here, above those of any event: at one instant the spine comes last. */
const SPINE_PLACE = '4611686018427387904'
/** Created time of spine rows: at one instant they come after every event. */
const FOREVER = '9223372036854775807'
/** Apart by more than any two event times, so that the newest event of a key ranks below any of the next key. */
const KEY_STEP = '36893488147419103232::HUGEINT'
const NO_EVENT = '9223372036854775808::HUGEINT'

/**
 * What differs between the two orders. Only a number for the key, the time and the place are sorted (a sequence too, where
 * there is one), in an order without ties; the rows that won are looked up by their place afterwards. Each key begins with
 * a place that no row has, so that the running value never reaches into the key before.
 */
const BY_EVENT_TIME = {
  time: 'ev',
  sorted: 'pl, t',
  ofEvent: '',
  ofKey: '',
  ofSpine: '',
  order: 'k, t NULLS FIRST',
  running: `pl < ${SPINE_PLACE}`,
}

/**
 * Of rows with equal event times the one that was created last is known last, so that the last of those which are the
 * newest wins in this order too. Where no row is known early the time at which a row is visible is its created time, and
 * the sort goes without it: less processor time and memory.
 */
const BY_KNOWN_TIME = {
  time: `greatest(ev, coalesce(cr, ${NO_TIME}))`,
  sorted: 'pl, t, rank, max(rank) OVER (ROWS UNBOUNDED PRECEDING) AS highest',
  ofEvent: `, coalesce(cr, ${NO_TIME}) AS cr, k * ${KEY_STEP} + ev AS rank`,
  ofKey: `, NULL, k * ${KEY_STEP} - ${NO_EVENT}`,
  ofSpine: `, ${FOREVER}, NULL`,
  order: 'k, t NULLS FIRST',
  running: 'rank = highest',
}
