import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manualClock } from './clock.ts'
import { newId, randomBelow, randomHex, randomUnit, uuidv7, uuidv7Ms } from './ids.ts'

test('uuidv7Ms() reads the example of RFC 9562, appendix A.6', () => {
  expect(uuidv7Ms('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')).toBe(1_645_557_742_000)
})

test.each([
  '',
  '017f22e2-79b0-4cc3-98c4-dc0c0c07398f',
  '017f22e2-79b0-7cc3-18c4-dc0c0c07398f',
  '017F22E2-79B0-7CC3-98C4-DC0C0C07398F',
  '017f22e279b07cc398c4dc0c0c07398f',
  '017f22e2-79b0-7cc3-98c4-dc0c0c07398f ',
])('uuidv7Ms() refuses %j', (id) => {
  expect(uuidv7Ms(id)).toBeUndefined()
})

test('uuidv7() carries its instant and sorts by it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), (ms) => {
      const id = uuidv7(manualClock(ms))
      expect(uuidv7Ms(id)).toBe(ms)
      expect(id < uuidv7(manualClock(ms + 1))).toBe(true)
    }),
  )
})

test('newId() has its prefix and does not repeat within a millisecond', () => {
  const clock = manualClock(0)
  const ids = new Set(Array.from({ length: 10_000 }, () => newId('run', clock)))
  expect(ids.size).toBe(10_000)
  for (const id of ids) expect(id).toMatch(/^run_[0-9a-f]{32}$/)
})

test('random numbers stay within their bounds', () => {
  expect(randomHex(16)).toMatch(/^[0-9a-f]{32}$/)
  for (let n = 0; n < 1_000; n++) {
    expect(randomBelow(3)).toBeLessThan(3)
    expect(randomUnit()).toBeGreaterThanOrEqual(0)
    expect(randomUnit()).toBeLessThan(1)
  }
})
