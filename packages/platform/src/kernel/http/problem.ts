import type { FastifyError } from 'fastify'
import { countText } from '../count-text.ts'
import { ERROR_KINDS, type ErrorKind, type Fault, isPlimsollError, PlimsollError, toPlimsollError } from '../errors.ts'

/** RFC 9457 problem details, with the house's code, every fault, and what to do next. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  instance: string
  code: string
  errors?: readonly { pointer: string; detail: string }[]
  action?: string
  retry_after_ms?: number
  /** What the error's details carry beyond the standard members. */
  details?: Record<string, unknown>
}

export const TITLES: Record<ErrorKind, string> = {
  invalid: 'The request is not valid',
  unauthenticated: 'A login is needed',
  forbidden: 'This is not allowed',
  not_found: 'There is no such thing',
  method: 'This method is not allowed here',
  conflict: 'This collides with what exists',
  precondition: 'The state is not the expected one',
  exhausted: 'A quota is spent',
  full: 'Storage is full',
  too_large: 'The request is too large',
  overloaded: 'Too much is going on',
  deadline: 'Time ran out',
  unsupported: 'This is not supported',
  media_type: 'This media type is not supported',
  unavailable: 'This is not available now',
  internal: 'Something is wrong on our side',
}

const FAULTS_MAX = 100
/** Characters of a text of a problem: what a caller sent may be part of it. */
const TEXT_CHARS_MAX = 2_000
const FAULT_CHARS_MAX = 500

/** The beginning of a text, and how much of it is left out. */
export function clipText(text: string, charsMax = TEXT_CHARS_MAX): string {
  if (text.length <= charsMax) return text
  return `${text.slice(0, charsMax).toWellFormed()}… (${text.length - charsMax} more characters)`
}

/** The first faults, clipped; the last entry says how many more there are. */
export function shownFaults(faults: readonly Fault[]): Fault[] {
  const shown = faults.slice(0, FAULTS_MAX).map(({ pointer, detail }) => ({
    pointer: clipText(pointer, FAULT_CHARS_MAX),
    detail: clipText(detail, FAULT_CHARS_MAX),
  }))
  const more = faults.length - shown.length
  return more > 0 ? [...shown, { pointer: '', detail: `and ${countText(more, 'more fault')}` }] : shown
}

/** A detail of an error as a problem shows it: texts and lists may be a caller's. */
function clipDetail(value: unknown): unknown {
  if (typeof value === 'string') return clipText(value)
  return Array.isArray(value) ? value.slice(0, FAULTS_MAX).map(clipDetail) : value
}

/** Faults of Fastify itself, by its code. */
const FASTIFY_KINDS: Record<string, [ErrorKind, string, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'http.body_too_large', 'The body is larger than this endpoint takes'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'media_type',
    'http.media_type',
    'The body has a media type that this endpoint does not take',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid', 'http.body_empty', 'The body is empty: expected JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid', 'http.bad_json', 'The body is not valid JSON'],
  FST_ERR_BAD_URL: ['invalid', 'http.bad_url', 'The URL cannot be decoded'],
  FST_ERR_MAX_PARAM_LENGTH: ['too_large', 'http.param_too_long', 'A part of the path is too long'],
}

/** The funnel of HTTP: house errors pass, those of the framework and of the JSON parser get a kind, the rest is `internal`. */
export function toHttpError(thrown: unknown): PlimsollError {
  if (isPlimsollError(thrown)) return thrown
  const fault = thrown as Partial<FastifyError> | null
  const known = typeof fault?.code === 'string' ? FASTIFY_KINDS[fault.code] : undefined
  if (known) return new PlimsollError(known[0], known[1], known[2], {}, thrown)
  if (fault?.statusCode === 400 && thrown instanceof SyntaxError) {
    return new PlimsollError(
      'invalid',
      'http.bad_json',
      'The body is not valid JSON, or names __proto__ or constructor',
      {},
      thrown,
    )
  }
  if (
    typeof fault?.code === 'string' &&
    fault.code.startsWith('FST_') &&
    fault.statusCode !== undefined &&
    fault.statusCode < 500
  ) {
    return new PlimsollError('invalid', 'http.bad_request', 'The request cannot be read', {}, thrown)
  }
  return toPlimsollError(thrown)
}

/** An internal error shows nothing but the request id, unless it says what the reader may do. */
export function problemOf(error: PlimsollError, requestId: string): Problem {
  const { status } = ERROR_KINDS[error.kind]
  const title = TITLES[error.kind]
  if (error.kind === 'internal' && error.details.action === undefined) {
    return {
      type: '/docs/errors#internal.unexpected',
      title,
      status,
      detail: `The request failed on our side; the log has it under ${requestId}`,
      instance: requestId,
      code: 'internal.unexpected',
    }
  }
  const { faults, action, retryAfterMs, ...rest } = error.details
  const shown = shownFaults(faults ?? [])
  return {
    type: `/docs/errors#${error.code}`,
    title,
    status,
    detail: clipText(error.message),
    instance: requestId,
    code: error.code,
    ...(shown.length > 0 ? { errors: shown } : {}),
    ...(action === undefined ? {} : { action: clipText(action) }),
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    ...(Object.keys(rest).length > 0
      ? { details: Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, clipDetail(value)])) }
      : {}),
  }
}

/** Headers that belong to an error's answer. */
export function errorHeaders(error: PlimsollError): Record<string, string> {
  if (error.kind === 'unauthenticated') return { 'www-authenticate': 'Bearer realm="plimsoll"' }
  if (typeof error.details['allow'] === 'string') return { allow: error.details['allow'] }
  const retryMs =
    error.details.retryAfterMs ?? (error.kind === 'overloaded' || error.kind === 'unavailable' ? 1_000 : undefined)
  return retryMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryMs / 1_000))) }
}
