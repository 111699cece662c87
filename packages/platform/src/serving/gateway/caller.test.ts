import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityModel } from '../../inference/onnx.fixture.ts'
import { hashToken } from '../../kernel/auth/verify/index.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

const DAY_MS = 86_400_000

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway({ settings: { requireToken: true } })
})
afterAll(() => opened.close())

/** Publishes two routes of two projects, and who may reach them. */
async function publish(epoch: number, callers: object[] | undefined): Promise<void> {
  const { control, gateway } = opened
  const version = control.addVersion(identityModel())
  const routes = [routeTo(version, 'delay', ['p', 'q']), routeTo(version, 'fares', ['p', 'q'], { project: 'prices' })]
  const content = { v: 1, epoch, issuedAtMs: 1_000, clock: null, routes, versions: [version], callers }
  expect(await gateway.offer(control.sign(content))).toBe(true)
}

async function ask(path: string, token: string | undefined, body?: object) {
  const response = await fetch(`${opened.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    code: /"code":"([\w.]+)"/.exec(text)?.[1],
    challenge: response.headers.get('www-authenticate'),
  }
}

const ROW = { rows: [{ p: 1, q: 2 }] }
const TENSOR = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] }
/** Each way to a route, of one project and of another. */
const callsOf = (route: string): [path: string, body?: object][] => [
  [`/predict/${route}`, ROW],
  [`/predict/${route}/openapi.json`],
  [`/invocations/${route}`, { dataframe_records: ROW.rows }],
  [`/v2/models/${route}`],
  [`/v2/models/${route}/ready`],
  [`/v2/models/${route}/infer`, TENSOR],
  [`/v2/models/${route}/versions/1/infer`, TENSOR],
]
const OF_ALL: [path: string, body?: object][] = [['/'], ['/metrics'], ['/v2/repository/index', {}]]

test('before a snapshot only health answers: nobody is known yet', async () => {
  expect(await ask('/predict/delay', 'plim_x', ROW)).toMatchObject({ status: 503, code: 'serving.no_snapshot' })
  expect(await ask('/predict/delay', undefined, ROW)).toMatchObject({ status: 401, code: 'auth.token_missing' })
  expect((await ask('/v2/health/live', undefined)).status).toBe(200)
})

test('each path but health asks for a live token of its project; what shows all routes for one of all', async () => {
  const callers = [
    { hash: hashToken('own'), project: 'default', expiresAtMs: Date.now() + DAY_MS },
    { hash: hashToken('all'), project: '*', expiresAtMs: Date.now() + DAY_MS },
    { hash: hashToken('old'), project: '*', expiresAtMs: Date.now() - 1 },
  ]
  await publish(1, callers)
  for (const [path, body] of [...callsOf('delay'), ...callsOf('fares'), ...OF_ALL, ['/v2'] as [string]]) {
    const refused = { status: 401, challenge: expect.stringContaining('Bearer') }
    expect(await ask(path, undefined, body), path).toMatchObject({ ...refused, code: 'auth.token_missing' })
    expect(await ask(path, 'nobody', body), path).toMatchObject({ ...refused, code: 'auth.token_unknown' })
    expect(await ask(path, 'old', body), path).toMatchObject({ ...refused, code: 'auth.token_expired' })
    expect((await ask(path, 'all', body)).status, path).toBe(200)
  }
  for (const [path, body] of callsOf('delay')) expect((await ask(path, 'own', body)).status, path).toBe(200)
  for (const [path, body] of [...callsOf('fares'), ...callsOf('none')])
    expect(await ask(path, 'own', body), path).toMatchObject({ status: 404, code: 'serving.route_unknown' })
  for (const [path, body] of OF_ALL)
    expect(await ask(path, 'own', body), path).toMatchObject({ status: 403, code: 'auth.scope_missing' })
  for (const path of ['/ping', '/health', '/v2/health/live', '/v2/health/ready', '/docs/errors'])
    expect((await ask(path, undefined)).status, path).toBe(200)
})

test('a snapshot without its token ends what it may', async () => {
  await publish(2, [])
  expect(await ask('/predict/delay', 'own', ROW)).toMatchObject({ status: 401, code: 'auth.token_unknown' })
  await publish(3, undefined)
  expect(await ask('/predict/delay', 'own', ROW)).toMatchObject({ status: 401, code: 'auth.token_unknown' })
})
