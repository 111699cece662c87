import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestSurface, type TestSurface } from '../tracking.fixture.ts'

let surface: TestSurface
let model: string
beforeAll(async () => {
  surface = await openTestSurface()
  model = (await surface.ok('POST', '/logged-models', { experiment_id: '0', name: 'typed' })).model.info.model_id
})
afterAll(() => surface.close())

/** Sends exactly these headers: fetch would add a content type of its own. */
function send(method: string, path: string, body: object, contentType?: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; json: Record<string, unknown> }>()
  const text = JSON.stringify(body)
  const sent = request(
    {
      host: '127.0.0.1',
      port: surface.port,
      method,
      path: `/api/2.0/mlflow${path}`,
      headers: {
        'content-length': Buffer.byteLength(text),
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
      },
    },
    (response) => {
      let answer = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        answer += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(answer) }))
    },
  )
  sent.on('error', reject).end(text)
  return promise
}

const REFUSED = {
  status: 400,
  json: {
    error_code: 'INVALID_PARAMETER_VALUE',
    message: 'Bad Request. Content-Type must be one of [application/json].',
  },
}

test.each([undefined, 'text/plain', 'application/jsonx', 'multipart/form-data'])(
  'a POST with the content type %s is refused',
  async (type) => {
    expect(await send('POST', '/experiments/create', { name: `by ${type}` }, type)).toEqual(REFUSED)
  },
)

test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON'])(
  'a POST with the content type %s is taken',
  async (type) => {
    expect((await send('POST', '/experiments/create', { name: `by ${type}` }, type)).status).toBe(200)
  },
)

test.each([undefined, 'text/plain'])('a PATCH with the content type %s is taken', async (type) => {
  const status = 'LOGGED_MODEL_READY'
  const { status: code, json } = await send('PATCH', `/logged-models/${model}`, { model_id: model, status }, type)
  expect(code).toBe(200)
  expect(json).toMatchObject({ model: { info: { model_id: model, status } } })
})

test('a DELETE without a content type is taken, with what its body says', async () => {
  await surface.ok('POST', '/runs/create', { experiment_id: '0' })
  expect((await send('DELETE', `/logged-models/${model}`, { model_id: model })).status).toBe(200)
  expect((await surface.call('GET', `/logged-models/${model}`)).status).toBe(404)
})
