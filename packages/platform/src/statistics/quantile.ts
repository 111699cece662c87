/**
 * The smallest value with at least the share `q` of the sample at or below it (nearest rank, type 1).
 * @param sorted ascending, not empty
 * @throws RangeError for an empty sample or a share outside [0, 1]
 * @source Hyndman and Fan, The American Statistician 50(4), 1996, type 1; equals SQL's percentile_disc
 */
export function nearestRank<T>(sorted: readonly T[], q: number): T {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`Share ${q} is not between 0 and 1`)
  const value = sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]
  if (value === undefined) throw new RangeError('The sample is empty')
  return value
}
