const SHOWN_MAX = 6

/** Counts by name as one text, the most frequent first: `2 × 503 inference.host_died, 1 × 504`. */
export function describeFailures(byName) {
  const sorted = Object.entries(byName).toSorted((a, b) => b[1] - a[1])
  const shown = sorted.slice(0, SHOWN_MAX).map(([name, count]) => `${count} × ${name}`)
  const rest = sorted.slice(SHOWN_MAX).reduce((sum, [, count]) => sum + count, 0)
  return [...shown, ...(rest > 0 ? [`${rest} others`] : [])].join(', ')
}
