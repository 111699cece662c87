import type { IncomingMessage } from 'node:http'
import { PlimsollError } from '../../kernel/errors.ts'

/** Answered with status 405 and an `Allow` header. */
export class MethodRefused extends PlimsollError {
  readonly allow: string

  constructor(method: string, allow: string) {
    super('invalid', 'serving.method', `Cannot use ${method} here: expected ${allow}`)
    this.allow = allow
  }
}

/** HEAD passes where GET does. @throws invalid serving.method */
export function demandMethod(request: IncomingMessage, method: 'GET' | 'POST'): void {
  const given = request.method ?? ''
  if (given !== method && !(method === 'GET' && given === 'HEAD')) {
    throw new MethodRefused(given.slice(0, 20), method === 'GET' ? 'GET, HEAD' : method)
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
