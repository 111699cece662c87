import type { Cell, OnlineRecord } from '@plimsoll/sdk/seams'
import { exactNumber, isSameEntity, type MaterializeRequest, pages, recomputedVersion } from './materialize-pages.ts'
import {
  encodeHistory,
  encodeKey,
  encodeRow,
  encodeVersion,
  historyKey,
  type KeyValue,
  layoutOf,
  type RowValue,
  rowSection,
} from './online/index.ts'
import { keyList, NO_TIME, sourceRows, type ViewPlan } from './view-plan.ts'

interface Winner extends RowValue {
  readonly version: Buffer
}

interface OpenEntity {
  readonly parts: KeyValue[]
  readonly winners: Winner[]
}

/**
 * The newest row of each entity that was known at `until`; and where that was not known yet at `until − slack`, beside
 * it every row that was the newest for a while since then, so that a clock that is behind `until` finds what was known.
 */
export async function* rowRecords(request: MaterializeRequest, plan: ViewPlan): AsyncIterable<OnlineRecord> {
  const width = request.entity.keys.length
  const columns = layoutOf(request.view).slots.map(({ column }) => column)
  let open: OpenEntity | undefined
  for await (const row of pages(request, 'rows', winnersSql(request, plan))) {
    const parts = row.slice(1, 1 + width) as KeyValue[] // keys by their declared types
    if (!open || !isSameEntity(open.parts, parts)) {
      if (open) yield* closeEntity(request, open)
      open = { parts, winners: [] }
    }
    open.winners.push(winnerOf(request, columns, row.slice(1 + width)))
  }
  if (open) yield* closeEntity(request, open)
}

/**
 * What was the newest at `until − slack` counts as one row among those that came to be known since; of them, those that
 * were ahead of all that was known before them, the last of each instant.
 */
function winnersSql(request: MaterializeRequest, plan: ViewPlan): string {
  const { slots } = layoutOf(request.view)
  const columns = [...new Set(slots.map(({ column }) => column))]
  const keys = keyList(plan)
  const fromUs = request.untilUs - BigInt(request.slackUs)
  const deleted = plan.tombstone === undefined ? 'false' : 'dl'
  const values = slots.map(({ column, feature }, index) => {
    const type = request.view.features[feature]!.type === 'int64' ? 'BIGINT' : 'DOUBLE'
    return `CAST(c${columns.indexOf(column)} AS ${type}) AS v${index}`
  })
  const order = (way: 'ASC' | 'DESC') => `ev ${way}, coalesce(cr, ${NO_TIME}) ${way}, sq ${way}`
  return `WITH src AS (SELECT *, greatest(ev, coalesce(cr, ev)) AS kt FROM (${sourceRows(plan, columns, { withOrder: true })})),
near AS (SELECT *, row_number() OVER (PARTITION BY ${keys}, kt > ${fromUs} ORDER BY ${order('DESC')}) AS nth FROM src WHERE kt <= ${request.untilUs}),
rk AS (SELECT *, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order('ASC')}) AS rn FROM near WHERE kt > ${fromUs} OR nth = 1),
pm AS (SELECT *, max(rn) OVER (PARTITION BY ${keys} ORDER BY kt, rn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, lead(kt) OVER (PARTITION BY ${keys} ORDER BY kt, rn) AS after FROM rk)
SELECT row_number() OVER (ORDER BY ${keys}, kt) AS place, ${keys}, ev, coalesce(cr, ${NO_TIME}) AS cr, kt, sq, ${deleted} AS dl, ${values.join(', ')} FROM pm
WHERE (before IS NULL OR rn > before) AND after IS DISTINCT FROM kt ORDER BY place`
}

type Row = [bigint, bigint, bigint, bigint, boolean, ...(number | bigint | null)[]]

function winnerOf(request: MaterializeRequest, columns: readonly string[], cells: readonly Cell[]): Winner {
  const [ev, cr, kt, sq, isDeleted, ...values] = cells as Row // as the statement above selects them
  const slots = values.map((value, index) => exactNumber(request, columns[index]!, value))
  return { eventUs: Number(ev), knownUs: Number(kt), isDeleted, slots, version: encodeVersion(ev, cr, sq) }
}

/** The history comes first: a reader between the two then finds the row before, or a history that is whole. */
function closeEntity(request: MaterializeRequest, { parts, winners }: OpenEntity): OnlineRecord[] {
  const types = request.entity.keys.map(({ type }) => type)
  const encoded = encodeKey(rowSection(request.generation), types, parts)
  const newest = winners.at(-1)
  if (!encoded || !newest) return []
  const { key, full } = encoded
  const row = { key, version: newest.version, value: encodeRow(newest, full) }
  const untilUs = Number(request.untilUs)
  const fromUs = untilUs - request.slackUs
  if (newest.knownUs <= fromUs) return [row]
  const value = encodeHistory({ fromUs, untilUs, rows: winners }, full)
  return [{ key: historyKey(key), version: recomputedVersion(request), value }, row]
}
