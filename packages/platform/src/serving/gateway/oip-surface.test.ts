import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel } from '../../inference/onnx.fixture.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway()
  const { control, gateway } = opened
  const versions = {
    delay: control.addVersion(identityModel(), 7),
    fp16: control.addVersion(identityModel('FP16')),
    fixed: control.addVersion(identityModel('FP32', [4])),
  }
  const routes = Object.entries(versions).map(([name, version]) => routeTo(version, name, ['p', 'q']))
  expect(await gateway.offer(control.publish(1, routes, Object.values(versions)))).toBe(true)
})
afterAll(() => opened.close())

type Json = Record<string, unknown>
async function call(path: string, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${opened.url}/v2${path}`, {
    ...(body === undefined
      ? {}
      : { method: 'POST', body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body) }),
    headers: { 'content-type': 'application/json', ...headers },
  })
  const text = await response.text()
  return { status: response.status, json: (text === '' ? {} : JSON.parse(text)) as Json }
}

test('answerOip() refuses FP16 as JSON before the model runs, and records nothing', async () => {
  const json = Buffer.from(
    JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP16', shape: [1, 2], parameters: { binary_data_size: 4 } }] }),
  )
  const runs = () =>
    opened.pool.stats().models.reduce((sum, { executionCount }) => sum + executionCount, 0) + opened.records().length
  const before = runs()
  const body = Uint8Array.from([...json, 0, 0x3c, 0, 0x40])
  const { status, json: answer } = await call('/models/fp16/infer', body, {
    'inference-header-content-length': String(json.length),
  })
  expect([status, answer['code']]).toEqual([400, 'inference.fp16_needs_binary'])
  expect(runs()).toBe(before)
})

test.each(['', '/ready', '/config', '/stats'])(
  'answerOip() knows an arm by its name at versions/champion%s',
  async (verb) => {
    const named = await call(`/models/delay/versions/champion${verb}`)
    expect(named).toEqual(await call(`/models/delay/versions/7${verb}`))
    expect(named.status).toBe(200)
    expect((await call(`/models/delay/versions/challenger${verb}`)).status).toBe(404)
  },
)

test.each([
  '/trace/setting',
  '/logging',
  '/systemsharedmemory/status',
  '/cudasharedmemory/region/r/status',
  '/models/delay/trace/setting',
  '/models/delay/versions/7/trace/setting',
])('answerOip() says of %s that it is not supported', async (path) => {
  for (const body of [undefined, {}]) {
    const { status, json } = await call(path, body)
    expect([status, json['code']]).toEqual([501, 'serving.unsupported'])
  }
})

test.each(['/repository/index/extra', '/repository/models/delay/load/extra'])(
  'answerOip() does not know %s',
  async (path) => expect((await call(path, {})).status).toBe(404),
)

test('answerOip() tells of dynamic batching only where the model batches', async () => {
  expect((await call('/models/delay/config')).json).toHaveProperty('dynamic_batching')
  const { json } = await call('/models/fixed/config')
  expect(json).toMatchObject({ max_batch_size: 0 })
  expect(json).not.toHaveProperty('dynamic_batching')
})

test.each([
  ['/v2/health/live', 'application/json'],
  ['/ping', 'application/problem+json'],
])('demandKnownExpectation() refuses at %s with a body', async (path, type) => {
  const answer = await new Promise<{ status: number | undefined; type: string | undefined; code: string }>(
    (resolve, reject) => {
      const headers = { expect: '200-ok' }
      httpRequest({ host: '127.0.0.1', port: opened.server.port, path, headers }, (response) => {
        response.toArray().then(
          (chunks) =>
            resolve({
              status: response.statusCode,
              type: response.headers['content-type'],
              code: JSON.parse(Buffer.concat(chunks).toString()).code,
            }),
          reject,
        )
      })
        .on('error', reject)
        .end()
    },
  )
  expect(answer).toEqual({ status: 417, type, code: 'serving.bad_expectation' })
})
