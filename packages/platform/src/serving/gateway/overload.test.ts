import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identityModel, tripsModel } from '../../inference/onnx.fixture.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

const BODY_BYTES_MAX = 1 << 20
const PREDICTING = ['/predict/narrow', '/invocations', '/invocations/narrow', '/v2/models/narrow/infer']
let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway({ settings: { bodyBytesMax: BODY_BYTES_MAX } })
  const version = opened.control.addVersion(identityModel())
  const routes = [routeTo(version, 'narrow', ['p', 'q'], { inflightMax: 1 })]
  expect(await opened.gateway.offer(opened.control.publish(1, routes, [version]))).toBe(true)
})
afterAll(() => opened.close())

/** Occupies the only place of the route, as a request does that runs. */
function fill(): Disposable {
  const entry = opened.gateway.live()!.routes.get('narrow')!
  entry.inflight++
  return { [Symbol.dispose]: () => void entry.inflight-- }
}

function head(path: string, length: number | 'chunked', more = ''): string {
  const extent = length === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${length}`
  return `POST ${path} HTTP/1.1\r\nhost: ${new URL(opened.url).host}\r\ncontent-type: application/json\r\n${extent}\r\n${more}\r\n`
}

const health = () => `GET /health HTTP/1.1\r\nhost: ${new URL(opened.url).host}\r\n\r\n`

/** What the gateway says on one connection until `isDone`, or until it closes that. */
function converse(parts: readonly (string | Buffer)[], isDone: (said: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(opened.url).port), '127.0.0.1')
    let said = ''
    socket.on('data', (chunk) => {
      said += String(chunk)
      if (isDone(said)) socket.end()
    })
    socket.once('close', () => resolve(said))
    socket.once('error', reject)
    for (const part of parts) socket.write(part)
  })
}

const statusesOf = (said: string) => [...said.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => Number(match[1]))
const LARGE = Buffer.alloc(600_000, '{')

test.each(PREDICTING)(
  '%s refuses on a full route without a look at the body, and the connection goes on in order',
  async (path) => {
    using _full = fill()
    const chunked = [`${LARGE.length.toString(16)}\r\n`, LARGE, '\r\n0\r\n\r\n']
    const said = await converse(
      [head(path, LARGE.length), LARGE, head(path, 'chunked'), ...chunked, head(path, 5), 'never', health()],
      (text) => statusesOf(text).length === 4,
    )
    expect(statusesOf(said)).toEqual([503, 503, 503, 200])
    expect(said.match(/"serving\.route_full"/g)).toHaveLength(3)
    expect(said.match(/^retry-after: 1\r$/gim)).toHaveLength(3)
    expect(said).not.toMatch(/^connection: close/im)
  },
)

describe('a client that waits to be asked for its body', () => {
  const EXPECT = 'expect: 100-continue\r\n'

  test.each(PREDICTING)('is refused by %s without having sent it, and the connection ends', async (path) => {
    using _full = fill()
    const said = await converse([head(path, LARGE.length, EXPECT)], () => false)
    expect(statusesOf(said)).toEqual([503])
    expect(said).toMatch(/^connection: close/im)
  })

  test('is not asked for one that is too large, nor where none is read', async () => {
    expect(statusesOf(await converse([head('/predict/narrow', BODY_BYTES_MAX + 1, EXPECT)], () => false))).toEqual([
      413,
    ])
    const index = await converse([head('/v2/repository/index', 2, EXPECT)], () => false)
    expect(statusesOf(index)).toEqual([200])
    expect(index).toMatch(/^connection: close/im)
  })

  test('is asked when there is a place, and the connection goes on', async () => {
    const body = '{"rows":[{"p":1,"q":2}]}'
    const parts = [head('/predict/narrow', body.length, EXPECT), body, health()]
    const said = await converse(parts, (text) => statusesOf(text).length === 3)
    expect(statusesOf(said)).toEqual([100, 200, 200])
    expect(said).not.toMatch(/^connection: close/im)
  })
})

test('a body that is too large is told so on a full route too, and ends the connection', async () => {
  using _full = fill()
  const said = await converse([head('/predict/narrow', BODY_BYTES_MAX + 1)], () => false)
  expect(statusesOf(said)).toEqual([413])
  expect(said).toMatch(/^connection: close/im)
  const chunk = Buffer.alloc(BODY_BYTES_MAX + 1, '{')
  const endless = [head('/predict/narrow', 'chunked'), `${chunk.length.toString(16)}\r\n`, chunk]
  expect(statusesOf(await converse(endless, () => false))).toEqual([413])
})

test('a deadline that cannot be met refuses before the body is parsed', async () => {
  const headers = { 'content-type': 'application/json', 'x-request-timeout-ms': '0.001' }
  const answer = await fetch(`${opened.url}/predict/narrow`, { method: 'POST', headers, body: 'no json' })
  const { code } = (await answer.json()) as { code: string }
  expect([answer.status, code]).toEqual([504, 'inference.deadline_passed'])
})

test('each refusal is counted by its reason, also one before the body is parsed', async () => {
  const counted = async () => {
    const text = await (await fetch(`${opened.url}/metrics`)).text()
    const lines = text.matchAll(/^plimsoll_refusals_total\{route="([^"]+)",reason="([^"]+)",.*\} (\d+)$/gm)
    return new Map(Array.from(lines, ([, route, reason, count]) => [`${route} ${reason}`, Number(count)]))
  }
  const ask = (path: string, body: string) =>
    fetch(opened.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  const before = await counted()
  {
    using _full = fill()
    for (const path of PREDICTING) expect((await ask(path, 'never read')).status).toBe(503)
  }
  expect((await ask('/predict/narrow', 'no json')).status).toBe(400)
  expect((await ask('/predict/nowhere', '{"rows":[]}')).status).toBe(404)
  expect((await ask('/predict/narrow', '{"rows":[{"p":1,"q":2}]}')).status).toBe(200)
  const after = await counted()
  const more = [...after]
    .map(([key, count]) => [key, count - (before.get(key) ?? 0)])
    .filter(([, count]) => count !== 0)
  expect(Object.fromEntries(more)).toEqual({
    'narrow serving.route_full': PREDICTING.length,
    'narrow serving.bad_json': 1,
    'unknown serving.route_unknown': 1,
  })
})

test('64 waiting requests of one row take two runs of 32, and the statistics count rows, runs and requests', async () => {
  const gateway = await openTestGateway({ pool: { maxBatchRows: 32 } })
  try {
    const { control, pool, url } = gateway
    const versions = { delay: control.addVersion(identityModel()), trips: control.addVersion(tripsModel()) }
    const routes = [routeTo(versions.delay, 'delay', ['p', 'q']), routeTo(versions.trips, 'trips', ['x'])]
    expect(await gateway.gateway.offer(control.publish(1, routes, Object.values(versions)))).toBe(true)
    const ask = (path: string, body: object) =>
      fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const counted = async () => {
      const { model_stats } = (await (await fetch(`${url}/v2/models/delay/stats`)).json()) as {
        model_stats: {
          inference_count: number
          execution_count: number
          inference_stats: { success: { count: number } }
        }[]
      }
      const [{ inference_count, execution_count, inference_stats }] = model_stats as [(typeof model_stats)[0]]
      return [inference_count, execution_count, inference_stats.success.count]
    }
    const before = await counted()
    const { pid } = pool.stats().hosts[0]!
    process.kill(pid!, 'SIGSTOP')
    const running = ask('/predict/trips', { x: 1 })
    await expect.poll(() => pool.stats().hosts[0]!.state).toBe('busy')
    const waiting = Array.from({ length: 64 }, (_, row) =>
      ask('/v2/models/delay/infer', { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [row, -row] }] }),
    )
    const queued = () => pool.stats().models.find(({ digest }) => digest === versions.delay.artifact)!.queuedRequests
    await expect.poll(queued, { timeout: 10_000 }).toBe(64)
    process.kill(pid!, 'SIGCONT')
    const answers = await Promise.all(waiting)
    expect([...new Set(answers.map(({ status }) => status)), (await running).status]).toEqual([200, 200])
    expect((await counted()).map((count, index) => count - before[index]!)).toEqual([64, 2, 64])
  } finally {
    await gateway.close()
  }
})
