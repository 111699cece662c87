import { request as httpRequest } from 'node:http'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identityModel, tripsModel } from '../../inference/onnx.fixture.ts'
import { realClock } from '../../kernel/clock.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway()
  const delay = opened.control.addVersion(identityModel())
  const trips = opened.control.addVersion(tripsModel())
  const single = opened.control.addVersion(identityModel('FP32', [1, 2]))
  const routes = [
    routeTo(delay, 'delay', ['p', 'q']),
    routeTo(trips, 'trips', ['x']),
    routeTo(single, 'single', ['p', 'q']),
  ]
  expect(await opened.gateway.offer(opened.control.publish(1, routes, [delay, trips, single]))).toBe(true)
})
afterAll(() => opened.close())

/** What was answered; each test looks at the members that it names. */
interface Body {
  code: string
  detail?: string
  error?: string
  predictions: { y: unknown }[]
  outputs: { data: unknown }[]
}
const bodyOf = async (response: Response): Promise<Body> => (await response.json()) as Body
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${opened.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const x = (shape: number[], data: unknown) => ({ name: 'x', datatype: 'FP32', shape, data })

describe('a request of more rows than a batch takes', () => {
  const values = (count: number) => Array.from({ length: count }, (_, index) => [index, index + 0.5])
  const entries: [string, (count: number) => object, (body: Body) => unknown, string][] = [
    [
      '/predict/delay',
      (count) => ({ rows: values(count).map(([p, q]) => ({ p, q })) }),
      (body) => body.predictions.map(({ y }) => y),
      'serving.bad_rows',
    ],
    [
      '/invocations/delay',
      (count) => ({ dataframe_split: { columns: ['p', 'q'], data: values(count) } }),
      (body) => body.predictions,
      'serving.bad_rows',
    ],
    [
      '/v2/models/delay/infer',
      (count) => ({ inputs: [x([count, 2], values(count))] }),
      (body) => body.outputs[0]?.data,
      'inference.too_many_rows',
    ],
  ]

  test.each(entries)(
    '%s answers all 10,000 in order under one id, and refuses one more',
    async (path, body, answered, code) => {
      const response = await post(path, body(10_000))
      expect(response.status).toBe(200)
      expect([answered(await bodyOf(response))].flat(3)).toEqual(values(10_000).flat())
      const id = response.headers.get('x-plimsoll-prediction-id')
      expect(opened.records().filter((record) => record.id === id)).toMatchObject([{ rows: 10_000 }])
      const refused = await post(path, body(10_001))
      expect([refused.status, (await bodyOf(refused)).code]).toEqual([400, code])
    },
  )
})

test.each([
  ['/predict/delay', (count: number) => `{"rows":[${'[],'.repeat(count)}0]}`],
  ['/invocations/delay', (count: number) => `{"dataframe_records":[${'{},'.repeat(count)}{}]}`],
  ['/predict/delay', (count: number) => `{${Array.from({ length: count / 4 }, (_, at) => `"k${at}":0`)}}`],
])('%s refuses JSON of far more values than its rows have before it is parsed', async (path, bodyOfCount) => {
  const headers = { 'content-type': 'application/json' }
  const refused = await fetch(`${opened.url}${path}`, { method: 'POST', headers, body: bodyOfCount(100_000) })
  expect([refused.status, await bodyOf(refused)]).toEqual([
    413,
    expect.objectContaining({ code: 'http.json_too_large', action: 'Send fewer rows at a time' }),
  ])
})

test.each(['/predict/delay', '/v2/models/delay/infer'])('%s takes JSON in UTF-8 only', async (path) => {
  const refused = await post(path, { p: 1, q: 2 }, { 'content-type': 'application/json; charset=utf-16' })
  expect([refused.status, (await bodyOf(refused)).code]).toEqual([415, 'http.charset'])
})

test('the description of a route says how many rows a request takes', async () => {
  const textOf = async (route: string) => (await fetch(`${opened.url}/predict/${route}/openapi.json`)).text()
  expect(await textOf('delay')).toContain('"rows":{"type":"array","minItems":1,"maxItems":10000,')
  expect(await textOf('single')).toContain('"rows":{"type":"array","minItems":1,"maxItems":1,')
})

test.each([
  [
    '/predict/single',
    { rows: [{ p: 1, q: 2 }] },
    {
      rows: [
        { p: 1, q: 2 },
        { p: 3, q: 4 },
      ],
    },
  ],
  [
    '/invocations/single',
    { dataframe_split: { columns: ['p', 'q'], data: [[1, 2]] } },
    {
      dataframe_split: {
        columns: ['p', 'q'],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
    },
  ],
])('%s says of a model of one row that it takes no two', async (path, one, two) => {
  expect((await post(path, one)).status).toBe(200)
  const refused = await post(path, two)
  expect([refused.status, await bodyOf(refused)]).toEqual([
    400,
    expect.objectContaining({
      code: 'serving.bad_rows',
      detail: 'Cannot predict 2 rows: the model takes 1 row at a time',
    }),
  ])
})

test('the description of a route is OpenAPI 3.1', async () => {
  const document = await (await fetch(`${opened.url}/predict/delay/openapi.json`)).json()
  expect(await new Validator().validate(document as Record<string, unknown>)).toEqual({ valid: true })
})

test.each([
  ['/predict/delay', { p: 1, q: 2 }],
  ['/invocations/delay', { instances: [{ p: 1, q: 2 }] }],
  ['/v2/models/delay/infer', { inputs: [x([1, 2], [1, 2])] }],
])('%s reads the time that a client gives it, or says what it cannot read', async (path, body) => {
  const ask = (text: string, name = 'X-Request-Timeout-Ms') => post(path, body, { [name]: text })
  for (const text of ['0', '-5', '1e99', 'abc', '', 'NaN', 'Infinity', '5, 6', '2147483648']) {
    const refused = await ask(text)
    const { code, detail, error } = await bodyOf(refused)
    expect([refused.status, code]).toEqual([400, 'serving.bad_timeout'])
    expect(detail ?? error).toBe(
      `Cannot read the request: X-Request-Timeout-Ms is "${text}", expected milliseconds above 0 and at most 2147483647`,
    )
  }
  expect((await ask('-1', 'x-envoy-expected-rq-timeout-ms')).status).toBe(400)
  for (const text of ['5000', '5000.5', '2147483647']) expect((await ask(text)).status).toBe(200)
  expect((await ask('0.000001')).status).toBe(504)
})

test("the protocol's timeout is a deadline: what waits for a busy host ends with it, and is never run", async () => {
  const ask = (timeout?: number) =>
    post('/v2/models/delay/infer', {
      inputs: [x([1, 2], [1, 2])],
      ...(timeout === undefined ? {} : { parameters: { timeout } }),
    })
  const stats = () => opened.pool.stats().models.find(({ digest }) => digest === artifact)!
  const { artifact } = opened.gateway.live()!.routes.get('delay')!.route.arms[0]!
  const codeOf = async (answer: Response) => [answer.status, (await bodyOf(answer)).code]
  const before = stats()
  const { pid } = opened.pool.stats().hosts[0]!
  process.kill(pid!, 'SIGSTOP')
  const running = post('/predict/trips', { x: 1 })
  await expect.poll(() => opened.pool.stats().hosts[0]!.state).toBe('busy')
  const waiting = [ask(), ask(0)] // 0 is none
  await expect.poll(() => stats().queuedRequests).toBe(2)
  expect(await codeOf(await ask(1))).toEqual([504, 'inference.deadline_passed'])
  expect(await codeOf(await ask(300_000))).toEqual([504, 'inference.deadline_passed'])
  process.kill(pid!, 'SIGCONT')
  expect((await Promise.all([running, ...waiting])).map(({ status }) => status)).toEqual([200, 200, 200])
  expect(stats().inferenceCount - before.inferenceCount).toBe(2)
})

describe('a body that arrives late', () => {
  /** Sends the headers, and the body once the server has had them for longer than `waitMs`. */
  const postLate = (path: string, body: object, timeoutMs: number, waitMs: number) =>
    new Promise<{ status: number | undefined; body: Body }>((resolve, reject) => {
      const headers = { expect: '100-continue', 'x-request-timeout-ms': String(timeoutMs) }
      const call = httpRequest(opened.url + path, { method: 'POST', headers }, async (response) => {
        const text = Buffer.concat(await response.toArray()).toString()
        resolve({ status: response.statusCode, body: JSON.parse(text) as Body })
      })
      call.once('error', reject)
      call.once('continue', async () => {
        const sinceMs = realClock.monotonicMs()
        await expect.poll(() => realClock.monotonicMs() - sinceMs, { interval: 5 }).toBeGreaterThan(waitMs)
        call.end(JSON.stringify(body))
      })
    })

  test.each([
    ['/predict/delay', { rows: [{ p: 1, q: 2 }] }],
    ['/invocations/delay', { dataframe_split: { columns: ['p', 'q'], data: [[1, 2]] } }],
    ['/v2/models/delay/infer', { inputs: [x([1, 2], [1, 2])] }],
  ])('%s has taken of the time of its request', async (path, body) => {
    expect(await postLate(path, body, 50, 60)).toMatchObject({
      status: 504,
      body: { code: 'inference.deadline_passed' },
    })
    expect((await postLate(path, body, 600_000, 0)).status).toBe(200)
  })
})
