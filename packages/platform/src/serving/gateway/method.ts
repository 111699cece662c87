import type { IncomingMessage } from 'node:http'
import { PlimsollError } from '../../kernel/errors.ts'

/** HEAD passes where GET does. @throws method serving.method */
export function demandMethod(request: IncomingMessage, method: 'GET' | 'POST'): void {
  const given = request.method ?? ''
  if (given !== method && !(method === 'GET' && given === 'HEAD')) {
    const allow = method === 'GET' ? 'GET, HEAD' : method
    const text = `Cannot use ${given.slice(0, 20)} here: expected ${allow}`
    throw new PlimsollError('method', 'serving.method', text, { allow })
  }
}

/** HTTP has the one expectation 100-continue, which Node has met. @throws invalid serving.bad_expectation */
export function demandKnownExpectation({ headers }: IncomingMessage): void {
  const { expect } = headers
  if (expect === undefined || expect.trim() === '' || /(?:^|\W)100-continue(?:$|\W)/i.test(expect)) return
  throw new PlimsollError(
    'invalid',
    'serving.bad_expectation',
    `Cannot meet the expectation "${expect.slice(0, 60)}": only 100-continue is supported`,
  )
}
