import { expect, test } from 'vitest'
import { runLimitMs } from './dispatcher.ts'

test('runLimitMs() gives a run the time in which somebody wants it, and far more than it should take', () => {
  const timeoutMs = 30_000
  expect(runLimitMs({ estimateMs: 2, wantedMs: 50, timeoutMs })).toBe(5_050)
  expect(runLimitMs({ estimateMs: 900, wantedMs: 50, timeoutMs })).toBe(14_000)
  expect(runLimitMs({ estimateMs: 2, wantedMs: 60_000, timeoutMs })).toBe(30_000)
  expect(runLimitMs({ estimateMs: 9_000, wantedMs: 0, timeoutMs })).toBe(30_000)
})
