/** Count, mean and sum of squared deviations of a stream of numbers. */
export interface Moments {
  readonly n: number
  readonly mean: number
  readonly m2: number
}

export const NO_MOMENTS: Moments = { n: 0, mean: 0, m2: 0 }

/** @source Welford, Technometrics 4(3), 1962 */
export function addValue({ n, mean, m2 }: Moments, value: number): Moments {
  const delta = value - mean
  const moved = mean + delta / (n + 1)
  return { n: n + 1, mean: moved, m2: m2 + delta * (value - moved) }
}

/** @source Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm, 1979 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const n = a.n + b.n
  if (n === 0) return NO_MOMENTS
  const delta = b.mean - a.mean
  return { n, mean: a.mean + (delta * b.n) / n, m2: a.m2 + b.m2 + (delta * delta * a.n * b.n) / n }
}

/** Sample variance (ddof 1); undefined below two values. */
export function sampleVariance({ n, m2 }: Moments): number | undefined {
  return n < 2 ? undefined : m2 / (n - 1)
}
