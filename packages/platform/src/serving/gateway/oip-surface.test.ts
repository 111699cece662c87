import { readdirSync, readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel, model } from '../../inference/onnx.fixture.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

/** Takes a text, and answers with the number beside it. */
const besideText = () =>
  model({
    nodes: [{ op: 'Identity', inputs: ['amount'], outputs: ['y'] }],
    inputs: [
      { name: 'name', type: 'BYTES', shape: ['n'] },
      { name: 'amount', type: 'FP32', shape: ['n'] },
    ],
    outputs: [{ name: 'y', type: 'FP32', shape: ['n'] }],
  })

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway()
  const { control, gateway } = opened
  const versions = {
    delay: control.addVersion(identityModel(), 7),
    fp16: control.addVersion(identityModel('FP16')),
    fixed: control.addVersion(identityModel('FP32', [4])),
    named: control.addVersion(besideText()),
  }
  const routes = Object.entries(versions).map(([name, version]) =>
    name === 'named'
      ? routeTo(version, name, ['name', 'amount'], {
          inputs: { name: { type: 'text', nullable: false }, amount: { type: 'float64', nullable: false } },
          redacted: ['name'],
        })
      : routeTo(version, name, ['p', 'q']),
  )
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

test('a text that the route redacts is in no segment, whatever it came by', async () => {
  const amount = { name: 'amount', datatype: 'FP32', shape: [1], data: [1] }
  const text = (parts: object) => ({ name: 'name', datatype: 'BYTES', shape: [1], ...parts })
  const secret = 'Ada of Bletchley'
  const element = Buffer.concat([Buffer.from(Uint32Array.of(secret.length).buffer), Buffer.from(secret)])
  const header = JSON.stringify({ inputs: [text({ parameters: { binary_data_size: element.length } }), amount] })
  const infer = '/v2/models/named/infer'
  const row = { name: secret, amount: 1 }
  const length = { 'inference-header-content-length': String(header.length) }
  const asked: [string, string | Buffer, Record<string, string>?][] = [
    [infer, JSON.stringify({ inputs: [text({ data: [secret] }), amount] })],
    [infer, Buffer.concat([Buffer.from(header), element]), length],
    ['/predict/named', JSON.stringify({ rows: [row] })],
    ['/invocations/named', JSON.stringify({ dataframe_records: [row] })],
    ['/invocations/named', JSON.stringify({ inputs: { name: [secret], amount: [1] } })],
  ]
  const ids: (string | null)[] = []
  for (const [path, body, headers] of asked) {
    const answer = await fetch(opened.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : new Uint8Array(body),
    })
    expect([path, answer.status, await answer.text()]).toEqual([path, 200, expect.not.stringContaining(secret)])
    ids.push(answer.headers.get('x-plimsoll-prediction-id'))
  }
  const records = opened.records().filter(({ id }) => ids.includes(id))
  expect(records.map(({ outputs }) => outputs)).toEqual(asked.map(() => ({ y: [1] })))
  const shown = { inputs: [{ name: '[redacted]', amount: 1 }] }
  expect(records.map(({ payload }) => payload)).toMatchObject([
    { protocol: 'oip' },
    { protocol: 'oip' },
    shown,
    shown,
    shown,
  ])
  const segments = join(opened.directory, 'segments')
  const written = readdirSync(segments).map((name) => readFileSync(join(segments, name)))
  expect(written.filter((bytes) => bytes.includes(secret))).toEqual([])
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
