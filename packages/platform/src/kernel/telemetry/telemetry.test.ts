import { expect, test } from 'vitest'
import { childTrace, formatTraceParent, openMetrics, parseTraceParent } from './index.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

test('parseTraceParent() reads the example of the recommendation, and formatTraceParent() writes it', () => {
  const header = `00-${TRACE}-${SPAN}-01`
  expect(parseTraceParent(header)).toEqual({ traceId: TRACE, spanId: SPAN, isSampled: true })
  expect(formatTraceParent(parseTraceParent(header)!)).toBe(header)
})

test.each([
  undefined,
  '',
  `ff-${TRACE}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01-more`,
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01\r\nx: y`,
])('parseTraceParent() begins anew for %j', (header) => {
  expect(parseTraceParent(header)).toBeUndefined()
})

test('parseTraceParent() reads a later version that has more fields', () => {
  expect(parseTraceParent(`01-${TRACE}-${SPAN}-00-more`)).toMatchObject({ traceId: TRACE, isSampled: false })
})

test('childTrace() keeps the trace and takes a new span', () => {
  const parent = parseTraceParent(`00-${TRACE}-${SPAN}-01`)
  const child = childTrace(parent)
  expect(child).toMatchObject({ traceId: TRACE, isSampled: true })
  expect(child.spanId).not.toBe(SPAN)
  expect(childTrace(undefined).traceId).toMatch(/^[0-9a-f]{32}$/)
})

test('openMetrics() bounds the series of requests', async () => {
  const metrics = openMetrics('test')
  for (let index = 0; index < 3_000; index++)
    metrics.answered({ method: 'GET', route: `/r${index}`, status: 200, durationMs: 1 })
  const text = await metrics.text()
  expect(text.match(/plimsoll_http_request_seconds_count/g)).toHaveLength(2_000)
})
