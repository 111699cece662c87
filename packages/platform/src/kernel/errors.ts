/** Every failure that a caller may see, its HTTP status, and whether the same request may succeed later. */
export const ERROR_KINDS = {
  invalid: { status: 400, retry: false },
  unauthenticated: { status: 401, retry: false },
  forbidden: { status: 403, retry: false },
  not_found: { status: 404, retry: false },
  method: { status: 405, retry: false },
  conflict: { status: 409, retry: false },
  precondition: { status: 412, retry: false },
  exhausted: { status: 429, retry: true },
  full: { status: 507, retry: true },
  too_large: { status: 413, retry: false },
  overloaded: { status: 503, retry: true },
  deadline: { status: 504, retry: true },
  unsupported: { status: 501, retry: false },
  media_type: { status: 415, retry: false },
  unavailable: { status: 503, retry: true },
  internal: { status: 500, retry: false },
} as const

export type ErrorKind = keyof typeof ERROR_KINDS

/** One fault in an input: `pointer` is an RFC 6901 JSON pointer into the body, or `?name` for a query parameter. */
export interface Fault {
  pointer: string
  detail: string
}

/** A member's name as a JSON pointer has it. */
export function escapePointer(part: PropertyKey): string {
  return String(part).replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The JSON pointer of a path; empty for the whole. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${escapePointer(part)}`).join('')
}

export interface ErrorDetails {
  readonly [key: string]: unknown
  readonly faults?: readonly Fault[]
  /** What the caller may do next, as one sentence or command. */
  readonly action?: string
  readonly retryAfterMs?: number
}

/**
 * The one error of the house. `message` starts with a capital, has no full stop, names the action and the value.
 * `code` is stable and has the form `domain.reason`.
 */
export class PlimsollError extends Error {
  readonly kind: ErrorKind
  readonly code: string
  readonly details: ErrorDetails

  constructor(kind: ErrorKind, code: string, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'PlimsollError'
    this.kind = kind
    this.code = code
    this.details = details
  }
}

/** True for a house error, also one made by a second loaded copy of this module. */
export function isPlimsollError(thrown: unknown): thrown is PlimsollError {
  if (!(thrown instanceof Error)) return false
  const { kind, code } = thrown as { kind?: unknown; code?: unknown } // shape check: two copies break instanceof
  return typeof kind === 'string' && kind in ERROR_KINDS && typeof code === 'string' && code.includes('.')
}

const DAMAGED: [ErrorKind, string, string, string] = [
  'internal',
  'db.damaged',
  'The database found damaged data in its files',
  'Stop the platform, put a copy of its data back, and see docs/guide/operating.md',
]

/** By SQLSTATE: kind, code, message and, where there is one, what to do. */
const DATABASE_STATES: Record<string, [ErrorKind, string, string, string?]> = {
  '23505': ['conflict', 'db.duplicate', 'Cannot store the row: it exists already'],
  '23503': ['conflict', 'db.reference_missing', 'Cannot store the row: something that it refers to does not exist'],
  '40001': ['unavailable', 'db.serialization', 'The transaction collided with another one'],
  '40P01': ['unavailable', 'db.deadlock', 'The transaction collided with another one'],
  '57014': ['deadline', 'db.statement_timeout', 'The database query took too long'],
  '22003': ['invalid', 'db.out_of_range', 'Cannot store a number of the request: it is too large'],
  '22021': ['invalid', 'db.unstorable_text', 'Cannot store a text of the request: it holds a NUL character'],
  '22P05': ['invalid', 'db.unstorable_text', 'Cannot store a text of the request: it holds a NUL character'],
  '55P03': ['unavailable', 'db.locked', 'The database holds a lock for somebody else'],
  '53300': ['unavailable', 'db.too_many_connections', 'The database takes no more connections'],
  '53100': ['full', 'db.disk_full', 'The database has no disk space left'],
  XX001: DAMAGED, // data_corrupted
  XX002: DAMAGED, // index_corrupted
}

/** The one funnel: turns anything thrown into a house error. Unknown faults become `internal`, whose text no surface shows. */
export function toPlimsollError(thrown: unknown): PlimsollError {
  if (isPlimsollError(thrown)) return thrown
  const code = (thrown as { code?: unknown } | null)?.code
  if (typeof code === 'string') {
    const known = DATABASE_STATES[code]
    if (known) return new PlimsollError(known[0], known[1], known[2], known[3] ? { action: known[3] } : {}, thrown)
    if (code.startsWith('57P0') || code === 'ECONNREFUSED' || code === 'ECONNRESET') {
      return new PlimsollError('unavailable', 'db.unavailable', 'The database does not answer', {}, thrown)
    }
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      return new PlimsollError(
        'full',
        'disk.full',
        'No disk space is left',
        { action: 'Free disk space and try again' },
        thrown,
      )
    }
  }
  return new PlimsollError(
    'internal',
    'internal.unexpected',
    thrown instanceof Error ? thrown.message : String(thrown),
    {},
    thrown,
  )
}

/** Throws one `invalid` error that lists every fault; does nothing when there is none. */
export function refuseFaults(code: string, message: string, faults: readonly Fault[]): void {
  if (faults.length > 0) throw new PlimsollError('invalid', code, message, { faults })
}
