import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ClientError, openClient } from '@plimsoll/sdk/client'
import { afterEach, expect, test } from 'vitest'
import type { Io } from './io.ts'
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

let server: Server | undefined
afterEach(() => close())

/** A server on loopback that has one run, in that state. */
async function serve(state: string, port = 0): Promise<number> {
  server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.method === 'POST' ? { id: RUN, isNew: true } : { ...VIEW, state }))
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
