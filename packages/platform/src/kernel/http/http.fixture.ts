import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { realClock } from '../clock.ts'
import { type Config, settings } from '../config/index.ts'
import type { Context } from '../db/context.ts'
import { type Logger, silentLog } from '../log.ts'
import { type AnyEndpoint, endpoint, listenHttp, mountEndpoints, openHttp } from './index.ts'

export interface TestServer {
  app: FastifyInstance
  port: number
  url: string
  close(): Promise<void>
}

const counted = z.strictObject({ bytes: z.int() })

/** Endpoints that reach every part of the core. */
export const PROBES: AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/probe/:name',
    scope: 'public',
    summary: 'Echo',
    params: z.strictObject({ name: z.string().regex(/^[a-z]+$/) }),
    query: z.strictObject({ n: z.coerce.number().int().max(9).optional() }),
    response: z.strictObject({ name: z.string(), n: z.int().optional() }),
    handler: async ({ params, query }) => ({ ...params, ...query }),
  }),
  endpoint({
    method: 'POST',
    path: '/probe',
    scope: 'public',
    summary: 'Echo a body',
    body: z.strictObject({ a: z.number(), b: z.string().optional() }).or(z.array(z.json())),
    response: z.strictObject({ body: z.json() }),
    handler: async ({ body }) => ({ body }),
  }),
  endpoint({
    method: 'PUT',
    path: '/stream',
    scope: 'public',
    summary: 'Count bytes',
    bodyKind: 'stream',
    bodyLimitBytes: 1_000,
    response: counted,
    handler: async ({ request }) => {
      let bytes = 0
      for await (const chunk of request.body as AsyncIterable<Buffer>) bytes += chunk.length
      return { bytes }
    },
  }),
  endpoint({
    method: 'PUT',
    path: '/late-stream',
    scope: 'public',
    summary: 'Reads once all has arrived',
    bodyKind: 'stream',
    response: counted,
    handler: async ({ request }) => {
      const arrived = Promise.withResolvers<void>()
      request.raw.once('close', () => arrived.resolve())
      const late = setTimeout(() => arrived.resolve(), 50)
      await arrived.promise
      clearTimeout(late)
      let bytes = 0
      for await (const chunk of request.body as AsyncIterable<Buffer>) bytes += chunk.length
      return { bytes }
    },
  }),
  endpoint({
    method: 'GET',
    path: '/file',
    scope: 'public',
    summary: 'Bytes',
    response: 'application/octet-stream',
    handler: async () => Buffer.from('abc'),
  }),
  endpoint({
    method: 'GET',
    path: '/broken',
    scope: 'public',
    summary: 'Fails',
    response: 'nothing',
    handler: async () => {
      throw new Error('secret-canary')
    },
  }),
  endpoint({
    method: 'GET',
    path: '/lies',
    scope: 'public',
    summary: 'Breaks its contract',
    response: z.object({ n: z.number() }),
    handler: async () => ({ n: 'x' }),
  }),
  endpoint({
    method: 'GET',
    path: '/big',
    scope: 'public',
    summary: 'Integers',
    response: z.strictObject({ small: z.bigint(), large: z.bigint() }),
    handler: async () => ({ small: 5n, large: 9007199254740993n }),
  }),
]

/** A server on a free port, with bounds small enough to reach in a test. */
export async function openTestServer(
  change: { http?: Partial<Config['http']>; publicHosts?: string[]; behindProxy?: boolean; log?: Logger } = {},
): Promise<TestServer> {
  const config = settings.parse({})
  const app = openHttp({
    http: { ...config.http, ...change.http },
    host: '127.0.0.1',
    publicHosts: change.publicHosts ?? [],
    behindProxy: change.behindProxy ?? false,
    clock: realClock,
    log: change.log ?? silentLog,
  })
  mountEndpoints(app, PROBES, { authorise: async () => ({}) as Context }) // the probes use no context
  const { port, url } = await listenHttp(app, '127.0.0.1', 0)
  return { app, port, url, close: () => app.close() }
}

export interface RawAnswer {
  status: number
  head: string
  body: string
}

/** Writes bytes to a socket as they are and reads until the server closes it, or the answer is whole. */
export function sendRaw(
  port: number,
  parts: readonly (string | Uint8Array)[],
  options: { keepOpen?: boolean } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    const finish = () => {
      const [head = '', ...rest] = text.split('\r\n\r\n')
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), head, body: rest.join('\r\n\r\n') })
      socket.destroy()
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const length = /content-length: (\d+)/i.exec(text)?.[1]
      const end = text.indexOf('\r\n\r\n')
      if (length !== undefined && end >= 0 && text.length >= end + 4 + Number(length)) finish()
    })
    socket.on('close', finish)
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? finish() : reject(error),
    )
    for (const part of parts) socket.write(part)
    if (options.keepOpen !== true) socket.setTimeout(20_000, finish)
  })
}

export interface TestApi {
  /** Sends a request and reads its JSON; a body of bytes goes as it stands. */
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    body?: unknown,
    // biome-ignore lint/suspicious/noExplicitAny: tests read members of replies of every shape
  ): Promise<{ status: number; json: any }>
  close(): Promise<void>
}

/** Endpoints over the real core, in memory, each call with the context that `contextOf` gives. */
export function openTestApi(endpoints: readonly AnyEndpoint[], contextOf: () => Context): TestApi {
  const config = settings.parse({})
  const { http } = config
  const app = openHttp({
    http,
    host: '127.0.0.1',
    publicHosts: [],
    behindProxy: false,
    clock: realClock,
    log: silentLog,
  })
  mountEndpoints(app, endpoints, { authorise: async () => contextOf() })
  return {
    call: async (method, url, body) => {
      const isBytes = body instanceof Uint8Array
      const headers =
        body === undefined ? {} : { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }
      const payload = body === undefined ? {} : { payload: isBytes ? Buffer.from(body) : JSON.stringify(body) }
      const answer = await app.inject({ method, url, headers, ...payload })
      return { status: answer.statusCode, json: answer.body === '' ? undefined : JSON.parse(answer.body) }
    },
    close: () => app.close(),
  }
}
