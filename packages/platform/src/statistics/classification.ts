/** One labelled score: `label` above 0.5 counts as positive; `score` is a probability where the measure asks for one. */
export interface LabelledScore {
  readonly score: number
  readonly label: number
}

/**
 * Area under the ROC curve by the rank-sum statistic; ties count one half.
 * @returns in [0, 1], or null when one of the classes is empty
 * @source Hanley and McNeil, Radiology 143 (1982); Mann–Whitney U
 */
export function rocAuc(pairs: readonly LabelledScore[]): number | null {
  const sorted = [...pairs].sort((a, b) => a.score - b.score)
  let positives = 0
  let rankSum = 0
  for (let start = 0; start < sorted.length; ) {
    let end = start
    while (end < sorted.length && sorted[end]!.score === sorted[start]!.score) end++
    const rank = (start + 1 + end) / 2
    for (let index = start; index < end; index++) {
      if (sorted[index]!.label > 0.5) {
        positives++
        rankSum += rank
      }
    }
    start = end
  }
  const negatives = sorted.length - positives
  if (positives === 0 || negatives === 0) return null
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
}

/** A float32 softmax sums to 1 ± a few 1e-7: a model may answer so much less than 0 or more than 1. */
const NOISE = 1e-6

/** The pairs with their scores within [0, 1]; null when empty, or when a score is none: such a measure says nothing of it. */
function probabilitiesOf(pairs: readonly LabelledScore[]): readonly LabelledScore[] | null {
  if (pairs.length === 0 || !pairs.every(({ score }) => score >= -NOISE && score <= 1 + NOISE)) return null
  return pairs.map(({ score, label }) => ({ score: Math.min(1, Math.max(0, score)), label }))
}

/** What is out of a number's range is no measure. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

/** Mean squared difference of probability and label; null when empty, no probabilities, or not finite. @source Brier, Monthly Weather Review 78 (1950) */
export function brierScore(pairs: readonly LabelledScore[]): number | null {
  const scored = probabilitiesOf(pairs)
  return scored && finite(scored.reduce((sum, { score, label }) => sum + (score - label) ** 2, 0) / scored.length)
}

const LOG_LOSS_EPSILON = 1e-15

/** Mean negative log-likelihood in nats, probabilities clipped to [1e-15, 1 − 1e-15]; null when empty or no probabilities. */
export function logLoss(pairs: readonly LabelledScore[]): number | null {
  const scored = probabilitiesOf(pairs)
  if (!scored) return null
  const clip = (p: number) => Math.min(1 - LOG_LOSS_EPSILON, Math.max(LOG_LOSS_EPSILON, p))
  return (
    scored.reduce(
      (sum, { score, label }) => sum - (label > 0.5 ? Math.log(clip(score)) : Math.log(1 - clip(score))),
      0,
    ) / scored.length
  )
}
