import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { type Client, openClient } from './client.ts'
import {
  aliasView,
  cancelledRun,
  finishedRun,
  gatewayList,
  health,
  missingBlobList,
  modelList,
  modelVersionList,
  pipelineList,
  releaseList,
  routeDefinition,
  routeList,
  runList,
  startedRun,
  stepDebugView,
  storedBlob,
} from './wire/index.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

let server: Server
let client: Client
let answers: Answer[] = []
let asked: { method: string; headers: IncomingMessage['headers'] }[] = []

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
const busy = json(503, { code: 'serving.queue_full', detail: 'The queue is full' })

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push({ method: request.method!, headers: request.headers })
    request.resume()
    request.on('end', () => (answers.shift() ?? json(200, { n: 1 }))(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  client = openClient({
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    project: 'p',
    token: 'plim_canary',
    timeoutMs: 500,
  })
})
afterAll(() => server.close())
beforeEach(() => {
  answers = []
  asked = []
})

test('call() sends project and token in headers and checks the answer', async () => {
  expect(await client.call({ path: '/x', schema: z.object({ n: z.number() }) })).toEqual({ n: 1 })
  expect(asked[0]?.headers).toMatchObject({ 'x-plimsoll-project': 'p', authorization: 'Bearer plim_canary' })
})

const AT = '2026-01-02T03:04:05.000Z'
const DIGEST = `sha256:${'0'.repeat(64)}`
const ITEMS = {
  model: { name: 'm', description: '', versions: 1, latest: 1, champion: null, updatedAt: AT },
  version: {
    model: 'm',
    version: 1,
    artifact: null,
    passport: DIGEST,
    sizeBytes: 0,
    aliases: [],
    run: null,
    trackedRun: null,
    metrics: {},
    createdBy: 'ada',
    createdAt: AT,
  },
  pipeline: { name: 'p', digest: DIGEST },
  release: {
    id: 'rel_1',
    environment: 'production',
    route: 'r',
    epoch: 1,
    action: 'release',
    model: 'm',
    version: 1,
    artifact: DIGEST,
    passport: DIGEST,
    fromArtifact: null,
    actor: 'ada',
    isSelfApproved: false,
    reason: 'it is better',
    createdAt: AT,
  },
  route: {
    environment: 'production',
    name: 'r',
    digest: DIGEST,
    definition: routeDefinition.parse({
      kind: 'route',
      name: 'r',
      model: 'm',
      inputs: { a: { type: 'float64' } },
      columns: [{ name: 'a', source: { from: 'input', input: 'a' } }],
    }),
    assignment: null,
  },
  gateway: { gateway: 'g', epoch: 1, state: 'ready', seenAt: AT, refused: null },
  run: {
    id: 'run_1',
    pipeline: null,
    pipelineDigest: DIGEST,
    state: 'queued',
    reason: null,
    actor: 'ada',
    createdAt: AT,
    startedAt: null,
    finishedAt: null,
    steps: { total: 1, done: 0, cached: 0, failed: 0, running: 0 },
  },
}

test.each([
  ['models', modelList, ITEMS.model],
  ['versions', modelVersionList, ITEMS.version],
  ['pipelines', pipelineList, ITEMS.pipeline],
  ['releases', releaseList, ITEMS.release],
  ['routes', routeList, ITEMS.route],
  ['gateways', gatewayList, ITEMS.gateway],
  ['runs', runList, ITEMS.run],
])('call() reads a list of %s by a newer server, which says more of it and of each', async (name, schema, item) => {
  answers = [json(200, { [name]: [{ ...item, since: 'x' }], more: 'x' })]
  const { next: _, ...read } = (await client.call<z.ZodType>({ path: '/x', schema })) as Record<string, unknown> // a list
  expect(read).toEqual({ [name]: [item] })
})

test.each([
  [startedRun, { id: 'run_1', isNew: true }],
  [cancelledRun, { state: 'cancelling' }],
  [finishedRun, { state: 'unknown' }],
  [storedBlob, { digest: 'sha256:0', sizeBytes: 1 }],
  [missingBlobList, { missing: [] }],
  [stepDebugView, { workDir: '/w', cwd: '/w', argv: [], environment: {}, secrets: {} }],
  [aliasView, { model: 'm', alias: 'champion', version: 1 }],
  [health.pick({ replay_rate: true }), { replay_rate: null }],
])('call() reads an answer %# of a newer server, which says more', async (schema, known) => {
  answers = [json(200, { ...known, since: 'x' })]
  expect(await client.call<z.ZodType>({ path: '/x', schema })).toEqual(known)
})

test('call() reads the answer of an older server, which tells of no secrets', async () => {
  const known = { workDir: '/w', cwd: '/w', argv: [], environment: {} }
  answers = [json(200, known)]
  expect(await client.call({ path: '/x', schema: stepDebugView })).toEqual({ ...known, secrets: {} })
})

test('call() turns a problem into an error with code, faults and action', async () => {
  answers = [
    json(400, {
      code: 'a.b',
      detail: 'No',
      action: 'Do this',
      instance: 'req_1',
      errors: [{ pointer: '/x', detail: 'is wrong' }, { pointer: 1 }],
    }),
  ]
  await expect(client.call({ path: '/x' })).rejects.toMatchObject({
    status: 400,
    code: 'a.b',
    message: 'No',
    action: 'Do this',
    requestId: 'req_1',
    faults: [{ pointer: '/x', detail: 'is wrong' }],
  })
})

test('call() repeats an idempotent call when the server is busy', async () => {
  answers = [busy]
  expect(await client.call({ path: '/x' })).toEqual({ n: 1 })
  expect(asked).toHaveLength(2)
})

test('call() never repeats a POST unless told that it may', async () => {
  answers = [busy]
  await expect(client.call({ method: 'POST', path: '/x', body: {} })).rejects.toMatchObject({ status: 503 })
  expect(asked).toHaveLength(1)
  answers = [busy]
  expect(await client.call({ method: 'POST', path: '/x', body: {}, isIdempotent: true })).toEqual({ n: 1 })
})

test('call() says why a server cannot be reached, also where no system has been asked', async () => {
  const refused = openClient({ server: 'http://127.0.0.1:1' }).call({ method: 'POST', path: '/x' })
  await expect(refused).rejects.toThrow('Cannot reach http://127.0.0.1:1: bad port')
})

test('call() gives up after three attempts', async () => {
  answers = [busy, busy, busy, busy]
  await expect(client.call({ path: '/x' })).rejects.toMatchObject({ code: 'serving.queue_full' })
  expect(asked).toHaveLength(3)
})

test.each([
  ['HTML of a proxy', ((_request, response) => response.writeHead(502).end('<html>')) as Answer, 'http.502'],
  [
    'a redirect',
    ((_request, response) => response.writeHead(302, { location: 'http://evil.example/' }).end()) as Answer,
    'client.unreachable',
  ],
  ['an answer of another shape', json(200, { n: 'x' }), 'client.bad_answer'],
  ['silence', (() => {}) as Answer, 'client.outcome_unknown'],
  ['an answer that is lost', ((request) => request.socket.destroy()) as Answer, 'client.outcome_unknown'],
])('call() says what it got for %s, and never the token', async (_name, answer, code) => {
  answers = [answer, answer, answer]
  const failed = client.call({ method: 'POST', path: '/x', schema: z.object({ n: z.number() }) })
  await expect(failed).rejects.toMatchObject({ code })
  await expect(failed).rejects.not.toThrow('canary')
})

test('call() says of what may be repeated only that the server does not answer', async () => {
  answers = [() => {}, () => {}, () => {}]
  await expect(client.call({ path: '/x' })).rejects.toMatchObject({ code: 'client.timeout', status: 504 })
})

test('call() names a server that is not there', async () => {
  await expect(openClient({ server: 'http://127.0.0.1:1' }).call({ method: 'POST', path: '/x' })).rejects.toMatchObject(
    { code: 'client.unreachable', status: 503 },
  )
})

test('call() ends with the reason of the caller', async () => {
  answers = [() => {}]
  const abort = new AbortController()
  const failed = client.call({ path: '/x', signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(failed).rejects.toThrow('enough')
})
