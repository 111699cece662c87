import { randomHex } from '../ids.ts'

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$/
const VERSION_0_LENGTH = 55
const ZEROS = /^0+$/

function parseTraceParent(header: string): string | undefined {
  const [, version, traceId, spanId] = FORM.exec(header) ?? []
  if (version === undefined || traceId === undefined || spanId === undefined || version === 'ff') return undefined
  if (version === '00' && header.length !== VERSION_0_LENGTH) return undefined
  return ZEROS.test(traceId) || ZEROS.test(spanId) ? undefined : traceId
}

/**
 * The trace that a request belongs to, by its `traceparent` header: the one that it continues, a new one where the header is
 * not valid, and none without it.
 * @source W3C Trace Context, level 1
 */
export function traceIdOf(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  return (typeof header === 'string' ? parseTraceParent(header) : undefined) ?? randomHex(16)
}
