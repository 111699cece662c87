import { expect, test } from 'vitest'
import { openRecentLatency } from './recent-latency.ts'

function openAt(startMs: number) {
  let nowMs = startMs
  const latency = openRecentLatency({ monotonicMs: () => nowMs })
  return { latency, advance: (ms: number) => (nowMs += ms) }
}

test('read() gives nearest-rank percentiles of each route', () => {
  const { latency } = openAt(0)
  for (let n = 100; n >= 1; n--) latency.observe('delay', n)
  latency.observe('other', 7)
  expect(latency.read()).toEqual({
    delay: { answers: 100, p50Ms: 50, p99Ms: 99 },
    other: { answers: 1, p50Ms: 7, p99Ms: 7 },
  })
})

test('read() holds the newest 1,024 answers of the last minute, and forgets a route at rest', () => {
  const { latency, advance } = openAt(0)
  for (let n = 0; n < 2_000; n++) latency.observe('delay', n < 976 ? 1_000 : 2)
  expect(latency.read()).toEqual({ delay: { answers: 1_024, p50Ms: 2, p99Ms: 2 } })
  advance(59_000)
  latency.observe('delay', 5)
  expect(latency.read()['delay']).toMatchObject({ answers: 1_024, p99Ms: 2 })
  advance(2_000)
  expect(latency.read()).toEqual({ delay: { answers: 1, p50Ms: 5, p99Ms: 5 } })
  advance(60_000)
  expect(latency.read()).toEqual({})
})
