import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../kernel/db/index.ts'
import type { Fields, Parsed } from './fields.ts'

export const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
export type Method = (typeof METHODS)[number]

export const ACCESSES = ['read', 'write'] as const

export interface MlflowCall<F extends Fields> {
  readonly ctx: Context
  readonly fields: Parsed<F>
  /** Decoded `:name` segments of the path. */
  readonly path: Readonly<Record<string, string>>
  /** What `*` stood for, still percent-encoded: the client's own spelling. */
  readonly rest: string
  /** The unread body of an endpoint with `body: 'stream'`. */
  readonly stream: IncomingMessage
  readonly request: FastifyRequest
}

/** A reply that is not JSON. `send` owns the reply and ends it. */
export class RawReply {
  readonly send: (reply: FastifyReply) => Promise<void> | void
  constructor(send: (reply: FastifyReply) => Promise<void> | void) {
    this.send = send
  }
}

/** For requests whose legal texts, escaped as `\uXXXX`, are longer than what every request may have. */
export const LONG_BODY_MAX_BYTES = 8_000_000

export interface MlflowEndpoint<F extends Fields = Fields> {
  readonly method: Method
  /** Below `/api/2.0`, for example `/mlflow/logged-models/:model_id` or `/mlflow-artifacts/artifacts/*`. */
  readonly path: string
  /** A viewer may read, an editor may write. */
  readonly access: (typeof ACCESSES)[number]
  readonly fields: F
  /** A create: its reply is kept when the caller was cut off before it. */
  readonly replay?: boolean
  readonly body?: 'json' | 'stream'
  readonly bodyMaxBytes?: number
  /** Returns the JSON object of the reply, or a `RawReply`. */
  handler(call: MlflowCall<F>): Promise<object>
}

/** Declares an endpoint of the MLflow surface; the identity function, for inference. */
export function mlflowEndpoint<F extends Fields>(declared: MlflowEndpoint<F>): MlflowEndpoint {
  return declared as unknown as MlflowEndpoint // the list of all endpoints forgets each one's fields
}

export interface Match {
  readonly endpoint: MlflowEndpoint
  readonly path: Readonly<Record<string, string>>
  readonly rest: string
}

interface Pattern {
  readonly segments: readonly string[]
  readonly endpoints: Map<Method, MlflowEndpoint>
}

/**
 * Matches the raw request target, so that no layer between folds `..` or decodes twice. Returns the methods that the
 * path has when this is none of them.
 */
export function openRouter(endpoints: readonly MlflowEndpoint[]) {
  const literal = new Map<string, Map<Method, MlflowEndpoint>>()
  const patterns: Pattern[] = []
  for (const endpoint of endpoints) {
    const segments = endpoint.path.split('/')
    if (!segments.some((segment) => segment.startsWith(':') || segment === '*')) {
      const byMethod = literal.get(endpoint.path) ?? new Map<Method, MlflowEndpoint>()
      literal.set(endpoint.path, byMethod.set(endpoint.method, endpoint))
      continue
    }
    const known = patterns.find((pattern) => pattern.segments.join('/') === endpoint.path)
    if (known) known.endpoints.set(endpoint.method, endpoint)
    else patterns.push({ segments, endpoints: new Map([[endpoint.method, endpoint]]) })
  }
  return (method: string, rawPath: string): Match | readonly Method[] => {
    const exact = literal.get(rawPath)
    if (exact) {
      const endpoint = exact.get(method as Method)
      return endpoint ? { endpoint, path: {}, rest: '' } : [...exact.keys()]
    }
    const others = new Set<Method>()
    for (const pattern of patterns) {
      const found = matchPattern(pattern.segments, rawPath)
      if (!found) continue
      const endpoint = pattern.endpoints.get(method as Method)
      if (endpoint) return { endpoint, ...found }
      for (const other of pattern.endpoints.keys()) others.add(other)
    }
    return [...others]
  }
}
export type Router = ReturnType<typeof openRouter>

function matchPattern(segments: readonly string[], rawPath: string): Omit<Match, 'endpoint'> | undefined {
  const given = rawPath.split('/')
  const path: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    if (segment === '*') return { path, rest: given.slice(index).join('/') }
    const actual = given[index]
    if (actual === undefined) return undefined
    if (segment.startsWith(':')) {
      if (actual === '') return undefined
      try {
        path[segment.slice(1)] = decodeURIComponent(actual)
      } catch {
        return undefined
      }
    } else if (segment !== actual) return undefined
  }
  return given.length === segments.length ? { path, rest: '' } : undefined
}
