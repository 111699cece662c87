/**
 * Population stability index between two binned distributions.
 *
 * @param reference counts per bin, length k ≥ 2
 * @param current   counts per bin, same k and same edges
 * @returns ≥ 0, unitless. Without drift about (1/N + 1/n) times a χ² with k − 1 degrees of freedom: any fixed threshold
 * is meaningless without the sample sizes
 * Half a count is added to each bin on both sides, so that empty bins give a finite result.
 * @throws RangeError when k differs or is below 2, or a count is negative or not finite
 * @source delivery-and-monitoring reference, 8.2; Siddiqi, Credit Risk Scorecards, 2006, ch. 6
 */
export function populationStability(reference: readonly number[], current: readonly number[]): number {
  if (reference.length !== current.length) throw new RangeError(`${reference.length} and ${current.length} bins differ`)
  if (reference.length < 2) throw new RangeError('At least two bins are needed')
  const total = (counts: readonly number[]) => {
    if (!counts.every((count) => Number.isFinite(count) && count >= 0))
      throw new RangeError('A count is negative or not finite')
    return counts.reduce((sum, count) => sum + count + 0.5, 0)
  }
  const [n, m] = [total(reference), total(current)]
  return reference.reduce((sum, count, index) => {
    const p = (count + 0.5) / n
    const q = (current[index]! + 0.5) / m
    return sum + (q - p) * Math.log(q / p)
  }, 0)
}
