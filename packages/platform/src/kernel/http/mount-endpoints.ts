import { Readable } from 'node:stream'
import { faultText, IN_WORDS } from '@plimsoll/sdk/wire'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { countText } from '../count-text.ts'
import type { Context } from '../db/context.ts'
import { type Fault, PlimsollError, pointerOf } from '../errors.ts'
import { bodyCut } from './collect-body.ts'
import { type AnyEndpoint, isMediaType, SCOPES, type Scope, successStatus } from './endpoint.ts'
import { unstorableFaults } from './storable-text.ts'

/** Decides who calls and opens the context of the project and principal; throws when the scope is not met. */
export interface Authoriser {
  authorise(request: FastifyRequest, scope: Scope): Promise<Context>
  /** Called once the body has arrived: what `authorise` took on trust about it is checked. */
  confirm?(request: FastifyRequest): void
}

const PATH = /^\/(?:[a-z0-9._~-]+|:[a-z][a-zA-Z0-9_]*|\*)(?:\/(?:[a-zA-Z0-9._~-]+|:[a-zA-Z][a-zA-Z0-9_]*|\*))*$/
/** A misspelt parameter must not look as if it had been heard. */
const NO_QUERY = z.strictObject({})

/** Mounts endpoints. A route without a known scope, or declared twice, stops the start. */
export function mountEndpoints(app: FastifyInstance, endpoints: readonly AnyEndpoint[], authoriser: Authoriser): void {
  for (const endpoint of endpoints) {
    if (!SCOPES.includes(endpoint.scope)) {
      throw new PlimsollError(
        'internal',
        'http.no_scope',
        `Cannot start: ${endpoint.method} ${endpoint.path} declares no scope`,
      )
    }
    if (endpoint.response === undefined) {
      throw new PlimsollError(
        'internal',
        'http.no_response',
        `Cannot start: ${endpoint.method} ${endpoint.path} declares no answer`,
      )
    }
    if (!PATH.test(endpoint.path))
      throw new PlimsollError('internal', 'http.bad_path', `Cannot start: ${endpoint.path} is no path of an endpoint`)
    if (endpoint.bodyKind === 'stream') {
      // A scope of its own, whose only parser hands the body on as it arrives.
      void app.register(async (inner) => {
        inner.removeAllContentTypeParsers()
        inner.addContentTypeParser('*', (request, payload, done) =>
          done(null, cappedStream(payload, request.routeOptions.bodyLimit)),
        )
        mountOne(inner, endpoint, authoriser)
      })
    } else mountOne(app, endpoint, authoriser)
  }
}

function tooLarge(limitBytes: number): PlimsollError {
  return new PlimsollError('too_large', 'http.body_too_large', `The body is larger than ${limitBytes} bytes`)
}

/** A body as it arrives, counted: chunks announce no length. */
function cappedStream(source: AsyncIterable<Buffer>, limitBytes: number): Readable {
  const count = async function* () {
    let total = 0
    try {
      for await (const chunk of source) {
        total += chunk.length
        if (total > limitBytes) throw tooLarge(limitBytes)
        yield chunk
      }
    } catch (error) {
      throw bodyCut(error)
    }
  }
  return Readable.from(count(), { objectMode: false })
}

const contexts = new WeakMap<FastifyRequest, Context>()

function mountOne(app: FastifyInstance, endpoint: AnyEndpoint, authoriser: Authoriser): void {
  app.route({
    method: endpoint.method,
    url: endpoint.path,
    // The answer to HEAD is made and not sent: of a file that would be reading it for nothing.
    exposeHeadRoute: endpoint.response !== 'application/octet-stream',
    ...(endpoint.bodyLimitBytes === undefined ? {} : { bodyLimit: endpoint.bodyLimitBytes }),
    // Before the body is read: who may not call costs us no parsing.
    onRequest: async (request) => {
      contexts.set(request, await authoriser.authorise(request, endpoint.scope))
    },
    config: {
      confirmsBody: endpoint.bodyKind !== 'stream' && authoriser.confirm !== undefined,
      ...(endpoint.bodyValuesMax === undefined ? {} : { jsonValuesMax: endpoint.bodyValuesMax }),
    },
    preValidation: async (request) => authoriser.confirm?.(request),
    handler: (request, reply) => answer(endpoint, request, reply),
  })
}

async function answer(endpoint: AnyEndpoint, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const faults: Fault[] = []
  const params = parsePart(endpoint.params, request.params, (path) => `:${path.join('.')}`, faults)
  const query = parsePart(endpoint.query ?? NO_QUERY, request.query, (path) => `?${path.join('.')}`, faults)
  const isStream = endpoint.bodyKind === 'stream'
  const body = isStream
    ? (request.body ?? Readable.from([]))
    : parsePart(endpoint.body, request.body ?? undefined, pointerOf, faults)
  if (faults.length > 0) {
    throw new PlimsollError(
      'invalid',
      'http.invalid_request',
      `Cannot take the request: ${countText(faults.length, 'fault')}`,
      { faults },
    )
  }
  if (isStream) {
    const limit = request.routeOptions.bodyLimit
    if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit)
    request.body = body
  }
  const ctx = contexts.get(request)
  if (ctx === undefined) throw new PlimsollError('internal', 'http.no_context', 'A route ran without being authorised')
  reply.code(successStatus(endpoint))
  if (isMediaType(endpoint.response)) reply.type(endpoint.response)
  const result: unknown = await endpoint.handler({ ctx, params, query, body, request, reply } as never) // the schemas above made the types true
  if (reply.sent || result === reply) return reply
  return shape(endpoint, result)
}

function parsePart(
  schema: z.ZodType | undefined,
  value: unknown,
  pointer: (path: PropertyKey[]) => string,
  faults: Fault[],
): unknown {
  if (schema === undefined) return undefined
  const unstorable = unstorableFaults(value, pointer)
  if (unstorable.length > 0) {
    faults.push(...unstorable)
    return undefined
  }
  const parsed = schema.safeParse(value, IN_WORDS)
  if (parsed.success) return parsed.data
  faults.push(
    ...flatten(parsed.error.issues).map((issue) => ({ pointer: pointer(issue.path), detail: faultText(issue) })),
  )
  return undefined
}

/** Issues of a union are inside it: the branch that got furthest says most. */
function flatten(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
    const depth = (branch: readonly z.core.$ZodIssue[]) => Math.max(0, ...branch.map((inner) => inner.path.length))
    const best = issue.errors.reduce((left, right) => (depth(right) > depth(left) ? right : left))
    return depth(best) === 0
      ? [issue]
      : flatten(best).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
  })
}

function shape(endpoint: AnyEndpoint, result: unknown): unknown {
  const { response } = endpoint
  if (typeof response === 'string') {
    if (result === undefined && response === 'nothing') return null
    throw brokenContract(endpoint, `it answers ${response}, and returned something else`)
  }
  const shaped = response.safeParse(result)
  if (shaped.success) return shaped.data
  const where = shaped.error.issues.slice(0, 5).map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`)
  throw brokenContract(endpoint, where.join('; '))
}

function brokenContract(endpoint: AnyEndpoint, why: string): PlimsollError {
  return new PlimsollError(
    'internal',
    'http.response_mismatch',
    `${endpoint.method} ${endpoint.path} broke its contract: ${why}`,
  )
}
