import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ClientError, openClient } from '@plimsoll/sdk/client'
import { afterEach, expect, test } from 'vitest'
import type { Io } from './io.ts'
import { LAUNCHER, openCommandLine } from './process.fixture.ts'
import { follow, startAndFollow } from './run-follow.ts'

const RUN = 'run_1'
const VIEW = {
  id: RUN,
  pipeline: 'train',
  pipelineDigest: `sha256:${'0'.repeat(64)}`,
  reason: null,
  actor: 'ada',
  createdAt: '2026-01-02T03:04:05.000Z',
  startedAt: null,
  finishedAt: null,
  steps: { total: 1, done: 0, cached: 0, failed: 0, running: 0 },
  params: {},
  graph: [],
}

/** How often the client itself asks before it gives up. */
const CLIENT_TRIES = 3
/** Requests that met a server which is away. */
let refused = 0

let server: Server | undefined
afterEach(() => close())

/** What its one step has written. */
let log = ''

/** How often the run was asked for. */
let asked = 0

/** A command in a process group of its own, as a shell starts one. */
function startGroup(words: readonly string[]) {
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  const child = spawn(process.execPath, [LAUNCHER, ...words], { detached: true, stdio: [...stdio] })
  let text = ''
  child.stderr!.on('data', (chunk) => {
    text += String(chunk)
  })
  return { child, said: () => text }
}

/** A server on loopback that has one run, in that state, and the log of a step. */
async function serve(state: string, port = 0, reason: string | null = null): Promise<number> {
  server = createServer((request, response) => {
    if (state === 'away') {
      refused++
      request.socket.destroy()
      return
    }
    if (request.url?.includes('/log')) {
      const offset = Number(new URL(request.url, 'http://x').searchParams.get('offset'))
      const isEnd = state === 'running' ? '0' : '1'
      response.writeHead(200, { 'x-plimsoll-next-offset': String(log.length), 'x-plimsoll-end': isEnd })
      response.end(log.slice(offset))
      return
    }
    asked++
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.method === 'POST' ? { id: RUN, isNew: true } : { ...VIEW, state, reason }))
  })
  await new Promise<void>((done) => server!.listen(port, '127.0.0.1', done))
  return (server.address() as AddressInfo).port // it listens on TCP
}

async function close(): Promise<void> {
  const closed = new Promise((done) => (server ? server.close(done) : done(undefined)))
  server?.closeAllConnections()
  await closed
  server = undefined
}

/** Keeps what is said; `onProgress` sees each label. */
function listen(onProgress: (label: string) => void = () => {}) {
  const said: string[] = []
  const io: Io = {
    isJson: false,
    isTerminal: false,
    answer: (_value, text) => void said.push(...[text].flat()),
    note: (line) => void said.push(line),
    tell: (_value, line) => void said.push(line),
    progress: (_fraction, label) => onProgress(label),
    endProgress: () => {},
  }
  return { io, said }
}

test('follow() goes on when the server goes away and comes back, and the run is told before', async () => {
  const port = await serve('running')
  const seen: string[] = []
  let moved = Promise.resolve<unknown>(undefined)
  const { io, said } = listen((label) => {
    seen.push(label)
    if (seen.length === 1) moved = close()
    if (seen.length === 3) moved = moved.then(() => serve('succeeded', port))
  })
  const client = openClient({ server: `http://127.0.0.1:${port}` })
  expect(await startAndFollow(client, io, {})).toMatchObject({ id: RUN, state: 'succeeded' })
  await moved
  expect(said[0]).toBe(`Run ${RUN}`)
  expect(seen.slice(0, 3)).toEqual(['0/1 running', ...Array(2).fill(`waiting for http://127.0.0.1:${port}`)])
})

test('follow() says once why a run is still queued', async () => {
  const port = await serve('queued', 0, 'There is no Python')
  let looks = 0
  const { io, said } = listen(() => {
    looks++
    if (looks === 2) void close().then(() => serve('succeeded', port))
  })
  await startAndFollow(openClient({ server: `http://127.0.0.1:${port}` }), io, {})
  expect(said.slice(0, 3)).toEqual([
    `Run ${RUN}`,
    'It waits, and goes on by itself: There is no Python',
    expect.stringContaining('succeeded'),
  ])
})

test('follow() gives up on a server that stays away, and says how to go on', async () => {
  const port = await serve('running')
  await close()
  const ended = follow(openClient({ server: `http://127.0.0.1:${port}` }), listen().io, RUN, { awayMsMax: 0 })
  await expect(ended).rejects.toMatchObject({
    status: 503,
    code: 'client.unreachable',
    message: expect.stringContaining(`Cannot follow run ${RUN} any longer: Cannot reach`),
    action: `When the server is there again, go on with plimsoll run show ${RUN}`,
  })
  await expect(ended).rejects.toBeInstanceOf(ClientError)
})

test('logs --follow goes on when the server goes away and comes back, and shows each line once', async () => {
  log = 'one\n'
  const port = await serve('running')
  const where = ['--server', `http://127.0.0.1:${port}`]
  const following = openCommandLine(import.meta.dirname).start('logs', RUN, 'fit', '--follow', ...where)
  let out = ''
  const ended = new Promise((done) => following.once('close', done))
  following.stdout!.on('data', (chunk) => {
    out += String(chunk)
  }) // it is piped
  await expect.poll(() => out, { timeout: 30_000 }).toBe('one\n')
  await close()
  log = 'one\ntwo\n'
  await serve('away', port)
  await expect.poll(() => refused, { timeout: 30_000 }).toBeGreaterThan(CLIENT_TRIES)
  await close()
  await serve('succeeded', port)
  expect([await ended, out]).toEqual([0, log])
}, 60_000)

test('Ctrl-C at a terminal, which reaches launcher and command alike, leaves the run and says so', async () => {
  const port = await serve('running')
  asked = 0
  const { child, said } = startGroup(['run', 'follow', RUN, '--server', `http://127.0.0.1:${port}`])
  const ended = new Promise((done) => child.once('close', done))
  await expect.poll(() => asked, { timeout: 30_000 }).toBeGreaterThan(1)
  process.kill(-child.pid!, 'SIGINT')
  expect([await ended, said()]).toEqual([
    130,
    expect.stringContaining(`The run goes on. See it with plimsoll run follow ${RUN}`),
  ])
}, 60_000)
