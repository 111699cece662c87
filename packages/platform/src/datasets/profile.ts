import type { Cell } from '@plimsoll/sdk/seams'
import type { ColumnProfile, ColumnType, DatasetProfile, FrozenBins, Histogram } from '@plimsoll/sdk/wire'
import { freezeNumericBins, QUANTILE_STEPS } from '../statistics/frozen-bins.ts'
import { emptyHyperLogLog, estimateDistinct } from '../statistics/hyperloglog.ts'
import { evaluateMeasures, type Measure, quoted, type Scan, selectRows } from './content/measure.ts'
import { printCell, toCount, toStableNumber } from './printed-cell.ts'

/** Beyond it, distinct values are estimated. */
const EXACT_DISTINCT_ROWS_MAX = 1_000_000
const TOP_VALUES = 20
const CATEGORIES_MAX = 50
const P = 12

type Schema = Readonly<Record<string, ColumnType>>
const FLOATS = new Set<ColumnType['type']>(['float32', 'float64'])
const NUMBERS = new Set<ColumnType['type']>(['int32', 'int64', 'float32', 'float64'])

function isBinned(type: ColumnType): boolean {
  return NUMBERS.has(type.type) || type.type === 'timestamp' || type.type === 'date'
}

/** The number by which a column is binned: µs since the epoch for instants, days for dates. */
function binned(column: string, type: ColumnType): string {
  const name = quoted(column)
  if (type.type === 'timestamp') return `CAST(epoch_us(${name}) AS DOUBLE)`
  if (type.type === 'date') return `CAST(date_diff('day', DATE '1970-01-01', ${name}) AS DOUBLE)`
  return `CAST(${name} AS DOUBLE)`
}

const SHARES = Array.from({ length: QUANTILE_STEPS + 1 }, (_, index) => (index / QUANTILE_STEPS).toFixed(2)).join(', ')

/** Measures of the first pass for one column; `readColumn` takes their cells in the same order. */
function columnMeasures(column: string, type: ColumnType): Measure[] {
  const name = quoted(column)
  const finite = FLOATS.has(type.type) ? `FILTER (WHERE isfinite(${name}))` : ''
  const measures: Measure[] = [{ sql: `count(${name})` }]
  if (isBinned(type)) {
    measures.push({ sql: `min(${name}) ${finite}` }, { sql: `max(${name}) ${finite}` })
    measures.push(
      { sql: `quantile_disc(${name}, [${SHARES}]) ${finite}` },
      // The same aggregate, which is computed once, as numbers to bin by.
      {
        sql: `list_transform(quantile_disc(${name}, [${SHARES}]) ${finite}, lambda "value" : ${binned('value', type)})`,
      },
    )
  }
  if (NUMBERS.has(type.type)) {
    measures.push({ sql: `avg(${name}) ${finite}` }, { sql: `stddev_samp(CAST(${name} AS DOUBLE)) ${finite}` })
  }
  if (FLOATS.has(type.type)) {
    measures.push(
      { sql: `count(*) FILTER (WHERE isnan(${name}))` },
      { sql: `count(*) FILTER (WHERE ${name} = CAST('-inf' AS DOUBLE))` },
      { sql: `count(*) FILTER (WHERE ${name} = CAST('inf' AS DOUBLE))` },
    )
  }
  if (type.type === 'text')
    measures.push(
      { sql: `min(${name})` },
      { sql: `max(${name})` },
      { sql: `min(length(${name}))` },
      { sql: `max(length(${name}))` },
    )
  if (type.type === 'boolean') measures.push({ sql: `count(*) FILTER (WHERE ${name})` })
  return measures
}

/** The first pass of a profile, to be evaluated together with the measures of a suite. */
export function profileMeasures(schema: Schema): Measure[] {
  return [{ sql: 'count(*)' }, ...Object.entries(schema).flatMap(([column, type]) => columnMeasures(column, type))]
}

interface FirstPass {
  profile: ColumnProfile
  /** Values at the quantile steps as numbers to bin by. */
  quantiles: number[]
  special: { nan: number; negativeInfinity: number; positiveInfinity: number }
}

function readColumn(type: ColumnType, rowCount: number, cells: readonly Cell[]): FirstPass {
  const next = cells[Symbol.iterator]()
  const take = (): Cell => next.next().value ?? null
  const count = toCount(take())
  const profile: ColumnProfile = { type, count, nullCount: rowCount - count }
  const printed = (cell: Cell) => {
    const value = printCell(cell, type)
    return value === null ? undefined : value
  }
  const pass: FirstPass = { profile, quantiles: [], special: { nan: 0, negativeInfinity: 0, positiveInfinity: 0 } }
  if (isBinned(type)) {
    assign(profile, { min: printed(take()), max: printed(take()) })
    const [values, numbers] = [take(), take()]
    if (Array.isArray(values)) assign(profile, { quantiles: values.map((value: Cell) => printed(value) ?? '') })
    if (Array.isArray(numbers)) pass.quantiles = numbers.map(Number)
  }
  if (NUMBERS.has(type.type)) assign(profile, { mean: toStableNumber(take()), std: toStableNumber(take()) })
  if (FLOATS.has(type.type))
    pass.special = { nan: toCount(take()), negativeInfinity: toCount(take()), positiveInfinity: toCount(take()) }
  if (type.type === 'text') {
    assign(profile, { min: printed(take()), max: printed(take()) })
    if (count > 0) assign(profile, { lengths: { min: toCount(take()), max: toCount(take()) } })
  }
  if (type.type === 'boolean') {
    const trues = toCount(take())
    const top = [
      { value: true, count: trues },
      { value: false, count: count - trues },
    ].filter((one) => one.count > 0)
    assign(profile, { topValues: top.sort((a, b) => b.count - a.count) })
  }
  return pass
}

/** Sets the members that have a value. */
function assign(profile: ColumnProfile, members: { [K in keyof ColumnProfile]?: ColumnProfile[K] | undefined }): void {
  for (const [key, value] of Object.entries(members)) if (value !== undefined) Object.assign(profile, { [key]: value })
}

export interface ProfileReference {
  readonly digest: string
  /** Frozen bins by column. */
  readonly bins: Readonly<Record<string, FrozenBins>>
}

/**
 * The profile from the cells of `profileMeasures`, with a second pass for histograms and frequent values. Bins are those
 * of the reference where it has them, otherwise computed from this data and frozen.
 */
export async function buildProfile(
  scan: Scan,
  schema: Schema,
  cells: readonly Cell[],
  reference?: ProfileReference,
): Promise<DatasetProfile> {
  const rowCount = toCount(cells[0])
  const passes = new Map<string, FirstPass>()
  let start = 1
  for (const [column, type] of Object.entries(schema)) {
    const width = columnMeasures(column, type).length
    passes.set(column, readColumn(type, rowCount, cells.slice(start, start + width)))
    start += width
  }
  await addDistinct(scan, schema, rowCount, passes)
  await addNumericHistograms(scan, schema, passes, reference)
  for (const [column, pass] of passes) await addCategories(scan, column, pass, reference?.bins[column])
  const columns = Object.fromEntries([...passes].map(([column, pass]) => [column, pass.profile]))
  return { v: 1, rowCount, ...(reference ? { binsFrom: reference.digest } : {}), columns }
}

async function addDistinct(
  scan: Scan,
  schema: Schema,
  rowCount: number,
  passes: ReadonlyMap<string, FirstPass>,
): Promise<void> {
  const columns = Object.keys(schema)
  if (rowCount <= EXACT_DISTINCT_ROWS_MAX) {
    const counts = await evaluateMeasures(
      scan,
      columns.map((column) => ({ sql: `count(DISTINCT ${quoted(column)})` })),
    )
    for (const [index, column] of columns.entries())
      passes.get(column)!.profile.distinct = { count: toCount(counts[index]), isExact: true }
    return
  }
  for (const column of columns)
    passes.get(column)!.profile.distinct = { count: await estimateColumn(scan, column), isExact: false }
}

/** Registers of the house's HyperLogLog in SQL; see statistics/hyperloglog.ts. DuckDB's own estimate is off by up to 25 %. */
async function estimateColumn(scan: Scan, column: string): Promise<number> {
  // Only what is distinct is hashed: most columns repeat themselves.
  const texts = `SELECT DISTINCT CAST(${quoted(column)} AS VARCHAR) AS v FROM data WHERE ${quoted(column)} IS NOT NULL`
  const hash = `SELECT md5_number_upper(v) AS h FROM (${texts})`
  const parts = `SELECT CAST(h & ${2 ** P - 1} AS INTEGER) AS bucket, h >> ${P} AS w FROM (${hash})`
  const rho = `CASE WHEN w = 0 THEN ${64 - P + 1} ELSE bit_count(CAST(xor(w, w - 1) AS HUGEINT)) END`
  const rows = await selectRows(scan, `SELECT bucket, max(${rho}) FROM (${parts}) GROUP BY bucket ORDER BY bucket`)
  const sketch = emptyHyperLogLog(P)
  for (const [bucket, register] of rows) sketch.registers[toCount(bucket)] = toCount(register)
  return Math.round(estimateDistinct(sketch))
}

async function addNumericHistograms(
  scan: Scan,
  schema: Schema,
  passes: ReadonlyMap<string, FirstPass>,
  reference: ProfileReference | undefined,
): Promise<void> {
  const wanted = Object.entries(schema).filter(([, type]) => isBinned(type))
  const chosen = wanted.map(([column, type]) => {
    const frozen = reference?.bins[column]
    const bins =
      frozen?.kind === 'numeric'
        ? frozen
        : { kind: 'numeric' as const, ...mutable(freezeNumericBins(passes.get(column)!.quantiles)) }
    return { column, type, bins }
  })
  for (const { column, type, bins } of chosen) {
    const { profile, special } = passes.get(column)!
    // Bins are counted over the distinct values, which are few beside the rows.
    // By place: a column of the data may have the name of ours.
    const values = `(SELECT ${binned(column, type)} AS v, count(*) AS c FROM data GROUP BY 1)`
    const cells = await evaluateMeasures(scan, histogramMeasures(bins), values)
    profile.histogram = readHistogram(bins, cells.map(toCount), profile.count, special)
  }
}

type NumericFrozen = Extract<FrozenBins, { kind: 'numeric' }>

function mutable(bins: { edges: readonly number[]; atoms: readonly number[] }): { edges: number[]; atoms: number[] } {
  return { edges: [...bins.edges], atoms: [...bins.atoms] }
}

/** Rows below each edge, rows up to the last, rows equal to each atom. */
function histogramMeasures(bins: NumericFrozen): Measure[] {
  const compare = (operator: string, edge: number): Measure => ({
    sql: `CAST(coalesce(sum(c) FILTER (WHERE v ${operator} CAST($ AS DOUBLE)), 0) AS BIGINT)`,
    values: [edge],
  })
  const last = bins.edges.at(-1)
  return [
    ...bins.edges.map((edge) => compare('<', edge)),
    ...(last === undefined ? [] : [compare('<=', last)]),
    ...bins.atoms.map((atom) => compare('=', atom)),
  ]
}

/** Counts per bin from cumulative counts. An atom is an edge of its bin, so its rows are taken out of exactly one. */
function readHistogram(
  bins: NumericFrozen,
  cells: readonly number[],
  count: number,
  special: FirstPass['special'],
): Histogram {
  const k = bins.edges.length
  const { nan, negativeInfinity, positiveInfinity } = special
  if (k === 0)
    return {
      bins,
      counts: [],
      atomCounts: [],
      below: 0,
      above: count - nan - negativeInfinity - positiveInfinity,
      ...special,
      other: 0,
    }
  const upTo = cells[k]!
  const atomCounts = cells.slice(k + 1)
  const counts = bins.edges.slice(0, -1).map((edge, index) => {
    const isLast = index === k - 2
    const all = (isLast ? upTo : cells[index + 1]!) - cells[index]!
    const next = bins.edges[index + 1]!
    return bins.atoms.reduce(
      (left, atom, place) => (atom >= edge && (isLast ? atom <= next : atom < next) ? left - atomCounts[place]! : left),
      all,
    )
  })
  return {
    bins,
    counts,
    atomCounts,
    below: cells[0]! - negativeInfinity,
    above: count - nan - positiveInfinity - upTo,
    ...special,
    other: 0,
  }
}

/** Later data is compared with frozen values, so they are stored as they are: no NUL, and nothing long. */
function isCategory(value: string): boolean {
  return value.length <= 128 && !value.includes('\0')
}

/** Frequent values of text and booleans, and counts of the frozen categories. */
async function addCategories(
  scan: Scan,
  column: string,
  { profile }: FirstPass,
  frozen: FrozenBins | undefined,
): Promise<void> {
  const { type, count } = profile
  if (type.type !== 'text' && type.type !== 'boolean') return
  const name = quoted(column)
  // One select within the other: a column of the data may have the name of ours.
  const texts = `SELECT CAST(${name} AS VARCHAR) AS v FROM data WHERE ${name} IS NOT NULL`
  const counted = `SELECT v, count(*) AS c FROM (${texts})`
  const sql = `${counted} GROUP BY v ORDER BY c DESC, v LIMIT ${CATEGORIES_MAX}`
  const top = (await selectRows(scan, sql)).map(([value, times]) => ({ value: String(value), count: toCount(times) }))
  if (type.type === 'text')
    profile.topValues = top
      .slice(0, TOP_VALUES)
      .map((one) => ({ value: printCell(one.value, type) ?? '', count: one.count }))
  const values = frozen?.kind === 'categories' ? frozen.values : top.map((one) => one.value).filter(isCategory)
  const known = new Map(top.map((one) => [one.value, one.count]))
  const rare = values.filter((value) => !known.has(value))
  if (rare.length > 0) {
    const places = rare.map((_, index) => `$${index + 1}`).join(', ')
    for (const [value, times] of await selectRows(scan, `${counted} WHERE v IN (${places}) GROUP BY v`, rare))
      known.set(String(value), toCount(times))
  }
  const counts = values.map((value) => known.get(value) ?? 0)
  const named = counts.reduce((sum, times) => sum + times, 0)
  profile.histogram = {
    bins: { kind: 'categories', values },
    counts,
    atomCounts: [],
    below: 0,
    above: 0,
    nan: 0,
    negativeInfinity: 0,
    positiveInfinity: 0,
    other: count - named,
  }
}

/** Bins of a profile, to be taken by later ones. */
export function binsOf(profile: DatasetProfile): Record<string, FrozenBins> {
  return Object.fromEntries(
    Object.entries(profile.columns).flatMap(([column, { histogram }]) => (histogram ? [[column, histogram.bins]] : [])),
  )
}
