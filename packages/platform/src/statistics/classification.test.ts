import fc from 'fast-check'
import { expect, test } from 'vitest'
import { brierScore, logLoss, rocAuc } from './classification.ts'

const pairs = (scores: number[], labels: number[]) => scores.map((score, index) => ({ score, label: labels[index]! }))

test('rocAuc() gives the textbook value, ties counting one half', () => {
  expect(rocAuc(pairs([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))).toBeCloseTo(0.75, 12)
  expect(rocAuc(pairs([0.5, 0.5], [0, 1]))).toBe(0.5)
  expect(rocAuc(pairs([0.5, 0.6], [1, 1]))).toBeNull()
})

test('rocAuc() equals counting all pairs', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ score: fc.integer({ min: 0, max: 5 }), label: fc.constantFrom(0, 1) }), { maxLength: 40 }),
      (sample) => {
        const positive = sample.filter((pair) => pair.label === 1)
        const negative = sample.filter((pair) => pair.label === 0)
        const expected =
          positive.length * negative.length === 0
            ? null
            : positive.reduce(
                (sum, p) =>
                  sum + negative.reduce((s, n) => s + (p.score > n.score ? 1 : p.score === n.score ? 0.5 : 0), 0),
                0,
              ) /
              (positive.length * negative.length)
        const actual = rocAuc(sample)
        if (expected === null) expect(actual).toBeNull()
        else expect(actual).toBeCloseTo(expected, 10)
      },
    ),
  )
})

test('brierScore() and logLoss() give known values and null for nothing', () => {
  expect(brierScore(pairs([0.1, 0.9, 0.8, 0.3], [0, 1, 1, 0]))).toBeCloseTo(0.0375, 12)
  expect(logLoss(pairs([0.1, 0.9, 0.8, 0.35], [0, 1, 1, 0]))).toBeCloseTo(0.21616187468057912, 12)
  expect(brierScore([])).toBeNull()
  expect(brierScore(pairs([0.5, 2], [0, 1]))).toBeNull()
  expect(brierScore(pairs([0.5, 0.5], [1e300, 1]))).toBeNull()
  expect(logLoss(pairs([0.5], [1e300]))).toBeCloseTo(Math.LN2, 12)
  expect(logLoss(pairs([-0.1], [1]))).toBeNull()
  expect(logLoss(pairs([Number.NaN], [1]))).toBeNull()
  expect(logLoss([])).toBeNull()
})

test('brierScore() and logLoss() take float32 noise around 0 and 1 as 0 and 1, and nothing further out', () => {
  const noisy = pairs([-1.19e-7, 1.0000001192, 0.5], [0, 1, 1])
  const exact = pairs([0, 1, 0.5], [0, 1, 1])
  expect(brierScore(noisy)).toBe(brierScore(exact))
  expect(logLoss(noisy)).toBe(logLoss(exact))
  expect(brierScore(exact)).toBeCloseTo(0.25 / 3, 12)
  expect([brierScore(pairs([-1.1e-6], [0])), logLoss(pairs([1 + 1.1e-6], [1]))]).toEqual([null, null])
})
