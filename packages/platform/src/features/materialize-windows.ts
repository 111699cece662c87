import type { OnlineRecord } from '@plimsoll/sdk/seams'
import { exactNumber, isSameEntity, type MaterializeRequest, pages, recomputedVersion } from './materialize-pages.ts'
import { encodeKey, encodeWindow, type KeyValue, layoutOf, windowSection } from './online/index.ts'
import { keyList, sourceRows, type ViewPlan } from './view-plan.ts'

interface OpenWindow {
  readonly parts: KeyValue[]
  readonly times: number[]
  readonly columns: (number | null)[][]
}

/** The events of each entity that the windows of a view can need back to `until − slack`. */
export async function* windowRecords(request: MaterializeRequest, plan: ViewPlan): AsyncIterable<OnlineRecord> {
  const { windowColumns, windowMaxUs } = layoutOf(request.view)
  const fromUs = Number(request.untilUs) - windowMaxUs - request.slackUs
  const keys = keyList(plan)
  const alive = plan.tombstone === undefined ? '' : ' AND NOT dl'
  const exact = exactColumns(request)
  const cells = windowColumns.map(
    (column, index) => `CAST(c${index} AS ${exact.has(column) ? 'BIGINT' : 'DOUBLE'}) AS v${index}`,
  )
  const sql = `WITH src AS (SELECT *, greatest(ev, coalesce(cr, ev)) AS kt FROM (${sourceRows(plan, windowColumns, { withOrder: true })}))
SELECT row_number() OVER (ORDER BY ${keys}, kt, sq) AS place, ${[keys, 'kt', ...cells].join(', ')} FROM src WHERE kt <= ${request.untilUs} AND kt > ${fromUs}${alive} ORDER BY place`
  const width = request.entity.keys.length
  let open: OpenWindow | undefined
  for await (const row of pages(request, 'windows', sql)) {
    const parts = row.slice(1, 1 + width) as KeyValue[] // keys by their declared types
    if (!open || !isSameEntity(open.parts, parts)) {
      if (open) yield* closeWindow(request, open, fromUs)
      open = { parts, times: [], columns: windowColumns.map(() => []) }
    }
    open.times.push(Number(row[1 + width]))
    for (const [index, values] of open.columns.entries()) {
      const value = row[2 + width + index] as number | bigint | null // cast above
      values.push(exactNumber(request, windowColumns[index]!, value))
    }
  }
  if (open) yield* closeWindow(request, open, fromUs)
}

/** Columns of which a value itself is a feature that is an int64. */
function exactColumns({ view }: MaterializeRequest): Set<string> {
  return new Set(
    Object.values(view.features).flatMap((feature) =>
      feature.from === 'aggregate' && feature.type === 'int64' && feature.function !== 'count' && feature.column
        ? [feature.column]
        : [],
    ),
  )
}

function closeWindow(request: MaterializeRequest, open: OpenWindow, fromUs: number): OnlineRecord[] {
  const types = request.entity.keys.map(({ type }) => type)
  const encoded = encodeKey(windowSection(request.generation), types, open.parts)
  if (!encoded) return []
  const value = encodeWindow(
    { fromUs, untilUs: Number(request.untilUs), times: open.times, columns: open.columns },
    encoded.full,
  )
  return [{ key: encoded.key, version: recomputedVersion(request), value }]
}
