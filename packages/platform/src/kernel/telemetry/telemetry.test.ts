import { expect, test } from 'vitest'
import { openMetrics, traceIdOf } from './index.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

test('traceIdOf() is that of the example of the recommendation', () => {
  expect(traceIdOf(`00-${TRACE}-${SPAN}-01`)).toBe(TRACE)
  expect(traceIdOf(`00-${TRACE}-${SPAN}-00`)).toBe(TRACE)
})

test.each([
  '',
  `ff-${TRACE}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01-more`,
  `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01\r\nx: y`,
])('traceIdOf() begins anew for %j', (header) => {
  const [first, second] = [traceIdOf(header), traceIdOf(header)]
  expect([first, second]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^[0-9a-f]{32}$/)])
  expect(new Set([first, second, TRACE, '0'.repeat(32)]).size).toBe(4)
})

test('traceIdOf() reads a later version that has more fields, and knows of no trace without a header', () => {
  expect(traceIdOf(`01-${TRACE}-${SPAN}-00-more`)).toBe(TRACE)
  expect(traceIdOf(undefined)).toBeUndefined()
})

test('openMetrics() bounds the series of requests', async () => {
  const metrics = openMetrics('test')
  for (let index = 0; index < 3_000; index++)
    metrics.answered({ method: 'GET', route: `/r${index}`, status: 200, durationMs: 1 })
  const text = await metrics.text()
  expect(text.match(/plimsoll_http_request_duration_seconds_count/g)).toHaveLength(2_000)
})
