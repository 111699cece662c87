import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import type { S3Place } from './client.ts'

/** What the proxy does to one request instead of passing it on unchanged. */
export type Fault = 'unavailable' | 'forbidden' | 'conflict' | 'reset' | 'cut-body' | 'stall'

/** A server of the S3 protocol with an empty bucket. */
export interface Upstream {
  place: S3Place & { endpoint: string; credentials: { accessKeyId: string; secretAccessKey: string } }
  /** False of a server that ignores `If-None-Match: *` on a write: the proxy then answers for it. */
  checksConditions: boolean
  close(): Promise<void>
}

export interface TestS3 {
  place: S3Place
  /** The same bucket past the proxy. */
  direct: S3Place
  /** A client of our own, past the store. */
  client: S3Client
  /** The next requests of this method, or of this name as in `requests()`, meet this fault, as many times. */
  fail(request: string, fault: Fault, times: number): void
  /** Happens while the next such request (as in `requests()`) waits to be passed on. */
  before(request: string, work: () => Promise<unknown>): void
  /** Requests that arrived since the last call, as `METHOD` or `METHOD?query`. */
  requests(): string[]
  /** What was refused since the last call, as `412 PUT`: of a server that checks conditions, by itself. */
  refusals(): string[]
  close(): Promise<void>
}

/** What is planned for requests to come, and what came. */
interface Traffic {
  faults: { request: string; fault: Fault }[]
  works: { request: string; work: () => Promise<unknown> }[]
  requests: string[]
  refusals: string[]
}

/** Ends connections too: one whose reader went away in the middle of a body would stay open for ever. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

async function startS3rver(): Promise<Upstream> {
  const { default: S3rver } = (await import('s3rver' as string)) as {
    default: new (options: object) => { run(): Promise<{ port: number }>; httpServer: Server }
  } // the package has no types
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-s3-'))
  const bucket = 'plimsoll-test'
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  const { port } = await server.run()
  const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
  return {
    place: { bucket, region: 'us-east-1', endpoint: `http://127.0.0.1:${port}`, credentials },
    checksConditions: false,
    close: async () => {
      await closeServer(server.httpServer)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function takeFirst<T>(list: T[], isWanted: (entry: T) => boolean): T | undefined {
  const at = list.findIndex(isWanted)
  return at < 0 ? undefined : list.splice(at, 1)[0]
}

function nameOf(incoming: IncomingMessage): string {
  const query = new URL(incoming.url ?? '/', 'http://s3').searchParams
  const kind = ['uploads', 'uploadId', 'partNumber', 'list-type'].filter((name) => query.has(name)).join('&')
  return kind ? `${incoming.method}?${kind}` : `${incoming.method}`
}

/** Cuts an answer off behind its first 100,000 bytes. */
function cutBody(response: IncomingMessage, outgoing: ServerResponse): void {
  let sent = 0
  response.on('data', (chunk: Buffer) => {
    sent += chunk.length
    if (sent <= 100_000) outgoing.write(chunk)
    else outgoing.write(chunk.subarray(0, 1_000), () => outgoing.destroy())
  })
  response.on('end', () => outgoing.destroy())
}

function startProxy({ place, checksConditions }: Upstream, traffic: Traffic): Server {
  const { port } = new URL(place.endpoint)

  // A connection of its own for each request: s3rver sends a body after the head of some HEAD answers.
  const forward = (incoming: IncomingMessage): ClientRequest =>
    request({
      host: '127.0.0.1',
      port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...incoming.headers, connection: 'close' },
      agent: false,
    })

  const exists = async (path: string): Promise<boolean> => {
    const head = request({ host: '127.0.0.1', port, path: path.split('?')[0], agent: false })
    head.on('error', () => {}) // once() below sees it first
    head.end()
    const [answer] = (await once(head, 'response')) as [IncomingMessage]
    answer.destroy()
    return answer.statusCode === 200
  }

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const name = nameOf(incoming)
    traffic.requests.push(name)
    const fault = takeFirst(traffic.faults, (planned) => [name, incoming.method].includes(planned.request))?.fault
    if (fault === 'reset') return void incoming.socket.destroy()
    if (fault === 'stall') return
    const refuse = (status: number, code: string) => {
      traffic.refusals.push(`${status} ${name}`)
      incoming.resume()
      outgoing.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`)
    }
    if (fault === 'unavailable') return refuse(503, 'SlowDown')
    if (fault === 'conflict') return refuse(409, 'ConditionalRequestConflict')
    if (fault === 'forbidden') return refuse(403, 'SignatureDoesNotMatch')
    await takeFirst(traffic.works, (planned) => planned.request === name)?.work()
    const isConditional = incoming.headers['if-none-match'] === '*' && incoming.method !== 'GET'
    if (isConditional && !checksConditions && (await exists(incoming.url ?? '/'))) {
      return refuse(412, 'PreconditionFailed')
    }
    const passed = forward(incoming)
    passed.on('error', () => outgoing.destroy())
    outgoing.on('close', () => passed.destroy()) // a reader that goes away lets go of the server too
    passed.on('response', (response) => {
      const status = response.statusCode ?? 500
      if (status >= 400) traffic.refusals.push(`${status} ${name}`)
      outgoing.writeHead(status, response.headers)
      if (fault === 'cut-body') cutBody(response, outgoing)
      else response.pipe(outgoing)
    })
    incoming.pipe(passed)
  }

  return createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy())
  }).listen(0, '127.0.0.1')
}

/**
 * A server of the S3 protocol, s3rver unless another is given, behind a proxy that breaks on demand and adds what s3rver
 * lacks: `If-None-Match: *` on a write gives 412 when the object exists, as Amazon's does.
 */
export async function startS3(given?: Upstream): Promise<TestS3> {
  const upstream = given ?? (await startS3rver())
  const traffic: Traffic = { faults: [], works: [], requests: [], refusals: [] }
  const proxy = startProxy(upstream, traffic)
  await once(proxy, 'listening')
  const { port } = proxy.address() as { port: number }
  const place = { ...upstream.place, endpoint: `http://127.0.0.1:${port}` }
  const client = new S3Client({ ...place, forcePathStyle: true })
  return {
    place,
    direct: upstream.place,
    client,
    fail: (request, fault, times) => traffic.faults.push(...Array.from({ length: times }, () => ({ request, fault }))),
    before: (request, work) => traffic.works.push({ request, work }),
    requests: () => traffic.requests.splice(0),
    refusals: () => traffic.refusals.splice(0),
    close: async () => {
      client.destroy()
      await closeServer(proxy)
      await upstream.close()
    },
  }
}
