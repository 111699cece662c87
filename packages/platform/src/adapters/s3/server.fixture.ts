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
export type Fault = 'unavailable' | 'forbidden' | 'reset' | 'cut-body' | 'stall'

export interface TestS3 {
  place: S3Place
  /** A client of our own, past the store. */
  client: S3Client
  /** The next requests of this method meet this fault, as many times. */
  fail(method: string, fault: Fault, times: number): void
  /** Requests that arrived since the last call, as `METHOD` or `METHOD?query`. */
  requests(): string[]
  close(): Promise<void>
}

interface Upstream {
  port: number
  close(): Promise<void>
}

/** Ends connections too: one whose reader went away in the middle of a body would stay open for ever. */
async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

async function startUpstream(bucket: string): Promise<Upstream> {
  const { default: S3rver } = (await import('s3rver' as string)) as {
    default: new (options: object) => { run(): Promise<{ port: number }>; httpServer: Server }
  } // the package has no types
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-s3-'))
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket, configs: [] }],
  })
  const { port } = await server.run()
  return {
    port,
    close: async () => {
      await closeServer(server.httpServer)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/**
 * s3rver, a server of the S3 protocol, behind a proxy that adds what it lacks (`If-None-Match: *` on a write gives 412
 * when the object exists, as Amazon's does) and that breaks on demand.
 */
export async function startS3(): Promise<TestS3> {
  const bucket = 'plimsoll-test'
  const upstream = await startUpstream(bucket)
  const faults: { method: string; fault: Fault }[] = []
  let seen: string[] = []

  // A connection of its own for each request: s3rver sends a body after the head of some HEAD answers.
  const forward = (incoming: IncomingMessage): ClientRequest =>
    request({
      host: '127.0.0.1',
      port: upstream.port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...incoming.headers, connection: 'close' },
      agent: false,
    })

  const exists = async (path: string): Promise<boolean> => {
    const head = request({ host: '127.0.0.1', port: upstream.port, path: path.split('?')[0], agent: false })
    head.on('error', () => {}) // once() below sees it first
    head.end()
    const [answer] = (await once(head, 'response')) as [IncomingMessage]
    answer.destroy()
    return answer.statusCode === 200
  }

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const query = new URL(incoming.url ?? '/', 'http://s3').searchParams
    const kind = ['uploads', 'uploadId', 'partNumber', 'list-type'].filter((name) => query.has(name)).join('&')
    seen.push(kind ? `${incoming.method}?${kind}` : `${incoming.method}`)
    const at = faults.findIndex((planned) => planned.method === incoming.method)
    const fault = at < 0 ? undefined : faults.splice(at, 1)[0]!.fault
    if (fault === 'reset') return void incoming.socket.destroy()
    if (fault === 'stall') return
    const refuse = (status: number, code: string) => {
      incoming.resume()
      outgoing.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`)
    }
    if (fault === 'unavailable') return refuse(503, 'SlowDown')
    if (fault === 'forbidden') return refuse(403, 'SignatureDoesNotMatch')
    if (incoming.headers['if-none-match'] === '*' && incoming.method !== 'GET' && (await exists(incoming.url ?? '/'))) {
      return refuse(412, 'PreconditionFailed')
    }
    const passed = forward(incoming)
    passed.on('error', () => outgoing.destroy())
    outgoing.on('close', () => passed.destroy()) // a reader that goes away lets go of s3rver too
    passed.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers)
      if (fault !== 'cut-body') return void response.pipe(outgoing)
      let sent = 0
      response.on('data', (chunk: Buffer) => {
        sent += chunk.length
        if (sent <= 100_000) outgoing.write(chunk)
        else outgoing.write(chunk.subarray(0, 1_000), () => outgoing.destroy())
      })
      response.on('end', () => outgoing.destroy())
    })
    incoming.pipe(passed)
  }

  const proxy = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy())
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as { port: number }
  const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
  const endpoint = `http://127.0.0.1:${port}`
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  return {
    place: { bucket, region: 'us-east-1', endpoint, credentials },
    client,
    fail: (method, fault, times) => faults.push(...Array.from({ length: times }, () => ({ method, fault }))),
    requests: () => {
      const result = seen
      seen = []
      return result
    },
    close: async () => {
      client.destroy()
      await closeServer(proxy)
      await upstream.close()
    },
  }
}
