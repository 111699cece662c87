import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type ContentCoding, chooseCoding, compressBody } from '../../inference/index.ts'
import type { Clock } from '../../kernel/clock.ts'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { clientErrorHandler } from '../../kernel/http/client-error.ts'
import { ERRORS_PATH, renderErrorPage } from '../../kernel/http/error-page.ts'
import { type Audience, guardRequest } from '../../kernel/http/request-guard.ts'
import { portTaken } from '../../kernel/http/taken-port.ts'
import { newId } from '../../kernel/ids.ts'
import type { Logger } from '../../kernel/log.ts'
import { traceIdOf } from '../../kernel/telemetry/index.ts'
import { type Arrival, readAdmitted } from './admission.ts'
import { type Answer, jsonAnswer, oipErrorAnswer, problemAnswer } from './answer.ts'
import { demandCaller } from './caller.ts'
import { UNKNOWN_ROUTE } from './gateway-metrics.ts'
import { demandKnownExpectation, demandMethod } from './method.ts'
import { answerOip } from './oip-surface.ts'
import { jsonValuesMax, type PredictionDeps } from './predict.ts'
import { answerInvocations, answerPredict, onlyRoute, type PredictCall } from './predict-surface.ts'
import { readJson } from './request-body.ts'
import { readTimeoutMs } from './request-timeout.ts'
import { routeOpenApi } from './route-openapi.ts'
import type { GatewaySettings } from './settings.ts'

export interface GatewayServer {
  readonly port: number
  /**
   * Readiness is 503 at once. What balances in front may take `delayMs` to see it: until then requests are served, also on
   * new connections. Then it stops listening and lets running requests finish; after another `drainMs` what is left is cut.
   */
  drain(times?: { delayMs?: number; drainMs?: number }): Promise<void>
}

export interface GatewayServerDeps extends PredictionDeps {
  readonly settings: GatewaySettings
  readonly logger: Logger
  readonly clock: Clock
  readonly metrics: () => Promise<string>
}

const TIMEOUT_CHECK_MS = 1_000
const REQUEST_ID = /^[\w.-]{1,128}$/

interface Call extends Arrival {
  /** When its headers had arrived, by the monotonic clock: its time runs from then. */
  arrivedMs: number
  segments: string[]
  requestId: string
  traceId: string | undefined
  signal: () => AbortSignal
}

function segmentsOf(target: string): string[] {
  const cut = target.indexOf('?')
  const path = cut < 0 ? target : target.slice(0, cut)
  try {
    return path.slice(1).split('/').map(decodeURIComponent)
  } catch {
    throw new PlimsollError(
      'invalid',
      'serving.bad_target',
      'Cannot read the request: its path is not valid percent-encoding',
    )
  }
}

async function predictCall(deps: GatewayServerDeps, call: Call, route: string): Promise<PredictCall> {
  const { request, arrivedMs, requestId, traceId, signal } = call
  const timeoutMs = readTimeoutMs(request.headers)
  const bytes = await readAdmitted(deps, call, route, { arrivedMs, timeoutMs })
  const body = readJson(request, bytes, {
    nanIsNull: call.segments[0] === 'invocations',
    valuesMax: jsonValuesMax(deps, route),
  })
  const sticky = request.headers['x-plimsoll-key']
  const stickyKey = typeof sticky === 'string' ? sticky : undefined
  return { route, body, stickyKey, arrivedMs, requestId, traceId, timeoutMs, signal }
}

async function answerCall(deps: GatewayServerDeps, call: Call, isDraining: () => boolean): Promise<Answer> {
  const { request } = call
  const [first, second, third] = call.segments
  switch (first) {
    case 'v2':
      return await answerOip(deps, call, isDraining())
    case 'predict':
      if (second && third === 'openapi.json' && call.segments.length === 3) {
        demandMethod(request, 'GET')
        return jsonAnswer(routeOpenApi(deps.gateway.live(), second))
      }
      if (call.segments.length > 2) return noSuchPath(request)
      demandMethod(request, 'POST')
      return await answerPredict(deps, await predictCall(deps, call, second ?? ''))
    case 'invocations':
      if (call.segments.length > 2) return noSuchPath(request)
      demandMethod(request, 'POST')
      return await answerInvocations(deps, await predictCall(deps, call, second ?? onlyRoute(deps)))
    default:
      demandMethod(request, 'GET')
      return await answerState(deps, call, isDraining())
  }
}

async function answerState(deps: GatewayServerDeps, call: Call, isDraining: boolean): Promise<Answer> {
  const live = deps.gateway.live()
  switch (call.segments.join('/')) {
    case 'ping':
    case 'health':
      return live && !isDraining ? jsonAnswer({ status: 'ok' }) : jsonAnswer({ status: 'not ready' }, 503)
    case 'metrics':
      return { status: 200, headers: { 'content-type': 'text/plain; version=0.0.4' }, body: await deps.metrics() }
    case ERRORS_PATH.slice(1):
      return errorPage()
    case '':
      return jsonAnswer({
        name: 'plimsoll gateway',
        routes: [...(live?.routes.keys() ?? [])],
        epoch: live?.snapshot.epoch ?? null,
      })
    default:
      return noSuchPath(call.request)
  }
}

function errorPage(): Answer {
  const { html, contentSecurityPolicy } = renderErrorPage()
  const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': contentSecurityPolicy }
  return { status: 200, headers, body: html }
}

function noSuchPath(request: IncomingMessage): never {
  throw new PlimsollError('not_found', 'serving.no_such_path', `Cannot find ${request.url?.slice(0, 200)}`, {
    action: 'Use /predict/<route>, /invocations/<route> or /v2',
  })
}

/** Packs the body in a way that the client takes. The protocol's header length still counts the JSON as it was. */
async function packed(answer: Answer, coding: ContentCoding): Promise<Answer> {
  const pack = await compressBody(Buffer.from(answer.body as Uint8Array), coding) // a string is taken as UTF-8
  return pack.coding === undefined
    ? answer
    : {
        ...answer,
        headers: { ...answer.headers, 'content-encoding': pack.coding, vary: 'accept-encoding' },
        body: pack.body,
      }
}

/** Under which name an answer is observed; undefined where the path is that of no route. */
function observedRoute({ gateway }: GatewayServerDeps, [first, second, third]: readonly string[]): string | undefined {
  const routes = gateway.live()?.routes
  if (first === 'invocations' && second === undefined) return routes?.size === 1 ? [...routes.keys()][0] : UNKNOWN_ROUTE
  const name = first === 'v2' ? third : second
  if (!name) return undefined
  return routes?.has(name) ? name : UNKNOWN_ROUTE
}

/** Aborted when the client goes away before its answer is sent. */
function closeSignal(response: ServerResponse): AbortSignal {
  const abort = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) abort.abort()
  }
  if (response.destroyed) onClose()
  else response.once('close', onClose)
  return abort.signal
}

function send(response: ServerResponse, answer: Answer, requestId: string, isDraining: boolean): void {
  const length = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length
  const { headers } = answer
  headers['content-length'] = String(length)
  headers['cache-control'] = 'no-store'
  headers['x-content-type-options'] = 'nosniff'
  headers['x-request-id'] = requestId
  if (isDraining) headers['connection'] = 'close'
  response.writeHead(answer.status, headers)
  response.end(answer.body)
}

/** For a client that waits to be asked for its body. One that is not asked may send none: then the connection ends. */
function askThrough(response: ServerResponse): () => void {
  response.setHeader('connection', 'close')
  return () => {
    response.removeHeader('connection')
    response.writeContinue()
  }
}

/** The gateway's HTTP side. Plain node:http: a prediction costs less CPU than with a framework, and there are few routes. */
export function openGatewayServer(deps: GatewayServerDeps): Promise<GatewayServer> {
  const { settings } = deps
  let isDraining = false
  let audience: Audience = {
    host: settings.host,
    port: undefined,
    publicHosts: settings.publicHosts,
    behindProxy: false,
  }

  const handle = async ({ request, askForBody }: Arrival, response: ServerResponse): Promise<void> => {
    const arrivedMs = deps.clock.monotonicMs()
    const given = request.headers['x-request-id']
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : newId('req')
    const traceId = traceIdOf(request.headers['traceparent'])
    const isOip = request.url?.startsWith('/v2') ?? false
    let answer: Answer
    let segments: string[] = []
    let refusal: string | undefined
    try {
      guardRequest(request, audience)
      demandKnownExpectation(request)
      segments = segmentsOf(request.url ?? '/')
      if (settings.requireToken) demandCaller(request, segments, deps.gateway.live(), deps.clock)
      const call = { request, askForBody, arrivedMs, segments, requestId, traceId, signal: () => closeSignal(response) }
      answer = await answerCall(deps, call, () => isDraining)
      const coding = chooseCoding(request.headers['accept-encoding'])
      if (coding !== undefined) answer = await packed(answer, coding)
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      refusal = error.code
      if (error.kind === 'internal')
        deps.logger.error({ error: error.message, cause: String(error.cause), requestId, traceId }, 'a request failed')
      answer = isOip ? oipErrorAnswer(error, requestId) : problemAnswer(error, requestId)
      if (!request.complete) answer = { ...answer, headers: { ...answer.headers, connection: 'close' } }
    }
    if (!response.destroyed) send(response, answer, requestId, isDraining)
    const route = request.method === 'POST' ? observedRoute(deps, segments) : undefined
    if (route !== undefined)
      deps.observe(route, String(answer.status), (deps.clock.monotonicMs() - arrivedMs) / 1_000, refusal)
  }

  const serve = (arrival: Arrival, response: ServerResponse): void => {
    handle(arrival, response).catch((error: unknown) => {
      deps.logger.error({ error: String(error) }, 'a request could not be answered')
      response.destroy()
    })
  }

  const server = createServer(
    {
      requestTimeout: settings.requestTimeoutMs,
      headersTimeout: Math.min(settings.headersTimeoutMs, settings.requestTimeoutMs),
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, settings.requestTimeoutMs),
      keepAliveTimeout: settings.keepAliveTimeoutMs,
      maxHeaderSize: settings.headerBytesMax,
      // Our guard says why; Node would answer without a word.
      requireHostHeader: false,
      highWaterMark: 65_536,
      noDelay: true,
    },
    (request, response) => serve({ request, askForBody: undefined }, response),
  )
  server.on('checkContinue', (request, response) => serve({ request, askForBody: askThrough(response) }, response))
  server.on('checkExpectation', (request, response) => serve({ request, askForBody: undefined }, response))
  server.maxConnections = settings.connectionsMax
  server.on('clientError', clientErrorHandler)
  return listen(server, settings).then((port) => {
    audience = { ...audience, port }
    return {
      port,
      async drain({ delayMs = 0, drainMs = settings.drainMs } = {}) {
        isDraining = true
        if (delayMs > 0) await deps.clock.sleep(delayMs)
        const closed = new Promise<void>((resolve) => server.close(() => resolve()))
        server.closeIdleConnections()
        const hurry = setTimeout(() => server.closeAllConnections(), drainMs)
        await closed
        clearTimeout(hurry)
      },
    }
  })
}

function listen(server: Server, settings: GatewaySettings): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? portTaken(settings.host, settings.port, '--gateway-port') : error)
    })
    server.listen(settings.port, settings.host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : settings.port)
    })
  })
}
