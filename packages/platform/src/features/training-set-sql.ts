import { join } from 'node:path'
import type { InputRelation, QueryEngine } from '@plimsoll/sdk/seams'
import type { ColumnType } from '@plimsoll/sdk/wire'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { latestRowStatements } from './latest-row-sql.ts'
import { orderedSource, quoteName, type ViewPlan } from './view-plan.ts'
import { windowStatements } from './window-sql.ts'

/** A view to join, the relation that it reads, and the spine columns that hold its keys. */
export interface JoinedView {
  readonly plan: ViewPlan
  readonly source: InputRelation
  readonly schema: Readonly<Record<string, ColumnType>>
  readonly spineKeys: readonly string[]
  /** Name in the result of each feature of the plan, in its order. */
  readonly names: readonly string[]
}

export interface PointInTimeJoin {
  readonly engine: QueryEngine
  readonly spine: InputRelation
  readonly spineColumns: readonly string[]
  readonly spineTime: string
  readonly views: readonly JoinedView[]
  /** Existing directory for what is in between. */
  readonly workDir: string
  readonly output: string
  readonly signal?: AbortSignal
  readonly progress?: (fraction: number, message: string) => void
}

interface Part {
  readonly relation: InputRelation
  /** Column of the part → name in the result. */
  readonly columns: readonly (readonly [string, string])[]
}

/**
 * Joins every view to the spine as of each row's own time, and writes the spine's columns with the features, in the
 * order of the spine. Each view is one or a few statements whose results stay on disk, so that memory holds one view
 * at a time; the last statement puts them side by side by the rows' places in the files.
 *
 * @throws internal features.row_count when the result has not exactly the spine's rows
 */
export async function writePointInTimeJoin(request: PointInTimeJoin): Promise<{ files: string[]; rowCount: number }> {
  const { engine, workDir } = request
  const signal = request.signal ? { signal: request.signal } : {}
  const spine: InputRelation = { ...request.spine, orderColumn: '__rid' }
  const parts: Part[] = []
  for (const [index, view] of request.views.entries()) {
    request.progress?.((0.9 * index) / request.views.length, `joining view ${index + 1} of ${request.views.length}`)
    parts.push(...(await writeView(request, view, spine, join(workDir, `view-${index}`))))
  }
  const inputs = Object.fromEntries(parts.map(({ relation }, index) => [`p${index}`, relation]))
  const values = parts.flatMap(({ columns }, index) =>
    columns.map(([column, name]) => ({ name, sql: `p${index}.${column} AS ${quoteName(name)}` })),
  )
  const order = new Map(request.views.flatMap(({ names }) => names).map((name, index) => [name, index]))
  values.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0))
  const chosen = [...request.spineColumns.map((column) => `s.${quoteName(column)}`), ...values.map(({ sql }) => sql)]
  const joins = parts.map((_, index) => `LEFT JOIN p${index} ON p${index}.rid = s.__rid`)
  const written = await engine.write({
    sql: `SELECT ${chosen.join(', ')} FROM s ${joins.join(' ')} ORDER BY s.__rid`,
    inputs: { ...inputs, s: spine },
    output: { directory: request.output },
    ...signal,
  })
  const counted = await engine.rows({ sql: 'SELECT count(*) FROM s', inputs: { s: spine }, ...signal })
  const rowCount = Number(counted.rows[0]![0])
  if (written.rowCount !== rowCount) {
    throw new PlimsollError(
      'internal',
      'features.row_count',
      `Cannot make the training set: ${countText(rowCount, 'spine row')} became ${written.rowCount}`,
    )
  }
  return written
}

/** The spine as one view sees it. */
function spineOf(view: JoinedView, time: string): string {
  const keys = view.spineKeys.map((column, index) => `${quoteName(column)} AS k${index}`)
  return `SELECT __rid AS rid, ${keys.join(', ')}, epoch_us(${quoteName(time)}) AS t FROM numbered`
}

async function writeView(
  request: PointInTimeJoin,
  view: JoinedView,
  numbered: InputRelation,
  directory: string,
): Promise<Part[]> {
  const names = new Map(view.plan.features.map(({ column }, index) => [column, view.names[index]!]))
  const source = orderedSource(view.source, view.plan)
  const signal = request.signal ? { signal: request.signal } : {}
  const statements = [
    ...(await latestRowStatements(request.engine, view.plan, { source, ...signal })),
    ...windowStatements(view.plan, view.schema),
  ]
  const parts: Part[] = []
  for (const [index, { sql, columns }] of statements.entries()) {
    const { files } = await request.engine.write({
      sql: withSpine(sql, spineOf(view, request.spineTime)),
      inputs: { numbered, source },
      output: { directory: `${directory}-${index}` },
      ...signal,
    })
    parts.push({
      relation: { format: 'parquet', files },
      columns: columns.map((column) => [column, names.get(column)!]),
    })
  }
  return parts
}

/** Puts the relation `spine` in front of the others of a statement that begins with WITH. */
export function withSpine(sql: string, spine: string): string {
  return `WITH spine AS (${spine}), ${sql.replace(/^WITH /, '')}`
}
