import type { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type HTTPMethods } from 'fastify'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/index.ts'
import { PlimsollError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { Logger } from '../log.ts'
import { traceIdOf } from '../telemetry/trace-parent.ts'
import { clientErrorHandler } from './client-error.ts'
import { bodyCut, collectBody } from './collect-body.ts'
import { decompressBody } from './decompress.ts'
import { formatJson, refuseCharset, refuseRepeatedMember, refuseUnboundedJson } from './json.ts'
import { JSON_VALUES_MAX } from './json-outline.ts'
import { errorHeaders, problemOf, toHttpError } from './problem.ts'
import { guardRequest } from './request-guard.ts'
import { formatServerUrl } from './server-url.ts'
import { portTaken } from './taken-port.ts'

export interface HttpOptions {
  /** The bounds: `config.http`, with the body limit of this process. */
  http: Config['http']
  host: string
  publicHosts: readonly string[]
  behindProxy: boolean
  clock: Clock
  log: Logger
  /** Called once per answer, for metrics; `route` is the pattern, never the path. */
  onAnswer?: (answer: { method: string; route: string; status: number; durationMs: number }) => void
}

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'private, no-store',
  vary: 'Authorization, Origin, X-Plimsoll-Project',
}
const TIMEOUT_CHECK_MS = 1_000

/** Schemas of routes are ours, so what compiles those of Fastify is not loaded: nearly 100 modules. */
function refuseSchemas(): never {
  throw new Error('a route has a schema of Fastify')
}

/** A Fastify with the house's bounds, guards and error funnel; routes come from `mountEndpoints` and the surfaces. */
export function openHttp(options: HttpOptions): FastifyInstance {
  const { http, log } = options
  const app = Fastify({
    logger: false,
    bodyLimit: http.bodyLimitBytes,
    requestTimeout: http.requestTimeoutMs,
    keepAliveTimeout: http.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: http.maxParamLength, caseSensitive: true, ignoreTrailingSlash: false },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    trustProxy: false,
    schemaController: { compilersFactory: { buildValidator: refuseSchemas, buildSerializer: refuseSchemas } },
    genReqId: () => newId('req', options.clock),
    http: {
      headersTimeout: Math.min(http.headersTimeoutMs, http.requestTimeoutMs),
      maxHeaderSize: http.maxHeaderBytes,
      // Our guard says why; Node would answer without a word.
      requireHostHeader: false,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, http.requestTimeoutMs),
    },
    clientErrorHandler,
    frameworkErrors: (error, request, reply) => {
      const house = toHttpError(error)
      const problem = problemOf(house, request.id)
      const plain = reply as FastifyReply // the generic reply of this hook knows no status codes
      void plain
        .headers({ ...SECURITY_HEADERS, ...errorHeaders(house) })
        .code(problem.status)
        .type('application/problem+json')
        .send(formatJson(problem))
    },
  })
  app.server.maxConnections = http.maxConnections
  app.setReplySerializer(formatJson)
  addParsers(app, http.jsonDepth)
  addHooks(app, options)
  app.setErrorHandler((thrown, request, reply) => {
    const error = toHttpError(thrown)
    const problem = problemOf(error, request.id)
    if (problem.status >= 500 && error.kind !== 'overloaded') logFailure(log, error, request)
    else if (error.code === 'http.body_cut')
      log.debug({ request: request.id, route: request.routeOptions.url }, 'a client left before its body had ended')
    return reply
      .headers({ ...SECURITY_HEADERS, ...errorHeaders(error) }) // in the place of those of the answer that failed
      .code(problem.status)
      .type('application/problem+json')
      .serializer(formatJson)
      .send(problem)
  })
  app.setNotFoundHandler((request, reply) => {
    const fault = noRoute(app, request)
    const page = fault.kind === 'not_found' && isForPeople(request) ? app.missingPage?.(reply) : undefined
    if (page === undefined) throw fault
    return page
  })
  return app
}

/** What a browser opens; of the API it shows the problem, which says more. */
function isForPeople({ method, url, headers }: FastifyRequest): boolean {
  return method === 'GET' && !url.startsWith('/api/') && (headers.accept ?? '').includes('text/html')
}

/** The framework looks for a path among those of the method: it may be there for others. */
function noRoute(app: FastifyInstance, { method, url }: FastifyRequest): PlimsollError {
  const action = 'See /api for what there is'
  const path = url.split('?', 1)[0]!
  const allowed = app.supportedMethods.filter(
    (one) => app.findRoute({ method: one as HTTPMethods, url: path }) !== null,
  )
  if (allowed.length === 0)
    return new PlimsollError('not_found', 'http.no_route', `There is nothing at ${method} ${url.slice(0, 200)}`, {
      action,
    })
  const allow = allowed.join(', ')
  return new PlimsollError(
    'method',
    'http.method',
    `Cannot use ${method} at ${path.slice(0, 200)}: expected ${allow}`,
    {
      action,
      allow,
    },
  )
}

/** An answer that nobody waits for any more is worth a note, not an alarm. */
function logFailure(log: Logger, error: PlimsollError, request: FastifyRequest): void {
  const cause = error.cause instanceof Error ? error.cause : error
  const fields = {
    request: request.id,
    traceId: traceIdOf(request.headers['traceparent']),
    route: request.routeOptions.url,
    code: error.code,
    fault: cause.message,
    stack: cause.stack,
  }
  if (request.raw.destroyed) log.warn(fields, 'a request failed whose caller had left')
  else log.error(fields, 'a request failed')
}

function bodyTooLarge(limitBytes: number): PlimsollError {
  return new PlimsollError('too_large', 'http.body_too_large', `The body is larger than ${limitBytes} bytes`)
}

function readText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new PlimsollError('invalid', 'http.bad_utf8', 'The body is not valid UTF-8')
  }
}

/** JSON only, collected by ourselves: the framework keeps every chunk until the end. */
function addParsers(app: FastifyInstance, jsonDepth: number): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: Readable) => {
    refuseCharset(request.headers['content-type'])
    const limitBytes = request.routeOptions.bodyLimit
    const faults = { tooLarge: () => bodyTooLarge(limitBytes), cut: bodyCut }
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw faults.tooLarge()
    const bytes = await collectBody(payload, limitBytes, faults)
    request.rawBody = bytes
    const outline = refuseUnboundedJson(bytes, jsonDepth, {
      valuesMax: request.routeOptions.config.jsonValuesMax ?? JSON_VALUES_MAX,
    })
    const body = await new Promise((resolve, reject) => {
      void parseJson(request, readText(bytes), (error, value) => (error ? reject(error) : resolve(value)))
    })
    refuseRepeatedMember(outline, body)
    return body
  })
}

function addHooks(app: FastifyInstance, options: HttpOptions): void {
  const closing = new AbortController()
  app.decorateRequest('closing', { getter: () => closing.signal })
  app.addHook('preClose', async () => closing.abort())
  app.decorateRequest('rawBody', undefined)
  app.decorateRequest('startedAtMs', 0)
  app.addHook('onRequest', async (request, reply) => {
    request.startedAtMs = options.clock.monotonicMs()
    reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id })
    const address = app.server.address()
    const port = typeof address === 'object' && address !== null ? address.port : undefined
    guardRequest(request.raw, {
      host: options.host,
      port,
      publicHosts: options.publicHosts,
      behindProxy: options.behindProxy,
    })
  })
  app.addHook('preParsing', async (request, _reply, payload) =>
    request.routeOptions.config.takesRawBody
      ? payload
      : (decompressBody(request.raw, request.routeOptions.bodyLimit ?? options.http.bodyLimitBytes) ?? payload),
  )
  app.addHook('onResponse', async (request, reply) => {
    options.onAnswer?.({
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      status: reply.statusCode,
      durationMs: options.clock.monotonicMs() - request.startedAtMs,
    })
  })
}

/** Listens and returns the base URL. @throws conflict http.port_taken · invalid http.cannot_listen */
export async function listenHttp(
  app: FastifyInstance,
  host: string,
  port: number,
): Promise<{ url: string; port: number }> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE') throw portTaken(host, port, '--port')
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new PlimsollError('invalid', 'http.cannot_listen', `Cannot listen on ${host}:${port}: ${code}`, {
        action: 'Choose another host or port',
      })
    }
    throw error
  }
  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return { url: formatServerUrl(host, bound), port: bound }
}

/** Stops taking requests, lets those under way finish, and cuts what is left after `drainMs`. */
export async function drainHttp(app: FastifyInstance, drainMs: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), drainMs)
  try {
    await app.close()
  } finally {
    clearTimeout(cut)
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route reads `request.raw` itself: nothing else may read it beside. */
    takesRawBody?: boolean
    /** Values that a JSON body may hold, where they may be more than `JSON_VALUES_MAX`. */
    jsonValuesMax?: number
  }
  interface FastifyInstance {
    /** Answers a browser that asks for a page that is not there; absent where there are no pages. */
    missingPage?: (reply: FastifyReply) => FastifyReply
  }
  interface FastifyRequest {
    /** Bytes of a JSON body, for signatures over it. */
    rawBody: Buffer | undefined
    /** Aborted when the server begins to drain: what waits for something to happen answers at once. */
    readonly closing: AbortSignal
    startedAtMs: number
  }
}
