import { expect, test } from 'vitest'
import { createCostModel } from './cost-model.ts'

/** Small whole numbers without an order, the same each time. */
const jitter = (n: number) => (n * 7_919) % 13

test('estimateMs() lets rows count as far as runs show it beyond their noise', () => {
  const dear = createCostModel([])
  const stalled = createCostModel([])
  for (let n = 0; n < 200; n++) {
    const rows = 1 + (n % 7)
    dear.observe(rows, 2 * rows + 5)
    // A stall in every tenth run, whatever it holds.
    stalled.observe(rows, n % 10 === 0 ? 20 : 5)
  }
  expect(dear.estimateMs(11) - dear.estimateMs(1)).toBeCloseTo(20, 0)
  expect(stalled.estimateMs(1_001) - stalled.estimateMs(1)).toBe(0)
})

test('estimateMs() remembers what rows cost while all runs are of one size', () => {
  const cost = createCostModel([1, 16, 64].map((rows) => ({ rows, ms: 2 * rows + 20 })))
  for (let n = 0; n < 3_000; n++) cost.observe(1, 22 + (jitter(n) - 6) / 3)
  expect(cost.estimateMs(64)).toBeGreaterThan(140)
  expect(cost.estimateMs(64)).toBeLessThan(156)
})
