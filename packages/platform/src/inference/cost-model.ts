const DECAY = 0.98
const RECENT = 32
/** An observation counts at most this many times its estimate, so that one stall of the machine does not close a route. */
const OUTLIER = 4
const SLACK_MS = 1

/**
 * Time of a run as a line in its rows, ŝ(n) = a·n + b, by exponentially weighted least squares.
 * @source Clockwork (Gujarati et al., OSDI 2020) for deciding by prediction; the fit is the textbook one
 */
export interface CostModel {
  observe(rows: number, ms: number): void
  /** Expected time of a run of `rows`. */
  estimateMs(rows: number): number
  /** Standard deviation of the residuals. */
  sigmaMs(): number
  /** The least that recent runs suggest: used where refusing wrongly would be worse than trying. */
  optimisticMs(rows: number): number
}

export function createCostModel(seed: readonly { rows: number; ms: number }[]): CostModel {
  let weight = 0
  let sumRows = 0
  let sumMs = 0
  let sumRowsRows = 0
  let sumRowsMs = 0
  let slope = 0
  let base = 0
  let variance = 0
  const recent: number[] = []
  let next = 0

  const fit = () => {
    const spread = weight * sumRowsRows - sumRows * sumRows
    if (spread > 1e-6 * weight * sumRowsRows) {
      // Corrected as far as the runs contradict it beyond their noise (two standard errors of a slope): stalls of the machine
      // that met larger runs would make rows look dear, and runs of one size say nothing of others.
      const noise = Math.sqrt((2 * variance * weight) / spread)
      const seen = (weight * sumRowsMs - sumRows * sumMs) / spread
      slope = Math.max(0, Math.min(Math.max(slope, seen - noise), seen + noise))
    }
    base = Math.max(0, (sumMs - slope * sumRows) / weight)
  }
  const add = (rows: number, ms: number) => {
    weight = weight * DECAY + 1
    sumRows = sumRows * DECAY + rows
    sumMs = sumMs * DECAY + ms
    sumRowsRows = sumRowsRows * DECAY + rows * rows
    sumRowsMs = sumRowsMs * DECAY + rows * ms
    recent[next] = ms
    next = (next + 1) % RECENT
    fit()
  }
  const estimateMs = (rows: number) => slope * rows + base
  for (const { rows, ms } of seed) add(rows, ms)

  return {
    observe(rows, ms) {
      const expected = estimateMs(rows)
      const counted = weight > 0 ? Math.min(ms, OUTLIER * expected + SLACK_MS) : ms
      variance = DECAY * variance + (1 - DECAY) * (counted - expected) ** 2
      add(rows, counted)
    },
    estimateMs,
    sigmaMs: () => Math.sqrt(variance),
    optimisticMs(rows) {
      let least = estimateMs(rows)
      for (const ms of recent) if (ms < least) least = ms
      return least
    },
  }
}
