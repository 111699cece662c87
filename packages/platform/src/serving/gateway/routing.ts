import { createHash } from 'node:crypto'

/** Top 53 bits of SHA-256, as a number in [0, 1). */
export function unitHash(text: string): number {
  const hash = createHash('sha256').update(text).digest()
  return (hash.readUInt32BE(0) * 2 ** 21 + (hash.readUInt32BE(4) >>> 11)) / 2 ** 53
}

/**
 * Weighted rendezvous hashing: growing one weight moves keys only *to* that arm. Arms of weight 0 are never chosen.
 * @source Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996; logarithmic weights: Schindelhauer and Schomaker, SPAA 2005
 */
export function chooseArm<A extends { arm: string; weight: number }>(
  arms: readonly A[],
  salt: string,
  key: string,
): A | undefined {
  if (arms.length === 1) return arms[0]!.weight > 0 ? arms[0] : undefined
  let best: A | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  for (const arm of arms) {
    if (arm.weight <= 0) continue
    const unit = unitHash(`${salt}\0${key}\0${arm.arm}`) + 2 ** -54
    const score = arm.weight / -Math.log(unit)
    if (score > bestScore) {
      best = arm
      bestScore = score
    }
  }
  return best
}
