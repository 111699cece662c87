import { expect, test } from 'vitest'
import { bucketHours, type Hour, widthText } from './bucket.ts'

const HOUR_MS = 3_600_000
const at = (hour: number, predictions: number): Hour => ({ hourMs: hour * HOUR_MS, predictions })

test.each([
  ['one hour', [at(5, 7)], 1, 1],
  ['two days', [at(0, 3), at(47, 4)], 1, 48],
  ['an hour more', [at(0, 3), at(48, 4)], 3, 17],
  ['a replay and a few later ones', [at(0, 20_000), at(24 * 40, 10)], 24, 41],
  ['years apart', [at(0, 1), at(24 * 365 * 20, 2)], 24 * 365, 21],
  ['further apart than the widest bar reaches', [at(0, 1), at(24 * 365 * 90, 2)], 24 * 365 * 90, 2],
] as const)('bucketHours() shows all of %s in few bars of one width', (_title, hours, widthHours, count) => {
  const { bars, widthHours: width } = bucketHours(hours)
  expect([width, bars.length]).toEqual([widthHours, count])
  const sum = (list: readonly { predictions: number }[]) => list.reduce((all, one) => all + one.predictions, 0)
  expect(sum(bars)).toBe(sum(hours))
  expect(bars.at(-1)!.predictions).toBe(hours.at(-1)!.predictions)
})

test('widthText() names the width of a bar', () => {
  expect([1, 6, 24, 48].map(widthText)).toEqual(['hour', '6 hours', 'day', '2 days'])
})
