import fc from 'fast-check'
import { expect, test } from 'vitest'
import { binOf, freezeNumericBins } from './frozen-bins.ts'
import { addHash, emptyHyperLogLog, estimateDistinct, mergeHyperLogLog } from './hyperloglog.ts'
import { addValue, mergeMoments, NO_MOMENTS, sampleVariance } from './moments.ts'
import { populationStability } from './population-stability.ts'
import { nearestRank } from './quantile.ts'

test('freezeNumericBins() drops repeated quantiles and makes them atoms', () => {
  expect(freezeNumericBins([0, 0, 0, 1, 2, 2, 5])).toEqual({ edges: [0, 1, 2, 5], atoms: [0, 2] })
  expect(freezeNumericBins([3, 3])).toEqual({ edges: [3, 3], atoms: [3] })
  expect(freezeNumericBins([])).toEqual({ edges: [], atoms: [] })
  expect(() => freezeNumericBins([2, 1])).toThrow(RangeError)
  expect(() => freezeNumericBins([Number.NaN])).toThrow(RangeError)
})

test('binOf() puts each value into one place', () => {
  const bins = { edges: [0, 1, 2, 5], atoms: [2] }
  expect([-1, 0, 0.5, 1, 2, 3, 5, 6].map((value) => binOf(bins, value))).toEqual([
    { kind: 'below' },
    { kind: 'bin', index: 0 },
    { kind: 'bin', index: 0 },
    { kind: 'bin', index: 1 },
    { kind: 'atom', index: 0 },
    { kind: 'bin', index: 2 },
    { kind: 'bin', index: 2 },
    { kind: 'above' },
  ])
  expect(
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value) => binOf(bins, value).kind),
  ).toEqual(['nan', 'positiveInfinity', 'negativeInfinity'])
  expect(binOf({ edges: [], atoms: [] }, 1)).toEqual({ kind: 'below' })
})

/** SplitMix64: a full-period generator whose outputs serve as hashes. */
function splitmix(index: number): bigint {
  let z = BigInt.asUintN(64, BigInt(index + 1) * 0x9e3779b97f4a7c15n)
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n)
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn)
  return z ^ (z >> 31n)
}

test('estimateDistinct() is within four standard errors, and merging equals one sketch', () => {
  for (const n of [0, 1, 100, 7_000, 200_000]) {
    const [whole, even, odd] = [emptyHyperLogLog(), emptyHyperLogLog(), emptyHyperLogLog()]
    for (let index = 0; index < n; index++) {
      addHash(whole, splitmix(index))
      addHash(index % 2 === 0 ? even : odd, splitmix(index))
    }
    expect(Math.abs(estimateDistinct(whole) - n)).toBeLessThanOrEqual(Math.max(1, 4 * 0.0163 * n))
    expect(mergeHyperLogLog(even, odd)).toEqual(whole)
  }
  expect(() => mergeHyperLogLog(emptyHyperLogLog(12), emptyHyperLogLog(14))).toThrow(RangeError)
})

test('mergeMoments() equals adding one by one, within 1e-9', () => {
  const sample = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 50 })
  fc.assert(
    fc.property(sample, sample, (a, b) => {
      const whole = [...a, ...b].reduce(addValue, NO_MOMENTS)
      const merged = mergeMoments(a.reduce(addValue, NO_MOMENTS), b.reduce(addValue, NO_MOMENTS))
      expect(merged.n).toBe(whole.n)
      expect(Math.abs(merged.mean - whole.mean)).toBeLessThanOrEqual(1e-9 * 1e6)
      expect(Math.abs(merged.m2 - whole.m2)).toBeLessThanOrEqual(1e-9 * Math.max(1, whole.m2))
    }),
    { seed: 1 },
  )
})

test('sampleVariance() of 2 4 4 4 5 5 7 9 is 32/7, and of one value is undefined', () => {
  expect(sampleVariance([2, 4, 4, 4, 5, 5, 7, 9].reduce(addValue, NO_MOMENTS))).toBeCloseTo(32 / 7, 12)
  expect(sampleVariance(addValue(NO_MOMENTS, 1))).toBeUndefined()
})

test('nearestRank() takes the smallest value that reaches the share', () => {
  expect([0, 0.25, 0.26, 0.5, 1].map((q) => nearestRank([1, 2, 3, 4], q))).toEqual([1, 1, 2, 2, 4])
  expect(() => nearestRank([], 0.5)).toThrow(RangeError)
})

test('populationStability() is 0 for equal shares, symmetric in its logarithm, and grows with the shift', () => {
  expect(populationStability([10, 20, 30], [10, 20, 30])).toBe(0)
  const shifts = [0, 5, 10, 20].map((shift) => populationStability([50, 50], [50 + shift, 50 - shift]))
  expect(shifts).toEqual([...shifts].sort((a, b) => a - b))
  expect(populationStability([90, 10], [50, 50])).toBeCloseTo(
    (50.5 / 101 - 90.5 / 101) * Math.log(50.5 / 90.5) + (50.5 / 101 - 10.5 / 101) * Math.log(50.5 / 10.5),
    12,
  )
  expect(() => populationStability([1, 2], [1, 2, 3])).toThrow(RangeError)
})
