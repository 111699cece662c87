import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { errnoText } from './errno-text.ts'

function thrownBy(run: () => unknown): unknown {
  try {
    return run()
  } catch (thrown) {
    return thrown
  }
}

test('errnoText() has words for what the system says, the first of several, and the message of what it did not say', async () => {
  expect(errnoText(thrownBy(() => readFileSync('/absent/x')))).toBe('no such file or directory (ENOENT)')
  const refused = await new Promise((done) => connect(1, '127.0.0.1').once('error', done))
  expect(errnoText(refused)).toBe('connection refused (ECONNREFUSED)')
  expect(errnoText(new AggregateError([refused]))).toBe('connection refused (ECONNREFUSED)')
  expect(errnoText(Object.assign(new Error('no such role'), { code: '28000' }))).toBe('no such role (28000)')
  expect(errnoText(new Error('timeout expired'))).toBe('timeout expired')
})
