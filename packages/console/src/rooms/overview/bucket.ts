const HOUR_MS = 3_600_000
const BARS_MAX = 48
/** Widths of a bar, in hours. */
const WIDTHS = [1, 3, 6, 12, 24, 2 * 24, 7 * 24, 30 * 24, 90 * 24, 365 * 24]

export interface Hour {
  readonly hourMs: number
  readonly predictions: number
}

export interface Buckets {
  readonly widthHours: number
  readonly bars: readonly { readonly fromMs: number; readonly predictions: number }[]
}

/** All the hours in at most 48 bars of one width: times without a prediction have their place. */
export function bucketHours(hours: readonly Hour[]): Buckets {
  const [firstMs, lastMs] = [hours[0]?.hourMs ?? 0, hours.at(-1)?.hourMs ?? 0]
  const barsOf = (width: number) => Math.floor(lastMs / HOUR_MS / width) - Math.floor(firstMs / HOUR_MS / width) + 1
  const widthHours = WIDTHS.find((width) => barsOf(width) <= BARS_MAX) ?? Math.ceil((lastMs - firstMs) / HOUR_MS)
  const widthMs = widthHours * HOUR_MS
  const startMs = Math.floor(firstMs / widthMs) * widthMs
  const counts = new Map<number, number>()
  for (const { hourMs, predictions } of hours) {
    const bar = Math.floor((hourMs - startMs) / widthMs)
    counts.set(bar, (counts.get(bar) ?? 0) + predictions)
  }
  const bars = Array.from({ length: barsOf(widthHours) }, (_, bar) => ({
    fromMs: startMs + bar * widthMs,
    predictions: counts.get(bar) ?? 0,
  }))
  return { widthHours, bars }
}

/** `hour`, `6 hours`, `day`, `7 days`. */
export function widthText(widthHours: number): string {
  const [count, unit] = widthHours % 24 === 0 ? [widthHours / 24, 'day'] : [widthHours, 'hour']
  return count === 1 ? unit : `${count} ${unit}s`
}
