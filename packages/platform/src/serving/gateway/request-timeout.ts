import type { IncomingHttpHeaders } from 'node:http'
import { PlimsollError } from '../../kernel/errors.ts'

/** The first that is sent counts. */
const HEADERS = ['X-Request-Timeout-Ms', 'X-Envoy-Expected-Rq-Timeout-Ms'] as const
const NAMES = HEADERS.map((header) => header.toLowerCase())
const TIMEOUT_MS_MAX = 2_147_483_647

/**
 * The time in which the client wants its answer; undefined when it does not say.
 * @throws invalid serving.bad_timeout
 */
export function readTimeoutMs(headers: IncomingHttpHeaders): number | undefined {
  const index = NAMES.findIndex((name) => headers[name] !== undefined)
  if (index < 0) return undefined
  const text = String(headers[NAMES[index]!])
  const ms = Number(text)
  if (ms > 0 && ms <= TIMEOUT_MS_MAX) return ms
  throw new PlimsollError(
    'invalid',
    'serving.bad_timeout',
    `Cannot read the request: ${HEADERS[index]} is "${text.slice(0, 40)}", expected milliseconds above 0 and at most ${TIMEOUT_MS_MAX}`,
  )
}
