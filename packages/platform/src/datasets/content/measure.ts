import type { Cell, InputRelation, QueryEngine } from '@plimsoll/sdk/seams'

/** One SQL expression over the relation `data`; each `$` in it stands for the next of `values`. */
export interface Measure {
  readonly sql: string
  readonly values?: readonly (string | number | bigint | boolean)[]
}

export interface Scan {
  readonly engine: QueryEngine
  readonly relation: InputRelation
  readonly signal: AbortSignal
}

/** Expressions per SELECT: beyond it the planner costs more than a second scan. */
const MEASURES_PER_SELECT = 1_500

/** A column in double quotes. Names are field names, so they hold no quote. */
export function quoted(column: string): string {
  return `"${column}"`
}

/** Puts $1, $2, … where `$` stands and appends the values to `bound`. */
export function place(measure: Measure, bound: (string | number | bigint | boolean)[]): string {
  let next = 0
  return measure.sql.replace(/\$/g, () => {
    bound.push(measure.values![next++]!)
    return `$${bound.length}`
  })
}

/** Evaluates all aggregates over `from` in as few scans as possible; cells come in the order of the measures. */
export async function evaluateMeasures(scan: Scan, measures: readonly Measure[], from = 'data'): Promise<Cell[]> {
  const cells: Cell[] = []
  for (let start = 0; start < measures.length; start += MEASURES_PER_SELECT) {
    const bound: (string | number | bigint | boolean)[] = []
    const chosen = measures
      .slice(start, start + MEASURES_PER_SELECT)
      .map((measure, index) => `${place(measure, bound)} AS m${index}`)
    const row = (await selectRows(scan, `SELECT ${chosen.join(', ')} FROM ${from}`, bound))[0] ?? []
    for (const cell of row) cells.push(cell)
  }
  return cells
}

export async function selectRows(
  scan: Scan,
  sql: string,
  values: readonly (string | number | bigint | boolean)[] = [],
): Promise<Cell[][]> {
  const { rows } = await scan.engine.rows({ sql, inputs: { data: scan.relation }, values, signal: scan.signal })
  return rows
}
