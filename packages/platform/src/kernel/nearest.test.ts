import { expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

test.each([
  ['train', 'train', 0],
  ['trian', 'train', 1],
  ['tran', 'train', 1],
  ['', 'abc', 3],
  ['kitten', 'sitting', 3],
])('editDistance() of %j and %j is %i', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

test('nearest() finds what was meant, and nothing where nothing is near', () => {
  const known = ['train', 'score', 'flight-delay']
  expect(nearest('trian', known)).toBe('train')
  expect(nearest('Flight_delay', known)).toBe('flight-delay')
  expect(nearest('banana', known)).toBeUndefined()
  expect(nearest('x', ['a'])).toBeUndefined()
  expect(nearest('train', [])).toBeUndefined()
})
