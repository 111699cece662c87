import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cell, InputRelation, OnlineRecord, OnlineStore, QueryEngine } from '@plimsoll/sdk/seams'
import type { EntityDefinition, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import {
  encodeKey,
  encodeRow,
  encodeVersion,
  encodeWindow,
  type KeyValue,
  layoutOf,
  rowSection,
  windowSection,
} from './online/index.ts'
import { keyList, NO_TIME, orderedSource, planView, sourceRows, type ViewPlan } from './view-plan.ts'

const PAGE_ROWS = 50_000
const BATCH_RECORDS = 2_000

export interface MaterializeRequest {
  readonly engine: QueryEngine
  readonly store: OnlineStore
  readonly view: FeatureViewDefinition
  readonly entity: EntityDefinition
  readonly generation: number
  readonly source: InputRelation
  /** Everything known up to this instant, and nothing later. */
  readonly untilUs: bigint
  /** Number of the source's version: a later one replaces windows that an earlier one filled up to the same instant. */
  readonly sourceVersion: number
  /** How long before `untilUs` lookups must still find whole windows. */
  readonly slackUs: number
  readonly workDir: string
  readonly signal?: AbortSignal
  readonly progress?: (fraction: number, message: string) => void
}

export interface Materialized {
  readonly applied: number
  readonly stale: number
  readonly fence: number
}

interface Section {
  readonly request: MaterializeRequest
  readonly number: number
  readonly fence: number
  applied: number
  stale: number
  pending: OnlineRecord[]
}

/**
 * Brings the online store to what was known of a view at one instant. Rows are put only if newer; windows are replaced
 * by a recomputation with a higher version, never added to, so that a crash, a second run or late rows change nothing
 * that a clean run would not have made.
 */
export async function materializeView(request: MaterializeRequest): Promise<Materialized> {
  await mkdir(request.workDir, { recursive: true })
  const layout = layoutOf(request.view)
  const plan = planView(request.view, request.entity, Object.keys(request.view.features).sort())
  const rows =
    layout.slots.length > 0 ? await fill(request, rowSection(request.generation), rowPages(request, plan)) : undefined
  const windows =
    layout.windowMaxUs > 0
      ? await fill(request, windowSection(request.generation), windowPages(request, plan))
      : undefined
  return {
    applied: (rows?.applied ?? 0) + (windows?.applied ?? 0),
    stale: (rows?.stale ?? 0) + (windows?.stale ?? 0),
    fence: Math.max(rows?.fence ?? 0, windows?.fence ?? 0),
  }
}

/** Takes the next fence, writes batches, and moves the watermark with the last of them. */
async function fill(
  request: MaterializeRequest,
  number: number,
  records: AsyncIterable<OnlineRecord>,
): Promise<Section> {
  const before = await request.store.generation(number)
  const section: Section = { request, number, fence: (before?.fence ?? 0) + 1, applied: 0, stale: 0, pending: [] }
  for await (const record of records) {
    section.pending.push(record)
    if (section.pending.length >= BATCH_RECORDS) await flush(section, before?.watermark ?? Number.MIN_SAFE_INTEGER)
  }
  await flush(section, Number(request.untilUs))
  return section
}

async function flush(section: Section, watermark: number): Promise<void> {
  section.request.signal?.throwIfAborted()
  const { applied, stale } = await section.request.store.applyBatch({
    generation: section.number,
    fence: section.fence,
    watermark,
    records: section.pending,
  })
  section.applied += applied
  section.stale += stale
  section.pending = []
  section.request.progress?.(0.5, `${section.applied} values written, ${section.stale} were there`)
}

/** Rows of a statement in pages, in the order of its `place` column: memory holds one page. */
async function* pages(request: MaterializeRequest, name: string, sql: string): AsyncIterable<Cell[]> {
  const signal = request.signal ? { signal: request.signal } : {}
  const { files, rowCount } = await request.engine.write({
    sql,
    inputs: { source: orderedSource(request.source) },
    output: { directory: join(request.workDir, name) },
    ...signal,
  })
  for (let from = 0; from < rowCount; from += PAGE_ROWS) {
    const { rows } = await request.engine.rows({
      sql: 'SELECT * FROM sorted WHERE place > $1 AND place <= $2 ORDER BY place',
      inputs: { sorted: { format: 'parquet', files } },
      values: [from, from + PAGE_ROWS],
      ...signal,
    })
    yield* rows
  }
}

async function* rowPages(request: MaterializeRequest, plan: ViewPlan): AsyncIterable<OnlineRecord> {
  const { slots } = layoutOf(request.view)
  const columns = [...new Set(slots.map(({ column }) => column))]
  const keys = keyList(plan)
  const known = `greatest(ev, coalesce(cr, ev))`
  const order = `ev DESC, coalesce(cr, ${NO_TIME}) DESC, sq DESC`
  const deleted = plan.tombstone === undefined ? 'false' : 'dl'
  const values = slots.map(({ column }, index) => `CAST(c${columns.indexOf(column)} AS DOUBLE) AS v${index}`)
  const sql = `WITH src AS (${sourceRows(plan, columns, { withOrder: true })}),
newest AS (SELECT *, row_number() OVER (PARTITION BY ${keys} ORDER BY ${order}) AS nth FROM src WHERE ${known} <= ${request.untilUs})
SELECT row_number() OVER (ORDER BY ${keys}) AS place, ${keys}, ev, coalesce(cr, ${NO_TIME}) AS cr, ${known} AS kt, sq, ${deleted} AS dl, ${values.join(', ')} FROM newest WHERE nth = 1 ORDER BY place`
  const types = request.entity.keys.map(({ type }) => type)
  for await (const row of pages(request, 'rows', sql)) {
    const encoded = encodeKey(rowSection(request.generation), types, row.slice(1, 1 + types.length) as KeyValue[]) // keys by their declared types
    const [ev, cr, kt, sq, isDeleted, ...cells] = row.slice(1 + types.length) as [
      bigint,
      bigint,
      bigint,
      bigint,
      boolean,
      ...(number | null)[],
    ] // as the statement above selects them
    if (!encoded) continue
    const value = encodeRow({ eventUs: Number(ev), knownUs: Number(kt), isDeleted, slots: cells }, encoded.full)
    yield { key: encoded.key, version: encodeVersion(ev, cr, sq), value }
  }
}

interface OpenWindow {
  readonly parts: KeyValue[]
  readonly times: number[]
  readonly columns: (number | null)[][]
}

async function* windowPages(request: MaterializeRequest, plan: ViewPlan): AsyncIterable<OnlineRecord> {
  const { windowColumns, windowMaxUs } = layoutOf(request.view)
  const fromUs = Number(request.untilUs) - windowMaxUs - request.slackUs
  const keys = keyList(plan)
  const alive = plan.tombstone === undefined ? '' : ' AND NOT dl'
  const cells = windowColumns.map((_, index) => `CAST(c${index} AS DOUBLE) AS v${index}`)
  const sql = `WITH src AS (SELECT *, greatest(ev, coalesce(cr, ev)) AS kt FROM (${sourceRows(plan, windowColumns, { withOrder: true })}))
SELECT row_number() OVER (ORDER BY ${keys}, kt, sq) AS place, ${[keys, 'kt', ...cells].join(', ')} FROM src WHERE kt <= ${request.untilUs} AND kt > ${fromUs}${alive} ORDER BY place`
  const width = request.entity.keys.length
  let open: OpenWindow | undefined
  for await (const row of pages(request, 'windows', sql)) {
    const parts = row.slice(0 + 1, 1 + width) as KeyValue[] // keys by their declared types
    if (!open || !isSameEntity(open.parts, parts)) {
      if (open) yield* closeWindow(request, open, fromUs)
      open = { parts, times: [], columns: windowColumns.map(() => []) }
    }
    open.times.push(Number(row[1 + width]))
    for (const [index, values] of open.columns.entries()) values.push(row[2 + width + index] as number | null) // cast to DOUBLE above
  }
  if (open) yield* closeWindow(request, open, fromUs)
}

function isSameEntity(left: readonly KeyValue[], right: readonly KeyValue[]): boolean {
  return left.every((part, index) => {
    const other = right[index]
    return part instanceof Uint8Array && other instanceof Uint8Array
      ? Buffer.compare(part, other) === 0
      : part === other
  })
}

function closeWindow(request: MaterializeRequest, open: OpenWindow, fromUs: number): OnlineRecord[] {
  const types = request.entity.keys.map(({ type }) => type)
  const encoded = encodeKey(windowSection(request.generation), types, open.parts)
  if (!encoded) return []
  const value = encodeWindow(
    { fromUs, untilUs: Number(request.untilUs), times: open.times, columns: open.columns },
    encoded.full,
  )
  return [{ key: encoded.key, version: encodeVersion(request.untilUs, BigInt(request.sourceVersion), 0n), value }]
}
