import { connect } from 'node:net'
import Fastify from 'fastify'
import { afterEach, expect, test } from 'vitest'
import type { Context } from '../db/context.ts'
import { openLog } from '../log.ts'
import { openTestServer, PROBES, sendRaw, type TestServer } from './http.fixture.ts'
import { type AnyEndpoint, drainHttp, listenHttp, mountEndpoints, openApiDocument } from './index.ts'

let servers: TestServer[] = []
const open = async (...args: Parameters<typeof openTestServer>) => {
  const server = await openTestServer(...args)
  servers.push(server)
  return server
}
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()))
  servers = []
})

test('a body that arrives too slowly ends with 408', async () => {
  const { port } = await open({ http: { requestTimeoutMs: 300, headersTimeoutMs: 200 } })
  const answer = await sendRaw(port, [
    `POST /probe HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
  ])
  expect(answer.status).toBe(408)
  expect(answer.body).toContain('http.request_timeout')
})

test('headers that arrive too slowly end with 408', async () => {
  const { port } = await open({ http: { requestTimeoutMs: 5_000, headersTimeoutMs: 200 } })
  const answer = await sendRaw(port, ['GET /probe/a HTTP/1.1\r\nhost:'])
  expect(answer.status).toBe(408)
})

test('connections beyond the limit are dropped', async () => {
  const { port } = await open({ http: { maxConnections: 1 } })
  const first = connect(port, '127.0.0.1')
  await new Promise((resolve) => first.once('connect', resolve))
  const answer = await sendRaw(port, [`GET /probe/a HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`])
  expect(answer.status).toBe(0)
  first.destroy()
})

test('a failure is logged under its request and under the trace that it belongs to', async () => {
  const lines: string[] = []
  const log = openLog({ level: 'error', name: 'test', destination: { write: (line) => void lines.push(line) } })
  const { url } = await open({ log })
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  expect((await fetch(`${url}/lies`)).status).toBe(500)
  expect(lines.pop()).toContain('http.response_mismatch')
  const logged = async (headers: Record<string, string>) => {
    const answer = await fetch(`${url}/broken`, { headers })
    expect(answer.status).toBe(500)
    const { request, traceId } = JSON.parse(lines.pop() ?? '') as { request: string; traceId?: string }
    expect(request).toBe(answer.headers.get('x-request-id'))
    return traceId
  }
  expect(await logged({ traceparent: `00-${trace}-00f067aa0ba902b7-01` })).toBe(trace)
  const zeros = '0'.repeat(32)
  const begun = await logged({ traceparent: `00-${zeros}-00f067aa0ba902b7-01` })
  expect([begun, begun === zeros]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), false])
  expect(await logged({})).toBeUndefined()
})

test('a hundred thousand chunks of one byte stay within the limits', async () => {
  const { port } = await open()
  const chunks = '1\r\n \r\n'.repeat(100_000)
  const answer = await sendRaw(port, [
    `POST /probe HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n`,
    chunks,
    '7\r\n{"a":1}\r\n0\r\n\r\n',
  ])
  expect(answer.status).toBe(200)
})

test('every fault of params, query and body is listed at once', async () => {
  const { url } = await open()
  const answer = (await (await fetch(`${url}/probe/A-B?n=99&zz=1`)).json()) as { errors: { pointer: string }[] }
  expect(answer.errors).toEqual([
    { pointer: ':name', detail: 'expected a text that fits /^[a-z]+$/, found "A-B"' },
    { pointer: '?n', detail: 'expected a number of at most 9, found 99' },
    { pointer: '?', detail: expect.stringMatching(/^takes no "zz": it takes n/) },
  ])
})

test('a fault says what was expected and what was found, or that nothing was', async () => {
  const { url } = await open()
  const detailsOf = async (path: string, body?: unknown) => {
    const headers = { 'content-type': 'application/json' }
    const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) }
    const { errors } = (await (await fetch(`${url}${path}`, init)).json()) as { errors: { detail: string }[] }
    return errors.map(({ detail }) => detail)
  }
  expect(await detailsOf('/probe/a?n=x')).toEqual(['expected a number, found NaN'])
  expect(await detailsOf('/probe', { b: 'x' })).toEqual(['is missing: expected a number'])
  expect(await detailsOf('/probe', { a: null })).toEqual(['expected a number, found null'])
})

test('a problem lists 100 faults and says how many more there are; what it echoes is cut', async () => {
  const { url } = await open()
  const post = async (body: unknown) => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${url}/probe`, { method: 'POST', headers, body: JSON.stringify(body) })
    return (await answer.json()) as { detail: string; errors: { pointer: string; detail: string }[] }
  }
  const many = await post(Array(150).fill('\0'))
  expect([many.detail, many.errors.length]).toEqual(['Cannot take the request: 150 faults', 101])
  expect(many.errors[100]).toEqual({ pointer: '', detail: 'and 50 more faults' })
  const names = Array.from({ length: 5_000 }, (_, at) => [`name${at}`, 0])
  const wide = await post({ a: 1, ...Object.fromEntries(names) })
  expect(wide.errors[0]?.detail).toMatch(/^takes no "name0".*… \(\d+ more characters\)$/)
  const long = await post({ ['n'.repeat(10_000)]: '\0' })
  expect(long.errors[0]?.pointer).toMatch(/^\/n{499}… \(9501 more characters\)$/)
  for (const { errors } of [wide, long]) expect(JSON.stringify(errors).length).toBeLessThan(1_500)
})

test('a client that leaves in the middle of a stream is told from a failure of ours', async () => {
  const lines: string[] = []
  const log = openLog({ level: 'debug', name: 'test', destination: { write: (line) => void lines.push(line) } })
  const { port } = await open({ log })
  const socket = connect(port, '127.0.0.1')
  const head = [`host: 127.0.0.1:${port}`, 'content-type: a/b', 'content-length: 100', 'expect: 100-continue']
  socket.write(`PUT /stream HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n`)
  await new Promise((resolve) => socket.once('data', resolve)) // the route has been found
  socket.end('half')
  await expect.poll(() => lines.join('')).toContain('a client left before its body had ended')
  expect(lines.join('')).not.toContain('db.unavailable')
})

test('a bigint is a number where that is exact, else a text', async () => {
  const { url } = await open()
  expect(await (await fetch(`${url}/big`)).json()).toEqual({ small: 5, large: '9007199254740993' })
})

test('a public name is taken as Host only when it is configured', async () => {
  const { port } = await open({ publicHosts: ['models.example.com'], behindProxy: true })
  const ask = (...headers: string[]) =>
    sendRaw(port, [`GET /probe/a HTTP/1.1\r\n${headers.join('\r\n')}\r\nconnection: close\r\n\r\n`])
  expect((await ask('host: models.example.com', 'origin: https://models.example.com')).status).toBe(200)
  expect((await ask('host: models.example.com', 'origin: http://models.example.com')).status).toBe(403)
  expect((await ask('host: other.example.com')).status).toBe(403)
})

test('forwarded headers do not change what is allowed', async () => {
  const { port } = await open()
  const answer = await sendRaw(port, [
    `GET /probe/a HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: 127.0.0.1:${port}\r\nforwarded: host=127.0.0.1:${port}\r\nconnection: close\r\n\r\n`,
  ])
  expect(answer.status).toBe(403)
})

test('listenHttp() names a taken port, and an address that is not of this machine, in one line', async () => {
  const first = await open()
  const second = await openTestServer()
  await second.close()
  const { openHttp } = await import('./index.ts')
  const { settings } = await import('../config/index.ts')
  const { realClock } = await import('../clock.ts')
  const { silentLog } = await import('../log.ts')
  const app = openHttp({
    http: settings.parse({}).http,
    host: '127.0.0.1',
    publicHosts: [],
    behindProxy: false,
    clock: realClock,
    log: silentLog,
  })
  await expect(listenHttp(app, '127.0.0.1', first.port)).rejects.toMatchObject({
    kind: 'conflict',
    code: 'http.port_taken',
  })
  // An address for documentation: no machine has it.
  await expect(listenHttp(app, '192.0.2.1', 0)).rejects.toMatchObject({
    kind: 'invalid',
    code: 'http.cannot_listen',
  })
  await app.close()
})

test('drainHttp() lets a request under way finish, then refuses connections', async () => {
  const server = await open()
  const { port } = server
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `PUT /stream HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/octet-stream\r\ncontent-length: 2\r\nconnection: close\r\n\r\nx`,
  )
  const answered = new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('close', () => resolve(text))
  })
  await expect
    .poll(() => new Promise((resolve) => server.app.server.getConnections((_error, count) => resolve(count))))
    .toBe(1)
  await fetch(`${server.url}/probe/a`)
  const drained = drainHttp(server.app, 5_000)
  socket.write('y')
  expect(await answered).toContain('"bytes":2')
  await drained
  await expect(fetch(`${server.url}/probe/a`)).rejects.toThrow()
})

test('mountEndpoints() stops the start for a route without a scope', async () => {
  const { app } = await openTestServer().then(async (server) => {
    await server.close()
    return server
  })
  const bare = { ...PROBES[0]!, scope: undefined } as unknown as AnyEndpoint
  expect(() => mountEndpoints(app, [bare], { authorise: async () => ({}) as Context })).toThrow('declares no scope')
})

test('mountEndpoints() stops the start for a route that does not say what it answers', async () => {
  const { app, close } = await openTestServer()
  await close()
  const bare = { ...PROBES[0]!, response: undefined } as unknown as AnyEndpoint
  expect(() => mountEndpoints(app, [bare], { authorise: async () => ({}) as Context })).toThrow(
    expect.objectContaining({ code: 'http.no_response', message: expect.stringContaining('declares no answer') }),
  )
})

test('mountEndpoints() stops the start for a path that no client could ask for', async () => {
  const { app, close } = await openTestServer()
  await close()
  const odd = { ...PROBES[0]!, path: '/pröbe' }
  const failure = expect.objectContaining({ code: 'http.bad_path' })
  expect(() => mountEndpoints(app, [odd], { authorise: async () => ({}) as Context })).toThrow(failure)
})

test('openApiDocument() describes every endpoint with its scope and parameters', () => {
  const document = openApiDocument(PROBES, { title: 'T', version: '1' })
  expect(Object.keys(document.paths)).toEqual([
    '/probe/{name}',
    '/probe',
    '/stream',
    '/late-stream',
    '/file',
    '/broken',
    '/lies',
    '/big',
  ])
  expect(document.paths['/probe/{name}']?.get).toMatchObject({
    'x-scope': 'public',
    parameters: [
      { name: 'name', in: 'path', required: true },
      { name: 'n', in: 'query', required: false },
    ],
  })
})

test('mountEndpoints() runs nothing for a caller of whom nothing is known', async () => {
  const app = Fastify()
  let code: unknown
  app.addHook('onError', async (_request, _reply, error) => {
    code = error.code
  })
  mountEndpoints(app, PROBES, { authorise: async () => undefined as never }) // as an authoriser with a fault might
  expect((await app.inject('/probe/a')).statusCode).toBe(500)
  expect(code).toBe('http.no_context')
  await app.close()
})
