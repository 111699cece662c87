/** Where a level stands against its mark. */
export type Load = 'below' | 'near' | 'over'

const NEAR = 0.9
/** The mark is drawn at this share of the scale, so that a level can be seen beyond it. */
export const MARK_AT = 0.8

/** `over` only beyond the mark; at nine tenths of it, and on it, `near`. */
export function loadOf(value: number, mark: number): Load {
  if (value > mark) return 'over'
  return value >= mark * NEAR ? 'near' : 'below'
}

/** Share of the scale that a level fills, 0 to 1. A mark of nothing is passed by anything. */
export function levelOf(value: number, mark: number): number {
  if (!(value > 0)) return 0
  return mark > 0 ? Math.min(1, (value / mark) * MARK_AT) : 1
}
