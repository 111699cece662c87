/** One request of a table. What is not given is what a well-behaved client would send. */
export interface HostileInput {
  readonly to?: 'api' | 'gateway'
  readonly method?: string
  readonly target?: string
  /** Header lines. `host`, `authorization` and `content-length` are added unless a line of that name is here. */
  readonly headers?: readonly string[]
  readonly body?: string | Uint8Array
  /** Sent as it is instead of all of the above, part after part; `{host}` stands for the server's own name and port. */
  readonly raw?: readonly (string | Uint8Array)[]
  /** Sends the request but for its last byte, and waits. */
  readonly isStalled?: boolean
}

export interface Expectation {
  readonly status: number | readonly number[]
  readonly code?: string | readonly string[]
  /** Where the error does not have the shape of the surface that was asked. */
  readonly rendering?: 'problem'
  /** Another bound than the usual one, for what is meant to wait. */
  readonly withinMs?: number
}

export interface HostileCase {
  readonly name: string
  readonly input: HostileInput
  readonly expect: Expectation
}

/** Text of a JSON body that JavaScript would not write: duplicate keys, numbers beyond all numbers, lone surrogates. */
export function rawJson(text: string): Pick<HostileInput, 'headers' | 'body'> {
  return { headers: ['content-type: application/json'], body: text }
}

export function json(value: unknown): Pick<HostileInput, 'headers' | 'body'> {
  return rawJson(JSON.stringify(value))
}

/** Sets members of Object.prototype that every error would show, were they ever merged into it. */
export const POLLUTION = '{"action":"polluted","retryAfterMs":987654000,"hostile":"polluted"}'

/** Spellings of a path parameter that no name has, with the answers that are right for them. */
export const BAD_PARAMETERS: readonly (readonly [name: string, text: string, expect: Expectation])[] = [
  ['an encoded NUL', 'a%00b', { status: 400, code: 'http.invalid_request' }],
  ['a traversal, encoded', '..%2f..%2fetc%2fpasswd', { status: [400, 404] }],
  ['a traversal, encoded twice', '%252e%252e%252fetc', { status: [400, 404] }],
  ['a traversal of Windows', '..%5c..%5cwindows', { status: [400, 404] }],
  ['what cannot be decoded', '%zz', { status: 400, code: 'http.bad_url' }],
  ['an overlong encoding', '%c0%ae%c0%ae', { status: 400, code: 'http.bad_url' }],
  ['half of a surrogate pair', '%ed%a0%80', { status: 400, code: 'http.bad_url' }],
  ['2,000 characters', 'a'.repeat(2_000), { status: 413, code: 'http.param_too_long' }],
  ['the name of the prototype', '__proto__', { status: [400, 404] }],
  ['a constructor', 'constructor', { status: [200, 400, 404, 412] }],
  ['a bidi override', 'a%E2%80%AEb', { status: [200, 400, 404] }],
  ['SQL', "'%20or%201=1--", { status: [400, 404] }],
  ['a number beyond int32', '2147483648', { status: [200, 400, 404] }],
  ['a number beyond int64', '9223372036854775808', { status: [200, 400, 404] }],
  ['a negative number', '-1', { status: [200, 400, 404] }],
  ['not a number', 'NaN', { status: [200, 400, 404] }],
  ['a blank', '%20', { status: [400, 404] }],
  ['markup', '%3Cimg%20src=x%20onerror=alert(1)%3E', { status: [400, 404] }],
  ['a line break', 'a%0d%0aset-cookie:%20x=1', { status: [400, 404] }],
]
