import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { identityModel, model, tripsModel } from '../../inference/onnx.fixture.ts'
import { newSigningKey } from '../../kernel/auth/verify/index.ts'
import { realClock } from '../../kernel/clock.ts'
import { digestBytes } from '../../kernel/digest.ts'
import {
  type ControlPlane,
  type GatewayOptions,
  type OpenedGateway,
  openControlPlane,
  openTestGateway,
  routeTo,
} from './gateway.fixture.ts'
import { openModelFiles } from './model-files.ts'
import { readFrames } from './segment-frame.ts'

const running: OpenedGateway[] = []
afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.close()
})
async function start(options: GatewayOptions = {}): Promise<OpenedGateway> {
  const gateway = await openTestGateway(options)
  running.push(gateway)
  return gateway
}
async function stopKeeping(gateway: OpenedGateway): Promise<void> {
  running.splice(running.indexOf(gateway), 1)
  await gateway.close('keep')
}

const predict = (gateway: OpenedGateway, row: object = { p: 1, q: 2 }, route = 'delay') =>
  fetch(`${gateway.url}/predict/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(row),
  })
const versionOf = async (gateway: OpenedGateway) => {
  const response = await predict(gateway)
  await response.arrayBuffer()
  return response.headers.get('x-plimsoll-version')
}
const unary = (op: string) =>
  model({
    nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n', 2] }],
  })
/** Signs a snapshot whose one route leads to one version. */
function publish(control: ControlPlane, epoch: number, bytes: Uint8Array, version: number) {
  const served = control.addVersion(bytes, version)
  return { served, signed: control.publish(epoch, [routeTo(served, 'delay', ['p', 'q'])], [served]) }
}

test('a gateway without a snapshot answers 503 and is not ready', async () => {
  const gateway = await start()
  expect((await predict(gateway)).status).toBe(503)
  expect((await predict(gateway)).headers.get('retry-after')).toBe('1')
  expect((await fetch(`${gateway.url}/v2/health/ready`)).status).toBe(503)
  expect((await fetch(`${gateway.url}/v2/health/live`)).status).toBe(200)
})

test('offer() moves from version 1 to 2 under load without a failed request', async () => {
  const gateway = await start()
  const { control } = gateway
  expect(await gateway.gateway.offer(publish(control, 1, identityModel(), 1).signed)).toBe(true)
  let isDone = false
  const seen = new Map<string, number>()
  const client = async () => {
    while (!isDone) {
      const response = await predict(gateway)
      const body = (await response.json()) as { predictions?: { y: number[] }[] }
      const key = `${response.status} ${response.headers.get('x-plimsoll-version')} ${body.predictions?.[0]?.y}`
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
  }
  const clients = Array.from({ length: 8 }, client)
  await expect.poll(() => seen.size).toBe(1)
  expect(await gateway.gateway.offer(publish(control, 2, unary('Neg'), 2).signed)).toBe(true)
  expect(await versionOf(gateway)).toBe('delay/2')
  isDone = true
  await Promise.all(clients)
  expect([...seen.keys()].sort()).toEqual(['200 delay/1 1,2', '200 delay/2 -1,-2'])
})

test('offer() refuses an older epoch, a foreign key, an altered payload and a stray approval, and the one before stays', async () => {
  const gateway = await start()
  const { control } = gateway
  const older = publish(control, 4, identityModel(), 1).signed
  const { served, signed } = publish(control, 5, identityModel(), 1)
  expect(await gateway.gateway.offer(signed)).toBe(true)
  expect(await gateway.gateway.offer(older)).toBe(false)
  expect(gateway.gateway.refused()).toBeNull()
  const content = { ...JSON.parse(signed.payload), epoch: 6 }
  const refused = [
    control.sign(content, newSigningKey()),
    { ...signed, payload: JSON.stringify(content) },
    control.sign({
      ...content,
      versions: [
        { ...served, approvals: [{ by: 'eve', artifact: `sha256:${'f'.repeat(64)}`, passport: served.passport }] },
      ],
    }),
  ]
  for (const one of refused) {
    expect(await gateway.gateway.offer(one)).toBe(false)
    expect(gateway.gateway.refused()).toMatchObject({ epoch: 6, reason: expect.stringMatching(/^Cannot /) })
    expect(await versionOf(gateway)).toBe('delay/1')
  }
  expect(gateway.gateway.live()?.snapshot.epoch).toBe(5)
})

test('a route that cannot be compiled keeps what it served, one that never served is left out, the others move on', async () => {
  const gateway = await start({ settings: { retainMs: 1 } })
  const { control } = gateway
  const one = control.addVersion(identityModel(), 1)
  const two = control.addVersion(unary('Neg'), 2)
  const bad = { columns: [{ name: 'p', source: { from: 'feature' as const, feature: 'none' } }] }
  const routes = [routeTo(one, 'delay', ['p', 'q']), routeTo(one, 'other', ['p', 'q'])]
  await gateway.gateway.offer(control.publish(1, routes, [one]))
  const mixed = [
    routeTo(two, 'delay', ['p', 'q'], bad),
    routeTo(two, 'fresh', ['p', 'q'], bad),
    routeTo(two, 'other', ['p', 'q']),
  ]
  expect(await gateway.gateway.offer(control.publish(2, mixed, [two]))).toBe(true)
  expect([gateway.gateway.settledEpoch(), gateway.gateway.refused()]).toEqual([
    2,
    { epoch: 2, reason: expect.stringContaining('route delay: Cannot compile the route') },
  ])
  await expect.poll(() => gateway.pool.describe(two.artifact)?.state).toBe('ready')
  const served = async (route: string) =>
    (await predict(gateway, { p: 1, q: 2 }, route)).headers.get('x-plimsoll-version')
  expect([await served('delay'), await served('fresh'), await served('other')]).toEqual(['delay/1', null, 'delay/2'])
  // What a prediction's record says of where its route comes from.
  const { routes: live } = gateway.gateway.live()!
  expect([live.get('delay')?.snapshot, live.get('other')?.snapshot]).toEqual([1, 2])
  expect(await gateway.gateway.offer(control.publish(3, [routeTo(two, 'delay', ['p', 'q'])], [two]))).toBe(true)
  expect([gateway.gateway.refused(), await served('delay')]).toEqual([null, 'delay/2'])
})

test('a model that cannot be loaded now takes down its own route only, which comes back by itself', async () => {
  const gateway = await start()
  const { control } = gateway
  const good = control.addVersion(identityModel(), 1)
  const bad = control.addVersion(unary('Neg'), 2)
  const bytes = control.blobs.get(bad.artifact)!
  control.blobs.set(
    bad.artifact,
    bytes.map((byte, index) => (index === bytes.length - 1 ? byte ^ 1 : byte)),
  )
  const routes = [routeTo(bad, 'broken', ['p', 'q']), routeTo(good, 'sound', ['p', 'q'])]
  const signed = control.publish(1, routes, [bad, good])
  const ask = async (route: string) => (await predict(gateway, { p: 1, q: 2 }, route)).status
  expect(await gateway.gateway.offer(signed)).toBe(false)
  expect([await ask('sound'), await ask('broken'), await ask('other')]).toEqual([200, 503, 404])
  expect(await (await predict(gateway, { p: 1, q: 2 }, 'broken')).json()).toMatchObject({
    code: 'serving.route_unready',
    detail: expect.stringContaining('another digest'),
  })
  expect(gateway.gateway.refused()).toMatchObject({ epoch: 1, reason: expect.stringContaining('route broken') })
  expect(existsSync(join(gateway.directory, 'snapshot.json'))).toBe(false)
  // A release of another route meanwhile is not held up.
  const next = control.publish(2, [routeTo(bad, 'broken', ['p', 'q'])], [bad])
  expect(await gateway.gateway.offer(next)).toBe(false)
  expect([await ask('sound'), await ask('broken')]).toEqual([404, 503])
  expect(gateway.gateway.settledEpoch()).toBe(1)
  control.blobs.set(bad.artifact, bytes)
  expect(await gateway.gateway.offer(next)).toBe(true)
  expect([await ask('broken'), gateway.gateway.refused(), gateway.gateway.settledEpoch()]).toEqual([200, null, 2])
  expect(existsSync(join(gateway.directory, 'snapshot.json'))).toBe(true)
})

test('settledEpoch() is not raised by an unsigned snapshot, nor by a model that cannot be fetched now', async () => {
  const gateway = await start()
  const { control } = gateway
  await gateway.gateway.offer(publish(control, 1, identityModel(), 1).signed)
  const forged = control.sign(
    { v: 1, epoch: 1_000, issuedAtMs: 0, clock: null, routes: [], versions: [] },
    newSigningKey(),
  )
  await gateway.gateway.offer(forged)
  expect(gateway.gateway.settledEpoch()).toBe(1)
  const { served, signed } = publish(control, 2, unary('Neg'), 2)
  const bytes = control.blobs.get(served.artifact)!
  control.blobs.delete(served.artifact)
  expect(await gateway.gateway.offer(signed)).toBe(false)
  expect(gateway.gateway.settledEpoch()).toBe(1)
  control.blobs.set(served.artifact, bytes)
  expect(await gateway.gateway.offer(signed)).toBe(true)
  expect(gateway.gateway.refused()).toBeNull()
})

test('require() keeps nothing of model bytes that have another digest, or are more than there should be', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-models-'))
  const options = { budgetBytes: 1, clock: realClock }
  const link = {
    fetchBlob: async function* () {
      yield Buffer.from('abcd')
    },
  }
  const files = openModelFiles(directory, link, options)
  for (const [text, bytes] of [
    ['abce', 4],
    ['abcd', 3],
  ] as const)
    await expect(files.require(digestBytes(Buffer.from(text)), bytes)).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'serving.model_altered',
    })
  expect(readdirSync(directory)).toEqual([])
})

test('offer() refuses model bytes of another digest, over the network and on disk', async () => {
  const gateway = await start()
  const { control } = gateway
  await gateway.gateway.offer(publish(control, 1, identityModel(), 1).signed)
  const { served, signed } = publish(control, 2, unary('Neg'), 2)
  const good = control.blobs.get(served.artifact)!
  control.blobs.set(
    served.artifact,
    good.map((byte, index) => (index === good.length - 1 ? byte ^ 1 : byte)),
  )
  expect(await gateway.gateway.offer(signed)).toBe(false)
  expect(gateway.gateway.refused()?.reason).toMatch(/another digest/)
  expect(await versionOf(gateway)).toBe('delay/1')
  const path = join(gateway.directory, 'models', `${served.artifact.slice(7)}.onnx`)
  mkdirSync(join(gateway.directory, 'models'), { recursive: true })
  writeFileSync(path, control.blobs.get(served.artifact)!)
  control.blobs.set(served.artifact, good)
  expect(await gateway.gateway.offer(signed)).toBe(true)
  expect(Buffer.compare(readFileSync(path), good)).toBe(0)
  expect(await versionOf(gateway)).toBe('delay/2')
})

test('restore() serves from disk while the control plane is dead, keeps the epoch, and ignores an older push', async () => {
  const control = openControlPlane()
  const first = await openTestGateway({ control })
  running.push(first)
  const older = publish(control, 2, identityModel(), 1).signed
  await first.gateway.offer(publish(control, 3, identityModel(), 1).signed)
  await stopKeeping(first)
  control.isDown = true
  const second = await start({ control, directory: first.directory, withLoops: true })
  expect((await fetch(`${second.url}/v2/health/ready`)).status).toBe(200)
  expect(await versionOf(second)).toBe('delay/1')
  expect(second.gateway.live()?.snapshot.epoch).toBe(3)
  expect(await second.gateway.offer(older)).toBe(false)
  control.isDown = false
  publish(control, 4, unary('Neg'), 2)
  await expect.poll(() => second.gateway.live()?.snapshot.epoch).toBe(4)
  expect(await versionOf(second)).toBe('delay/2')
})

test('restore() does not serve a kept snapshot that was altered', async () => {
  const control = openControlPlane()
  const first = await openTestGateway({ control })
  running.push(first)
  await first.gateway.offer(publish(control, 3, identityModel(), 1).signed)
  await stopKeeping(first)
  const path = join(first.directory, 'snapshot.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace('epoch\\":3', 'epoch\\":9'))
  const second = await start({ control, directory: first.directory })
  expect(second.gateway.live()).toBeUndefined()
  expect((await predict(second)).status).toBe(503)
})

test('records written before a kill are shipped by the next start, once by boot and sequence', async () => {
  const control = openControlPlane()
  const first = await openTestGateway({ control })
  running.push(first)
  await first.gateway.offer(publish(control, 1, identityModel(), 1).signed)
  const ids = []
  for (let index = 0; index < 5; index++) ids.push((await predict(first)).headers.get('x-plimsoll-prediction-id'))
  const open = readdirSync(join(first.directory, 'segments'))
  expect(open).toEqual([`${first.log.boot}-0.open`]) // never closed: as a killed process leaves it
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-killed-'))
  cpSync(first.directory, directory, { recursive: true })
  const second = await start({ control, directory, withLoops: true })
  await expect.poll(() => control.segments.size).toBe(1)
  const shipped = readFrames(control.segments.get(`${first.log.boot}-0`)!).payloads.map(
    (payload) => JSON.parse(payload.toString()).id,
  )
  expect(shipped).toEqual(ids)
  await expect.poll(() => second.log.pending()).toEqual([])
})

test('a closed segment that is damaged is put aside; its whole records ship, and so do the segments behind it', async () => {
  const control = openControlPlane()
  const first = await openTestGateway({ control })
  running.push(first)
  await first.gateway.offer(publish(control, 1, identityModel(), 1).signed)
  const ids = []
  for (let index = 0; index < 3; index++) ids.push((await predict(first)).headers.get('x-plimsoll-prediction-id'))
  first.log.rotate(true)
  const [segment] = first.log.pending()
  const bytes = readFileSync(segment!.path)
  const second = bytes.indexOf(ids[1]!)
  bytes[second] = bytes[second]! ^ 1
  writeFileSync(segment!.path, bytes)
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-damaged-'))
  cpSync(first.directory, directory, { recursive: true })
  const next = await start({ control, directory, withLoops: true })
  await next.gateway.offer(publish(control, 1, identityModel(), 1).signed)
  await predict(next)
  next.log.rotate(true)
  await expect
    .poll(() => [...control.segments.keys()].sort())
    .toEqual([`${first.log.boot}-0`, `${next.log.boot}-0`].sort())
  await expect.poll(() => next.log.pending()).toEqual([])
  const shipped = readFrames(control.segments.get(`${first.log.boot}-0`)!).payloads
  expect(shipped.map((payload) => JSON.parse(String(payload)).id)).toEqual([ids[0], ids[2]])
  const kept = join(directory, 'segments', `${first.log.boot}-0.segment.damaged`)
  expect(readFileSync(kept).equals(bytes)).toBe(true)
})

test('a model whose time in memory ends while a snapshot that needs it is being taken serves in it', async () => {
  const gateway = await start({ settings: { retainMs: 100 } })
  const { control } = gateway
  const one = control.addVersion(identityModel(), 1)
  const two = control.addVersion(unary('Neg'), 2)
  const three = control.addVersion(unary('Abs'), 3)
  const routes = [routeTo(one, 'delay', ['p', 'q'])]
  await gateway.gateway.offer(control.publish(1, routes, [one]))
  await gateway.gateway.offer(control.publish(2, [routeTo(two, 'delay', ['p', 'q'])], [two]))
  const bytes = control.fetchBlob
  const arrived = Promise.withResolvers<void>()
  control.fetchBlob = async function* (artifact) {
    await arrived.promise
    yield* bytes(artifact)
  }
  const taken = gateway.gateway.offer(control.publish(3, [...routes, routeTo(three, 'abs', ['p', 'q'])], [one, three]))
  await realClock.sleep(300) // past the time of version 1
  arrived.resolve()
  expect(await taken).toBe(true)
  await expect.poll(() => gateway.pool.describe(two.artifact)).toBeUndefined()
  expect(await versionOf(gateway)).toBe('delay/1')
})

test('files of models that do not serve go when they pass the budget, those first that served longest ago', async () => {
  const models = [identityModel(), unary('Neg'), unary('Abs'), unary('Sqrt')]
  const room = models.reduce((sum, bytes) => sum + bytes.length, -1) // for three of the four
  const gateway = await start({ settings: { retainMs: 1, modelFilesBytesMax: room } })
  const { control } = gateway
  const digests = []
  for (const [index, bytes] of models.entries()) {
    const { served, signed } = publish(control, index + 1, bytes, index + 1)
    expect(await gateway.gateway.offer(signed)).toBe(true)
    digests.push(`${served.artifact.slice(7)}.onnx`)
  }
  const kept = () => readdirSync(join(gateway.directory, 'models')).sort()
  await expect.poll(kept).toEqual(digests.slice(1).sort())
  writeFileSync(join(gateway.directory, 'models', `${'0'.repeat(64)}.onnx.part`), 'left by a killed process')
  await gateway.gateway.offer(publish(control, 5, models[1]!, 2).signed) // rolled back: used last now
  await gateway.gateway.offer(publish(control, 6, models[0]!, 1).signed)
  await expect.poll(kept).toEqual([digests[0], digests[1], digests[3]].sort())
  expect(await versionOf(gateway)).toBe('delay/1')
})

test('a full spool refuses predictions instead of leaving them unrecorded', async () => {
  const gateway = await start({ settings: { spoolBytesMax: 1 } })
  await gateway.gateway.offer(publish(gateway.control, 1, identityModel(), 1).signed)
  expect((await predict(gateway)).status).toBe(200)
  const refused = await predict(gateway)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
})

test('a record too large for a frame keeps its identity, and the records after it are read', async () => {
  const gateway = await start()
  const { control } = gateway
  const text = control.addVersion(identityModel('BYTES', ['n']))
  const inputs = { x: { type: 'text' as const, nullable: false } }
  await gateway.gateway.offer(control.publish(1, [routeTo(text, 'text', ['x'], { inputs })], [text]))
  const rows = Array.from({ length: 500 }, () => ({ x: 'é'.repeat(4_000) }))
  const large = await predict(gateway, { rows }, 'text')
  await predict(gateway, { x: 'small' }, 'text')
  expect(large.status).toBe(200)
  const [first, second] = gateway.records()
  expect(first).toMatchObject({ id: large.headers.get('x-plimsoll-prediction-id'), rows: 500, loggedRows: 65 })
  expect(first!.outputs!['y']).toHaveLength(65)
  expect(second).toMatchObject({ rows: 1, outputs: { y: ['small'] } })
})

test('connections beyond the limit are dropped', async () => {
  const gateway = await start({ settings: { connectionsMax: 1 } })
  const first = connect(Number(new URL(gateway.url).port), '127.0.0.1')
  await once(first, 'connect')
  await expect(statusOf(`${gateway.url}/v2/health/live`)).rejects.toMatchObject({ code: 'ECONNRESET' })
  first.destroy()
  await expect.poll(() => statusOf(`${gateway.url}/v2/health/live`).catch(() => 0)).toBe(200)
})

/** The status over a connection of the agent, or over a new one. */
const statusOf = (url: string, body?: string, agent?: Agent): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const call = request(url, { method: body === undefined ? 'GET' : 'POST', agent: agent ?? false, headers })
    call.once('response', (response) => response.resume().once('end', () => resolve(response.statusCode)))
    call.once('error', reject)
    call.end(body)
  })

test('drain() serves on old and new connections while it delays, ready as 503 and live as 200, then closes', async () => {
  const delay = Promise.withResolvers<void>()
  const asked: number[] = []
  const clock = { ...realClock, sleep: (ms: number) => delay.promise.finally(() => void asked.push(ms)) }
  const gateway = await start({ clock })
  await gateway.gateway.offer(publish(gateway.control, 1, identityModel(), 1).signed)
  const agents = Array.from({ length: 4 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  let isDone = false
  const statuses: (number | undefined)[] = []
  const client = async (agent?: Agent) => {
    while (!isDone) statuses.push(await statusOf(`${gateway.url}/predict/delay`, '{"p":1,"q":2}', agent))
  }
  const clients = [...agents.map(client), client(), client()]
  await expect.poll(() => statuses.length).toBeGreaterThan(20)
  let isDrained = false
  const drained = gateway.server.drain({ delayMs: 5_000 }).finally(() => {
    isDrained = true
  })
  for (let probe = 0; probe < 20; probe++) {
    const states = ['v2/health/ready', 'v2/health/live', 'health', 'ping'].map((path) =>
      statusOf(`${gateway.url}/${path}`),
    )
    expect(await Promise.all(states)).toEqual([503, 200, 503, 503])
  }
  const before = statuses.length
  await expect.poll(() => statuses.length).toBeGreaterThan(before + 20)
  isDone = true
  await Promise.all(clients)
  expect([[...new Set(statuses)], isDrained, asked]).toEqual([[200], false, []])
  delay.resolve()
  await drained
  expect(asked).toEqual([5_000])
  await expect(statusOf(`${gateway.url}/v2/health/live`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  for (const agent of agents) agent.destroy()
})

test('drain() without a delay answers what runs, tells readiness at once, and closes', async () => {
  const gateway = await start()
  const { control } = gateway
  const trips = control.addVersion(tripsModel())
  await gateway.gateway.offer(control.publish(1, [routeTo(trips, 'trips', ['x'])], [trips]))
  const slow = Array.from({ length: 4 }, () => predict(gateway, { x: 300_000 }, 'trips'))
  await expect.poll(() => gateway.gateway.live()?.routes.get('trips')?.inflight).toBe(4)
  // A connection that the server has and that has asked for nothing yet: what is new is not taken any more.
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
  socket.write('GET /v2/health/ready HTTP/1.1\r\n')
  await once(socket, 'connect')
  expect((await fetch(`${gateway.url}/v2/health/ready`)).status).toBe(200) // and so its first line has arrived
  const drained = gateway.server.drain()
  socket.write(`host: ${new URL(gateway.url).host}\r\n\r\n`)
  expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1\.1 503 /)
  const answers = await Promise.all(slow)
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200])
  expect(answers.map((answer) => answer.headers.get('connection'))).toEqual(['close', 'close', 'close', 'close'])
  await drained
  expect(gateway.records()).toHaveLength(4)
  await expect(predict(gateway, { x: 1 }, 'trips')).rejects.toThrow()
})
