import type { PlimsollError } from '../../kernel/errors.ts'

const STATUS = {
  INVALID_PARAMETER_VALUE: 400,
  BAD_REQUEST: 405, // as MLflow answers to a method; what is bad otherwise has a code of its own
  RESOURCE_ALREADY_EXISTS: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  RESOURCE_DOES_NOT_EXIST: 404,
  ENDPOINT_NOT_FOUND: 404,
  RESOURCE_CONFLICT: 409,
  REQUEST_LIMIT_EXCEEDED: 429,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL_ERROR: 500,
  NOT_IMPLEMENTED: 501,
  TEMPORARILY_UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
} as const
export type MlflowErrorCode = keyof typeof STATUS

/** Codes of ours whose name on this surface does not follow from their kind. */
const BY_CODE: Readonly<Record<string, MlflowErrorCode>> = {
  'tracking.experiment_exists': 'RESOURCE_ALREADY_EXISTS',
  'tracking.run_exists': 'RESOURCE_ALREADY_EXISTS',
  'registry.model_exists': 'RESOURCE_ALREADY_EXISTS',
  'registry.alias_not_found': 'INVALID_PARAMETER_VALUE',
  'registry.source_not_remote': 'INTERNAL_ERROR',
}

const BY_KIND: Readonly<Record<PlimsollError['kind'], MlflowErrorCode>> = {
  invalid: 'INVALID_PARAMETER_VALUE',
  unauthenticated: 'UNAUTHENTICATED',
  forbidden: 'PERMISSION_DENIED',
  not_found: 'RESOURCE_DOES_NOT_EXIST',
  method: 'BAD_REQUEST',
  conflict: 'RESOURCE_CONFLICT',
  precondition: 'INVALID_PARAMETER_VALUE',
  exhausted: 'RESOURCE_EXHAUSTED',
  full: 'RESOURCE_EXHAUSTED',
  too_large: 'INVALID_PARAMETER_VALUE',
  // 429 is the one status that every client retries and whose text it keeps
  overloaded: 'REQUEST_LIMIT_EXCEEDED',
  deadline: 'DEADLINE_EXCEEDED',
  unsupported: 'NOT_IMPLEMENTED',
  media_type: 'INVALID_PARAMETER_VALUE',
  unavailable: 'TEMPORARILY_UNAVAILABLE',
  internal: 'INTERNAL_ERROR',
}

export interface MlflowReply {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

export function errorReply(code: MlflowErrorCode, message: string): MlflowReply {
  return { status: STATUS[code], body: JSON.stringify({ error_code: code, message }), headers: {} }
}

/** The renderer of this surface. The text of an internal fault stays inside: the reply names the request id only. */
export function renderError(error: PlimsollError, requestId: string): MlflowReply {
  const code = BY_CODE[error.code] ?? BY_KIND[error.kind]
  const hidden = error.kind === 'internal' && BY_CODE[error.code] === undefined
  const reply = errorReply(code, hidden ? `Internal error, request ${requestId}` : error.message)
  if (typeof error.details['allow'] === 'string') return { ...reply, headers: { allow: error.details['allow'] } }
  const waitMs = error.details.retryAfterMs ?? (reply.status === 429 || reply.status === 503 ? 1_000 : undefined)
  return waitMs === undefined ? reply : { ...reply, headers: { 'retry-after': String(Math.ceil(waitMs / 1_000)) } }
}
