import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../kernel/clock.ts'
import type { Context } from '../../kernel/db/index.ts'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { openBytes } from '../../kernel/http/collect-body.ts'
import type { Logger } from '../../kernel/log.ts'
import { traceIdOf } from '../../kernel/telemetry/index.ts'
import { refusal } from '../failure.ts'
import { ACCESSES, type Match, METHODS, type MlflowEndpoint, openRouter, RawReply, type Router } from './endpoint.ts'
import { errorReply, type MlflowReply, renderError } from './errors.ts'
import { readFields } from './fields.ts'
import { parseBody, refuseUnstorableText, sourceAt } from './json.ts'
import { openReplay, type Replay } from './replay.ts'

const BODY_MAX_BYTES = 1_000_000
/** An oversize body is read to its end up to this much more, so that the client sees the refusal and not a broken pipe. */
const DRAIN_MAX_BYTES = 64_000_000
const MLFLOW_VERSION = '3.10.0'
const PREFIXES = ['/api/2.0', '/ajax-api/2.0', '/api/3.0', '/ajax-api/3.0'] as const

export interface MlflowSurface {
  readonly endpoints: readonly MlflowEndpoint[]
  /** Identifies the caller and the project (header `X-MLFLOW-WORKSPACE`). @throws unauthenticated, forbidden */
  contextOf(request: FastifyRequest): Promise<Context>
  readonly clock: Clock
  readonly log: Logger
}

interface Shared {
  readonly surface: MlflowSurface
  readonly router: Router
  readonly replay: Replay
}

/**
 * Mounts the MLflow surface: `/api/2.0/mlflow…`, its twin below `/ajax-api`, and `/version`. It parses bodies
 * itself, validates the raw request target and renders its own errors. An endpoint without a known access stops the start.
 */
export async function registerMlflowSurface(app: FastifyInstance, surface: MlflowSurface): Promise<void> {
  for (const { access, method, path } of surface.endpoints) {
    if (!ACCESSES.includes(access))
      throw new PlimsollError('internal', 'http.no_scope', `Cannot start: ${method} ${path} declares no access`)
  }
  const shared: Shared = { surface, router: openRouter(surface.endpoints), replay: openReplay(surface.clock) }
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))
    scope.setErrorHandler((error, request, reply) => send(reply, renderError(toPlimsollError(error), request.id)))
    for (const prefix of PREFIXES) {
      scope.route({
        method: [...METHODS, 'OPTIONS', 'TRACE'],
        url: `${prefix}/*`,
        config: { takesRawBody: true },
        handler: (request, reply) => answer(shared, prefix, request, reply),
      })
    }
    scope.get('/version', async (_request, reply) => reply.type('text/plain').send(MLFLOW_VERSION))
    for (const path of ['/get-artifact', '/model-versions/get-artifact', '//model-versions/get-artifact']) {
      scope.get(path, (request, reply) => answer(shared, '', request, reply))
    }
  })
}

async function answer(shared: Shared, prefix: string, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  try {
    const result = await dispatch(shared, prefix, request, reply)
    if (result instanceof RawReply) {
      await result.send(reply)
      return reply
    }
    return send(reply, result)
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    if (error.kind === 'internal')
      shared.surface.log.error(
        { err: thrown, requestId: request.id, traceId: traceIdOf(request.headers['traceparent']) },
        'a tracking request failed',
      )
    if (reply.raw.headersSent) {
      reply.raw.destroy()
      return reply
    }
    return send(reply, renderError(error, request.id))
  }
}

function send(reply: FastifyReply, { status, body, headers }: MlflowReply): FastifyReply {
  return reply
    .code(status)
    .headers({
      ...headers,
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    .send(body)
}

async function dispatch(
  shared: Shared,
  prefix: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<MlflowReply | RawReply> {
  const target = request.raw.url ?? ''
  const cut = target.indexOf('?')
  const rawPath = (cut < 0 ? target : target.slice(0, cut)).replace(/^\/\/+/, '/').slice(prefix.length)
  const version = prefix.endsWith('3.0') ? '/v3' : ''
  const match = shared.router(request.method, `${version}${rawPath}`)
  if (!('endpoint' in match)) {
    request.raw.resume()
    if (match.length === 0)
      return errorReply('ENDPOINT_NOT_FOUND', `No endpoint ${request.method} ${rawPath.slice(0, 200)}`)
    throw new PlimsollError('method', 'tracking.method', 'Method Not Allowed', { allow: match.join(', ') })
  }
  const ctx = await shared.surface.contextOf(request)
  authorise(ctx, match.endpoint)
  refuseEncoding(request)
  if (match.endpoint.body === 'stream') {
    return finish(
      await match.endpoint.handler({ ...callOf(match, request), ctx, fields: queryFields(match, target, cut) }),
    )
  }
  const body = await readBody(request, match.endpoint.bodyMaxBytes ?? BODY_MAX_BYTES)
  const fields = readRequest(match, request, target, cut, body)
  const run = async () => finish(await match.endpoint.handler({ ...callOf(match, request), ctx, fields }))
  if (!match.endpoint.replay) return run()
  const scope = [ctx.principal.id, ctx.project, request.method, match.endpoint.path].join('\n')
  const idempotencyKey = headerOf(request, 'idempotency-key')
  const json = async () => (await run()) as MlflowReply // no create answers with a stream
  return shared.replay({ scope, body, idempotencyKey }, reply.raw, json)
}

function callOf(match: Match, request: FastifyRequest) {
  return { path: match.path, rest: match.rest, request, stream: request.raw }
}

function finish(result: object): MlflowReply | RawReply {
  return result instanceof RawReply ? result : { status: 200, headers: {}, body: JSON.stringify(result) }
}

function authorise(ctx: Context, endpoint: MlflowEndpoint): void {
  if (endpoint.access === 'write' && ctx.principal.role === 'viewer') {
    throw new PlimsollError('forbidden', 'tracking.read_only', 'Permission denied: a viewer may not change anything')
  }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value.slice(0, 512) : undefined
}

function readQuery(target: string, cut: number): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {}
  if (cut < 0) return query
  for (const [name, value] of new URLSearchParams(target.slice(cut + 1))) {
    refuseUnstorableText(value)
    const earlier = Object.hasOwn(query, name) ? query[name] : undefined
    query[name] = earlier === undefined ? value : [...(Array.isArray(earlier) ? earlier : [earlier]), value]
  }
  return query
}

function queryFields(match: Match, target: string, cut: number) {
  const query = readQuery(target, cut)
  return readFields(match.endpoint.fields, query, { query: true, source: (path) => JSON.stringify(query[path] ?? '') })
}

function readRequest(match: Match, request: FastifyRequest, target: string, cut: number, body: string) {
  // path parameters such as :model_id are members too
  if (request.method === 'GET' && body === '') return queryFields(match, target, cut)
  if (request.method === 'POST') {
    const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
    if (type !== 'application/json') throw refusal('Bad Request. Content-Type must be one of [application/json].')
  }
  return readFields(
    match.endpoint.fields,
    { ...parseBody(body), ...match.path },
    { query: false, source: (path) => sourceAt(body, path) },
  )
}

/** Bytes are stored as they come, and named by what they are: nothing is unpacked here. */
function refuseEncoding(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') throw refusal('Bad Request. Content-Encoding is not supported')
}

async function readBody(request: FastifyRequest, maxBytes: number): Promise<string> {
  const collected = openBytes()
  let size = 0
  for await (const chunk of request.raw as IncomingMessage & AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes + DRAIN_MAX_BYTES) break
    if (size <= maxBytes) collected.append(chunk)
  }
  if (size > maxBytes) throw refusal(`Invalid request body: ${size} bytes exceed the maximum of ${maxBytes}`)
  const bytes = collected.taken()
  const text = bytes.toString('utf8')
  if (text.includes('�') && !Buffer.from(text, 'utf8').equals(bytes))
    throw refusal('Invalid request body: expected UTF-8')
  return text
}
