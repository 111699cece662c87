/**
 * Bins for numbers, made once from a reference and never moved. A value that equals an atom has its own bin; others fall
 * into [edge i, edge i+1), the last bin closed on both sides.
 */
export interface NumericBins {
  /** Strictly ascending, finite; k edges make k − 1 bins. Empty when the reference had no finite value. */
  readonly edges: readonly number[]
  /** Ascending values that hold at least 5 % of the reference. */
  readonly atoms: readonly number[]
}

export const QUANTILE_STEPS = 20

/**
 * Edges at the reference's quantiles; a quantile that repeats is a value with at least 1/(steps) of the mass and becomes
 * an atom too. One distinct value gives a closed bin [v, v] without width.
 *
 * @param quantiles ascending finite values at 0, 1/steps, …, 1 of the reference (nearest rank)
 * @throws RangeError when they descend or are not finite
 * @source delivery-and-monitoring reference, 8.1: reference quantiles at 5 % steps, own bin for any value with ≥ 5 % mass
 */
export function freezeNumericBins(quantiles: readonly number[]): NumericBins {
  const edges: number[] = []
  const atoms: number[] = []
  for (const value of quantiles) {
    const last = edges.at(-1)
    if (!Number.isFinite(value)) throw new RangeError(`Quantile ${value} is not finite`)
    if (last === undefined || value > last) edges.push(value)
    else if (value < last) throw new RangeError(`Quantiles descend: ${value} after ${last}`)
    else if (atoms.at(-1) !== value) atoms.push(value)
  }
  if (edges.length === 1) edges.push(edges[0]!)
  return { edges, atoms }
}

export type BinPlace =
  | { readonly kind: 'bin' | 'atom'; readonly index: number }
  | { readonly kind: 'below' | 'above' | 'nan' | 'negativeInfinity' | 'positiveInfinity' }

/** The bin of one value. Binary search: O(log k). */
export function binOf(bins: NumericBins, value: number): BinPlace {
  if (Number.isNaN(value)) return { kind: 'nan' }
  if (value === Number.POSITIVE_INFINITY) return { kind: 'positiveInfinity' }
  if (value === Number.NEGATIVE_INFINITY) return { kind: 'negativeInfinity' }
  const atom = bins.atoms.indexOf(value)
  if (atom >= 0) return { kind: 'atom', index: atom }
  const { edges } = bins
  const first = edges[0]
  const last = edges.at(-1)
  if (first === undefined || last === undefined || value < first) return { kind: 'below' }
  if (value > last) return { kind: 'above' }
  if (value === last) return { kind: 'bin', index: edges.length - 2 }
  let low = 0
  let high = edges.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (value >= edges[middle]!) low = middle
    else high = middle
  }
  return { kind: 'bin', index: low }
}
