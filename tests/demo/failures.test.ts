import { expect, test } from 'vitest'
import { failureName } from '../../examples/flight-delay/src/failure-name.ts'
import { describeFailures } from '../../scripts/demo/failures.mjs'

test('failureName() is the status with the code, or how the connection broke', () => {
  expect(failureName({ status: 503, text: '{"code":"inference.host_died"}' })).toBe('503 inference.host_died')
  expect(failureName({ status: 502, text: '<html>' })).toBe('502')
  expect(failureName({ status: 500, text: 'null' })).toBe('500')
  expect(failureName(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))).toBe('no answer, ECONNRESET')
})

test('describeFailures() counts by status, the most frequent first, and bounds what it lists', () => {
  expect(describeFailures({})).toBe('')
  expect(describeFailures({ '504': 1, '503 inference.queue_full': 12 })).toBe('12 × 503 inference.queue_full, 1 × 504')
  const many = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`5${index}0`, 10 - index]))
  expect(describeFailures(many)).toMatch(/^10 × 500, .*5 × 550, 9 others$/)
})
