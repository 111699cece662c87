import { expect, test } from 'vitest'
import { manualClock, nowIso, realClock, replayClock } from './clock.ts'

test('replayClock() starts at its origin and runs at its rate, and its durations stay real', () => {
  const base = manualClock(5_000_000)
  const clock = replayClock({ originMs: 1_000, startedAtMs: 5_000_000, rate: 60 }, base)
  expect(clock.nowMs()).toBe(1_000)
  base.advance(1_000)
  expect(clock.nowMs()).toBe(61_000)
  expect(clock.nowUs()).toBe(61_000_000n)
  expect(nowIso(clock)).toBe('1970-01-01T00:01:01.000Z')
  expect(clock.monotonicMs()).toBe(base.monotonicMs())
})

test('two replay clocks with the same settings agree, whenever they are made', () => {
  const base = manualClock(1_000)
  const settings = { originMs: 0, startedAtMs: 1_000, rate: 100 }
  const first = replayClock(settings, base)
  base.advance(12_345)
  expect(replayClock(settings, base).nowMs()).toBe(first.nowMs())
})

test('a replay clock of rate 0 stands still', () => {
  const base = manualClock(1_000)
  const clock = replayClock({ originMs: 77, startedAtMs: 1_000, rate: 0 }, base)
  base.advance(1_000_000)
  expect(clock.nowMs()).toBe(77)
})

test('manualClock() wakes sleepers whose time has come, in any order of sleeping', async () => {
  const clock = manualClock(0)
  const woken: number[] = []
  const sleeps = [30, 10, 20].map((ms) => clock.sleep(ms).then(() => woken.push(ms)))
  clock.advance(20)
  await Promise.all([sleeps[1], sleeps[2]])
  expect(woken.sort()).toEqual([10, 20])
  clock.advance(10)
  await Promise.all(sleeps)
  expect(woken).toHaveLength(3)
})

test('sleep() rejects with the reason of its signal, before and during', async () => {
  for (const clock of [realClock, manualClock()]) {
    const abort = new AbortController()
    const sleeping = clock.sleep(3_600_000, abort.signal)
    abort.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
  }
  await expect(realClock.sleep(3_600_000, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
})

test('realClock: microseconds agree with milliseconds, and monotonic time does not go back', () => {
  expect(Math.abs(Number(realClock.nowUs() / 1000n) - realClock.nowMs())).toBeLessThan(1_000)
  const first = realClock.monotonicMs()
  expect(realClock.monotonicMs()).toBeGreaterThanOrEqual(first)
})
