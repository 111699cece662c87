import { mkdir } from 'node:fs/promises'
import type { OnlineRecord } from '@plimsoll/sdk/seams'
import type { MaterializeRequest } from './materialize-pages.ts'
import { rowRecords } from './materialize-rows.ts'
import { windowRecords } from './materialize-windows.ts'
import { layoutOf, rowSection, windowSection } from './online/index.ts'
import { planView } from './view-plan.ts'

const BATCH_RECORDS = 2_000

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
 * Brings the online store to what was known of a view at one instant. Rows are put only if newer; windows and the recent
 * past of rows are replaced by a recomputation with a higher version, never added to, so that a crash, a second run or
 * late rows change nothing that a clean run would not have made.
 */
export async function materializeView(request: MaterializeRequest): Promise<Materialized> {
  await mkdir(request.workDir, { recursive: true })
  const layout = layoutOf(request.view)
  const plan = planView(request.view, request.entity, Object.keys(request.view.features).sort())
  const rows =
    layout.slots.length > 0 ? await fill(request, rowSection(request.generation), rowRecords(request, plan)) : undefined
  const windows =
    layout.windowMaxUs > 0
      ? await fill(request, windowSection(request.generation), windowRecords(request, plan))
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
