import type { Role } from '@plimsoll/sdk/wire'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Context } from '../db/context.ts'

/** What a caller must hold: a role on the project, `public` (no identity), `named` (a named principal with that role), a run's own token, a role on all projects (`platform`: to look), or the operator's: what spans projects. */
export type Scope = 'public' | Role | `named:${Role}` | 'run' | 'platform' | 'operator'

export const SCOPES: readonly Scope[] = [
  'public',
  'run',
  'platform',
  'operator',
  'viewer',
  'editor',
  'approver',
  'admin',
  'named:viewer',
  'named:editor',
  'named:approver',
  'named:admin',
]

/** What success answers: JSON of a shape, a body of a media type that the handler writes itself, or nothing (204). */
export type Answer = z.ZodType | `${string}/${string}` | 'nothing'

type Infer<S> = S extends z.ZodType ? z.output<S> : undefined

/**
 * One HTTP operation: its contract, its scope and its handler. Domains export a list named `endpoints`. A path has the
 * form `/api/v1/runs/:run`; the project comes from the header `X-Plimsoll-Project`, `default` when absent.
 */
export interface Endpoint<
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly scope: Scope
  readonly summary: string
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  readonly response: Answer
  /** Status of success: 204 where the answer is `nothing`, 200 otherwise, unless said. */
  readonly status?: number
  readonly bodyLimitBytes?: number
  /** Values that its JSON may hold, where those of all endpoints are too few. */
  readonly bodyValuesMax?: number
  /** `stream`: the body is not parsed; `request.body` is a `Readable` that ends with an error beyond the limit. */
  readonly bodyKind?: 'json' | 'stream'
  handler(call: {
    ctx: Context
    params: Infer<P>
    query: Infer<Q>
    body: Infer<B>
    request: FastifyRequest
    reply: FastifyReply
  }): Promise<unknown>
}

// biome-ignore lint/suspicious/noExplicitAny: the list of all endpoints forgets each one's schemas
export type AnyEndpoint = Endpoint<any, any, any>

/** Declares an endpoint; the identity function, for inference. */
export function endpoint<
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(declared: Endpoint<P, Q, B>): AnyEndpoint {
  return declared
}

/** The status with which an endpoint answers when it succeeds. */
export function successStatus({ status, response }: AnyEndpoint): number {
  return status ?? (response === 'nothing' ? 204 : 200)
}

/** Whether the handler writes a body of this type itself. */
export function isMediaType(response: Answer): response is `${string}/${string}` {
  return typeof response === 'string' && response !== 'nothing'
}
