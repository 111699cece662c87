import type { FeatureExpression, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import type { HistoryRow, SpineRow } from './point-in-time.fixture.ts'

const LOWEST = Number.NEGATIVE_INFINITY

const isSame = (row: HistoryRow, spine: SpineRow) =>
  spine.keys.every((key, index) => key !== null && key === row.keys[index])

function knownUs(row: HistoryRow, hasKnownAt: boolean): number {
  return Math.max(row.ev ?? LOWEST, hasKnownAt ? (row.cr ?? LOWEST) : LOWEST)
}

/** By the definition, row by row: what a feature was at the spine's time. */
export function valueAt(
  view: FeatureViewDefinition,
  feature: FeatureExpression,
  history: readonly HistoryRow[],
  spine: SpineRow,
): number | null {
  if (spine.t === null || spine.keys.includes(null)) return null
  const at = spine.t
  const hasKnownAt = view.knownAt !== undefined
  const visible = history.filter((row) => row.ev !== null && isSame(row, spine) && knownUs(row, hasKnownAt) <= at)
  if (feature.from === 'column') {
    const order = (row: HistoryRow) => [row.ev!, hasKnownAt ? (row.cr ?? LOWEST) : LOWEST, row.seq] as const
    const winner = visible.reduce<HistoryRow | undefined>((best, row) => {
      if (!best) return row
      const [left, right] = [order(row), order(best)]
      const place = left.findIndex((part, index) => part !== right[index])
      return place >= 0 && left[place]! > right[place]! ? row : best
    }, undefined)
    if (!winner || winner.del || (view.ttlUs !== null && at - winner.ev! > view.ttlUs)) return null
    return winner.values[feature.column] ?? null
  }
  const rows = visible.filter((row) => !row.del && knownUs(row, hasKnownAt) > at - feature.windowUs)
  if (feature.column === undefined) return rows.length
  const values = rows.map((row) => row.values[feature.column!] ?? null).filter((value) => value !== null)
  return aggregate(feature.function, values)
}

function aggregate(name: string, values: readonly number[]): number | null {
  if (name === 'count') return values.length
  if (values.length === 0) return null
  const total = values.reduce((sum, value) => sum + value, 0)
  const mean = total / values.length
  if (name === 'sum') return total
  if (name === 'mean') return mean
  if (name === 'min') return values.reduce((a, b) => Math.min(a, b))
  if (name === 'max') return values.reduce((a, b) => Math.max(a, b))
  return values.length < 2
    ? null
    : Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
}

/** Equal, or as near as two orders of adding floats may be. */
export function isNear(left: number | null, right: number | null): boolean {
  if (left === null || right === null) return left === right
  return (
    Object.is(left, right) ||
    left === right ||
    Math.abs(left - right) <= 1e-9 * Math.max(1, Math.abs(left), Math.abs(right))
  )
}
