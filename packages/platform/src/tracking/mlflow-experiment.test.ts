import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestSurface, type TestSurface } from './tracking.fixture.ts'

let surface: TestSurface
beforeAll(async () => {
  surface = await openTestSurface()
})
beforeEach(() => surface.database.clear())
afterAll(() => surface.close())

const create = (name: string) => surface.ok('POST', '/experiments/create', { name })
const names = async (path: string) =>
  (await surface.ok('GET', `/experiments/search?${path}`)).experiments.map((one: { name: string }) => one.name)

test('version is plain text, server-info says what the server has', async () => {
  const version = await fetch(`${surface.url}/version`)
  expect([version.headers.get('content-type'), await version.text()]).toEqual([
    expect.stringContaining('text/plain'),
    expect.stringMatching(/^\d+\.\d+\.\d+$/),
  ])
  expect((await surface.call('GET', '/api/3.0/mlflow/server-info')).json).toMatchObject({
    store_type: 'SqlStore',
    workspaces_enabled: false,
  })
  expect((await surface.call('POST', '/api/3.0/mlflow/server-info', {})).status).toBe(405)
})

test('experiments/create gives decimal ids as text and keeps names taken, by deleted ones too', async () => {
  expect(await create('a')).toEqual({ experiment_id: '1' })
  const again = await surface.call('POST', '/experiments/create', { name: 'a' })
  expect([again.status, again.json.error_code]).toEqual([400, 'RESOURCE_ALREADY_EXISTS'])
  expect(again.headers.get('content-type')).toContain('application/json')
  await surface.ok('POST', '/experiments/delete', { experiment_id: '1' })
  expect((await surface.call('POST', '/experiments/create', { name: 'a' })).json.error_code).toBe(
    'RESOURCE_ALREADY_EXISTS',
  )
  expect((await surface.call('POST', '/experiments/delete', { experiment_id: '1' })).status).toBe(404)
})

const REFUSED: [string, unknown, string][] = [
  ['a missing name', {}, "Missing value for required parameter 'name'"],
  ['an empty name', { name: '' }, "Missing value for required parameter 'name'"],
  ['a number as name', { name: 123 }, "Invalid value 123 for parameter 'name' supplied"],
  ['text as tags', { name: 'x', tags: '5' }, `Invalid value "5" for parameter 'tags' supplied`],
  [
    'a float, as it was written',
    '{"name":"x","artifact_location":9.0}',
    "Invalid value 9.0 for parameter 'artifact_location' supplied",
  ],
  ['a fragment in the location', { name: 'x', artifact_location: 's3://b/#f' }, 'artifact_location'],
  ['a long name', { name: '😀'.repeat(501) }, "'name' exceeds the maximum length of 500 characters"],
  ['a bare NaN', '{"name": NaN}', 'Invalid request body'],
  ['an array', '[]', 'expected a JSON object'],
  ['a NUL', '{"name":"a\\u0000b"}', 'NUL'],
  ['a lone surrogate', '{"name":"\\ud800"}', 'surrogate'],
  ['a member named twice', '{"name":"a","name":"b"}', 'names a member twice'],
  ['deep nesting', `{"name":"x","tags":${'['.repeat(100)}${']'.repeat(100)}}`, 'nested deeper'],
  ['too many values', `{"name":"x","tags":[${'0,'.repeat(100_001)}0]}`, 'its JSON holds more than 100000 values'],
  ['the same, encoded twice', JSON.stringify(`{"tags":[${'0,'.repeat(100_001)}0]}`), 'holds more than 100000 values'],
]
test.each(REFUSED)('experiments/create refuses %s', async (_what, body, message) => {
  const answer = await surface.call('POST', '/experiments/create', body)
  expect([answer.status, answer.json.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE'])
  expect(answer.json.message).toContain(message)
})

test('a name of 500 code points is accepted, and doubly encoded JSON is decoded once more', async () => {
  expect((await surface.call('POST', '/experiments/create', { name: '😀'.repeat(500) })).status).toBe(200)
  expect(
    (await surface.call('POST', '/experiments/create', JSON.stringify(JSON.stringify({ name: 'twice' })))).status,
  ).toBe(200)
})

test('get-by-name of an unknown experiment is RESOURCE_DOES_NOT_EXIST', async () => {
  const answer = await surface.call('GET', '/experiments/get-by-name?experiment_name=no')
  expect([answer.status, answer.json.error_code]).toEqual([404, 'RESOURCE_DOES_NOT_EXIST'])
  expect(surface.refusedWith()).toBe('tracking.experiment_not_found')
})

test('delete flags the experiment; search shows it by view type, as name or number', async () => {
  await create('a')
  await surface.ok('POST', '/experiments/delete', { experiment_id: 1 })
  expect((await surface.ok('GET', '/experiments/get?experiment_id=1')).experiment.lifecycle_stage).toBe('deleted')
  expect(await names('')).toEqual(['Default'])
  expect(await names('view_type=2')).toEqual(['a'])
  expect(await names('view_type=ALL&order_by=name')).toEqual(['Default', 'a'])
})

test('search filters and sorts by bytes, not by locale', async () => {
  for (const name of ['a', 'ab', 'Abc']) await create(name)
  const filter = (text: string) => `filter=${encodeURIComponent(text)}`
  expect(await names(`${filter("name LIKE 'a%'")}&order_by=experiment_id+DESC`)).toEqual(['ab', 'a'])
  expect(await names(`${filter("name != 'a'")}&order_by=experiment_id+DESC`)).toEqual(['Abc', 'ab', 'Default'])
  expect(await names(`order_by=${encodeURIComponent('name DESC')}`)).toEqual(['ab', 'a', 'Default', 'Abc'])
  await surface.ok('POST', '/experiments/set-experiment-tag', { experiment_id: '1', key: 'key', value: 'other' })
  expect(await names(filter("tag.key != 'value'"))).toEqual(['a'])
  expect(await names(filter('tags.key IS NOT NULL'))).toEqual(['a'])
  expect(await names(filter("experiment_id = '1'"))).toEqual(['a'])
  expect(await names(filter("experiment_id IN ('1', '9')"))).toEqual(['a'])
  expect(await names(`${filter("experiment_id != '1'")}&order_by=name`)).toEqual(['Abc', 'Default', 'ab'])
  expect(await names(`${filter("tags.key is null AND name LIKE '%b%'")}&order_by=name`)).toEqual(['Abc', 'ab'])
})

test('restore brings back the runs that went with the experiment, not those deleted by hand', async () => {
  await create('a')
  const run = async () => (await surface.ok('POST', '/runs/create', { experiment_id: '1' })).run.info.run_id
  const [kept, dropped] = [await run(), await run()]
  await surface.ok('POST', '/runs/delete', { run_id: dropped })
  await surface.ok('POST', '/experiments/delete', { experiment_id: '1' })
  await surface.ok('POST', '/experiments/restore', { experiment_id: '1' })
  const stage = async (id: string) => (await surface.ok('GET', `/runs/get?run_id=${id}`)).run.info.lifecycle_stage
  expect([await stage(kept), await stage(dropped)]).toEqual(['active', 'deleted'])
})

test('a tag of an experiment has up to 20,000 code points', async () => {
  const set = (value: string) =>
    surface.call('POST', '/experiments/set-experiment-tag', { experiment_id: '0', key: 'k', value })
  await surface.ok('GET', '/experiments/get?experiment_id=0')
  expect([(await set('😀'.repeat(20_000))).status, (await set('😀'.repeat(20_001))).status]).toEqual([200, 400])
})

test('rename and tags of a deleted experiment are 400', async () => {
  await create('a')
  await surface.ok('POST', '/experiments/delete', { experiment_id: '1' })
  expect((await surface.call('POST', '/experiments/update', { experiment_id: '1', new_name: 'b' })).status).toBe(400)
  expect(
    (await surface.call('POST', '/experiments/set-experiment-tag', { experiment_id: '1', key: 'k', value: 'v' }))
      .status,
  ).toBe(400)
})

test('a POST needs a JSON content type; an unknown path, a wrong verb and a viewer get their own answers', async () => {
  const plain = await surface.call('POST', '/experiments/create', '{"name":"a"}', { 'content-type': 'text/plain' })
  expect([plain.status, plain.json.message]).toEqual([
    400,
    'Bad Request. Content-Type must be one of [application/json].',
  ])
  expect(
    (
      await surface.call('POST', '/experiments/create', '{"name":"a"}', {
        'content-type': 'application/json; charset=utf-8',
      })
    ).status,
  ).toBe(200)
  const unknown = await surface.call('GET', '/nope')
  expect([unknown.status, unknown.json.error_code]).toEqual([404, 'ENDPOINT_NOT_FOUND'])
  expect((await surface.call('POST', '/api/3.0/mlflow/traces', {})).status).toBe(404)
  for (const method of ['GET', 'OPTIONS'] as const) {
    const wrong = await surface.call(method, '/experiments/create')
    expect([wrong.status, wrong.json, wrong.headers.get('allow')]).toEqual([
      405,
      { error_code: 'BAD_REQUEST', message: 'Method Not Allowed' },
      'POST',
    ])
  }
  surface.become({ role: 'viewer' })
  const refused = await surface.call('POST', '/experiments/create', { name: 'b' })
  expect([refused.status, refused.json]).toEqual([
    403,
    { error_code: 'PERMISSION_DENIED', message: 'Permission denied: a viewer may not change anything' },
  ])
  expect((await surface.call('GET', '/experiments/search')).status).toBe(200)
  surface.become({})
})

test('the same requests below /ajax-api give equal bytes, and projects do not see each other', async () => {
  await create('a')
  const [api, ajax] = [
    await surface.call('GET', '/experiments/get?experiment_id=1'),
    await surface.call('GET', '/ajax-api/2.0/mlflow/experiments/get?experiment_id=1'),
  ]
  expect(ajax.text).toBe(api.text)
  const other = await surface.call('GET', '/experiments/get?experiment_id=1', undefined, {
    'x-mlflow-workspace': 'other',
  })
  expect(other.status).toBe(404)
})
