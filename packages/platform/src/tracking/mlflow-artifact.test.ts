import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseRange } from './mlflow/artifact-routes.ts'
import { openTestSurface, type TestSurface } from './tracking.fixture.ts'

const ARTIFACT_BYTES = 1 << 20
let surface: TestSurface
let run: string
let root: string
beforeAll(async () => {
  surface = await openTestSurface(() => [], { artifactMaxBytes: ARTIFACT_BYTES })
  run = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  root = `0/${run}/artifacts`
})
afterAll(() => surface.close())

const PROXY = '/api/2.0/mlflow-artifacts/artifacts'
const put = (path: string, body: string) => fetch(`${surface.url}${PROXY}/${path}`, { method: 'PUT', body })

test('an artifact comes back as it was put, as an attachment, also in ranges', async () => {
  const stored = await put(`${root}/d/f.txt`, 'hello world')
  expect([stored.status, await stored.text()]).toEqual([200, '{}'])
  const whole = await fetch(`${surface.url}${PROXY}/${root}/d/f.txt`)
  expect([whole.status, await whole.text()]).toEqual([200, 'hello world'])
  expect(whole.headers.get('content-disposition')).toContain('attachment; filename="f.txt"')
  expect(whole.headers.get('x-content-type-options')).toBe('nosniff')
  const part = await fetch(`${surface.url}${PROXY}/${root}/d/f.txt`, { headers: { range: 'bytes=6-8' } })
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 6-8/11', 'wor'])
})

test('an artifact may be as large as the limit; a larger one is refused, and nothing of it is there', async () => {
  const sent = async (bytes: number) => {
    const answer = await put(`${root}/large`, 'x'.repeat(bytes))
    const code = surface.refusedWith()
    const read = await fetch(`${surface.url}${PROXY}/${root}/large`)
    const isThere = (await read.arrayBuffer()).byteLength > ARTIFACT_BYTES / 2
    return [answer.status, await answer.text(), code, read.status, isThere]
  }
  const message = `Cannot store the artifact: it is larger than ${ARTIFACT_BYTES} bytes`
  const refusal = JSON.stringify({ error_code: 'INVALID_PARAMETER_VALUE', message })
  expect(await sent(ARTIFACT_BYTES + 1)).toEqual([400, refusal, 'tracking.artifact_too_large', 404, false])
  expect(surface.refusedWith()).toBe('tracking.artifact_not_found')
  expect(await sent(ARTIFACT_BYTES)).toEqual([200, '{}', undefined, 200, true])
  await fetch(`${surface.url}${PROXY}/${root}/large`, { method: 'DELETE' })
})

test('the proxy lists base names, a run lists paths below its root, a file lists nothing', async () => {
  expect(await surface.ok('GET', `${PROXY}?path=${encodeURIComponent(`${root}/d`)}`)).toEqual({
    files: [{ path: 'f.txt', is_dir: false, file_size: 11 }],
  })
  const listed = await surface.ok('GET', `/artifacts/list?run_id=${run}&path=d`)
  expect(listed).toEqual({
    root_uri: `mlflow-artifacts:/${root}`,
    files: [{ path: 'd/f.txt', is_dir: false, file_size: 11 }],
  })
  expect((await surface.ok('GET', `/artifacts/list?run_id=${run}`)).files).toEqual([{ path: 'd', is_dir: true }])
  expect((await surface.ok('GET', `/artifacts/list?run_id=${run}&path=d/f.txt`)).files).toEqual([])
  expect((await put(`${root}/d`, 'a file in the way')).status).toBe(400)
  expect((await put(`${root}/d/f.txt/g`, 'a directory in the way')).status).toBe(400)
})

test('names that differ in case only are two artifacts', async () => {
  for (const name of ['X', 'x']) expect((await put(`${root}/case/${name}`, `of ${name}`)).status).toBe(200)
  for (const name of ['X', 'x'])
    expect(await (await fetch(`${surface.url}${PROXY}/${root}/case/${name}`)).text()).toBe(`of ${name}`)
  const { files } = await surface.ok('GET', `/artifacts/list?run_id=${run}&path=case`)
  expect(files.map((file: { path: string }) => file.path)).toEqual(['case/X', 'case/x'])
  expect((await raw('DELETE', `${PROXY}/${root}/case/x`)).status).toBe(200)
  expect((await raw('GET', `${PROXY}/${root}/case/X`)).text).toBe('of X')
})

test.each([
  ['one', 'a', 'a/b'],
  ['two', 'a/b', 'a'],
  ['three', 'a/b', 'a/b/c/d'],
])('in folder %j, where %j is stored, %j is refused by name and nothing changes', async (name, first, second) => {
  const folder = `${root}/${name}`
  expect((await put(`${folder}/${first}`, 'first')).status).toBe(200)
  const refused = await put(`${folder}/${second}`, 'second')
  expect([refused.status, await refused.json()]).toEqual([
    400,
    {
      error_code: 'INVALID_PARAMETER_VALUE',
      message: `Cannot store artifact "${folder}/${second}": "${folder}/${first}" is in its way`,
    },
  ])
  expect(await (await fetch(`${surface.url}${PROXY}/${folder}/${first}`)).text()).toBe('first')
  expect((await raw('GET', `${PROXY}/${folder}/${second}`)).status).toBe(404)
})

/** Sends the target as it stands: fetch would fold it. */
function raw(method: string, target: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: surface.port, method, path: target }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end(method === 'PUT' ? 'x' : undefined)
  })
}

const INVALID = /^\{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid path \\"[ -~]+"\}$/
const HOSTILE = [
  '../x',
  'a/../../x',
  '..',
  'a/..',
  'a//b',
  '/etc/passwd',
  '%2e%2e/x',
  '..%2fx',
  '%252e%252e%252fx',
  '%00',
  'a%00b',
  '..%5cx',
  'C:%5cx',
  'C:x',
  'a:b',
  'a%0ab',
  'a.',
  'a%20/b',
  'x'.repeat(300),
  `${'a/'.repeat(40)}a`,
  '%e2%80%aea',
  'C%253Ax',
  './a',
]
test.each(HOSTILE)('the artifact path %j is refused by every route', async (path) => {
  for (const method of ['PUT', 'GET', 'DELETE']) {
    const answer = await raw(method, `${PROXY}/${root}/${path}`)
    expect([method, answer.status, answer.text]).toEqual([method, 400, expect.stringMatching(INVALID)])
  }
})

test.each(['%c0%ae%c0%ae/', '%zz'])('the malformed target %j is refused before it is routed', async (path) => {
  expect((await raw('PUT', `${PROXY}/${root}/${path}`)).status).toBe(400)
})

test.each(['../x', '%2e%2e%2fx', '/etc', 'a\\b'])('artifacts/list refuses path %j', async (path) => {
  const answer = await surface.call('GET', `/artifacts/list?run_id=${run}&path=${encodeURIComponent(path)}`)
  expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(INVALID)])
  expect((await raw('GET', `/api/2.0/mlflow/artifacts/list?run_id=${run}&path=%2e%2e%2fx`)).text).toMatch(INVALID)
})

test('a refusal names the path and the part that it is about', async () => {
  const message = async (path: string) => JSON.parse((await raw('PUT', `${PROXY}/${root}/${path}`)).text).message
  expect(await message('ok/a.')).toBe(`Invalid path "${root}/ok/a.": its part "a." ends with a dot or a space`)
  expect(await message('%e2%80%aea')).toContain('its part "\\u{202e}a" holds a control or bidi character')
})

test.each(['aux.py', 'CON', 'nul', 'metric:0.json', 'ab:c/d'])('the artifact name %j is one', async (name) => {
  expect((await put(`${root}/names/${encodeURI(name)}`, name)).status).toBe(200)
  const read = await fetch(`${surface.url}${PROXY}/${root}/names/${encodeURI(name)}`)
  expect([read.status, await read.text()]).toEqual([200, name])
  expect(read.headers.get('content-disposition')).toMatch(
    /^attachment; filename="[\w. -]+"; filename\*=UTF-8''[\w.%-]+$/,
  )
})

test('decomposed names and their NFC are one artifact, and a listing may end with a slash', async () => {
  const [decomposed, composed] = ['re\u0301sume\u0301', 'r\u00e9sum\u00e9']
  expect((await put(`${root}/nfd/${encodeURI(decomposed)}/f`, 'a')).status).toBe(200)
  expect((await put(`${root}/nfd/${encodeURI(composed)}/f`, 'b')).status).toBe(200)
  for (const name of [decomposed, composed]) {
    const read = await fetch(`${surface.url}${PROXY}/${root}/nfd/${encodeURI(name)}/f`)
    expect([read.status, await read.text()]).toEqual([200, 'b'])
    const below = encodeURIComponent(`nfd/${name}/`)
    expect((await surface.ok('GET', `/artifacts/list?run_id=${run}&path=${below}`)).files).toEqual([
      { path: `nfd/${composed}/f`, is_dir: false, file_size: 1 },
    ])
    const got = await fetch(`${surface.url}/get-artifact?run_id=${run}&path=${encodeURIComponent(`nfd/${name}/f`)}`)
    expect(await got.text()).toBe('b')
  }
  expect((await surface.ok('GET', `${PROXY}?path=${encodeURIComponent(`${root}/nfd/`)}`)).files).toEqual([
    { path: composed, is_dir: true },
  ])
  expect((await surface.call('GET', `/artifacts/list?run_id=${run}&path=nfd//`)).status).toBe(400)
  expect((await surface.call('GET', `/artifacts/list?run_id=${run}&path=/`)).status).toBe(400)
})

test('artifacts of an experiment at a decomposed location are found', async () => {
  const { experiment_id } = await surface.ok('POST', '/experiments/create', {
    name: 'decomposed',
    artifact_location: 'mlflow-artifacts:/ze\u0301ro/e\u0301',
  })
  const { info } = (await surface.ok('POST', '/runs/create', { experiment_id })).run
  expect((await put(`${encodeURI(info.artifact_uri.replace('mlflow-artifacts:/', ''))}/f`, 'a')).status).toBe(200)
  expect((await surface.ok('GET', `/artifacts/list?run_id=${info.run_id}`)).files).toMatchObject([{ path: 'f' }])
})

test("an artifact is not stored below another experiment than the run's or the model's own", async () => {
  const { experiment_id: located } = await surface.ok('POST', '/experiments/create', {
    name: 'located',
    artifact_location: 'mlflow-artifacts:/kept/here',
  })
  const other = (await surface.ok('POST', '/runs/create', { experiment_id: located })).run.info
  expect((await put(`${other.artifact_uri.replace('mlflow-artifacts:/', '')}/f`, 'a')).status).toBe(200)
  const { model } = await surface.ok('POST', '/logged-models', { experiment_id: '0', name: 'placed' })
  const id = model.info.model_id
  expect((await put(`0/models/${id}/artifacts/f`, 'a')).status).toBe(200)
  for (const [path, code, text] of [
    [
      `${located}/${run}/artifacts/f`,
      'tracking.run_not_found',
      `Run with id=${run} not found in experiment ${located}`,
    ],
    [
      `${located}/${other.run_id}/artifacts/f`,
      'tracking.run_not_found',
      `Run with id=${other.run_id} not found in experiment ${located}`,
    ],
    [
      `${located}/models/${id}/artifacts/f`,
      'tracking.model_not_found',
      `Logged model with ID '${id}' not found in experiment ${located}`,
    ],
  ] as const) {
    const answer = await raw('PUT', `${PROXY}/${path}`)
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      404,
      { error_code: 'RESOURCE_DOES_NOT_EXIST', message: expect.stringContaining(text) },
    ])
    expect(surface.refusedWith()).toBe(code)
    expect((await raw('GET', `${PROXY}/${path}`)).status).toBe(404)
  }
})

test('a multipart upload is refused with the text that makes clients send one PUT', async () => {
  const answer = await surface.call('POST', `/api/2.0/mlflow-artifacts/mpu/create/${root}`, { path: 'x', num_parts: 2 })
  expect([answer.status, answer.json.error_code]).toEqual([501, 'NOT_IMPLEMENTED'])
  expect(surface.refusedWith()).toBe('tracking.no_multipart')
  expect(answer.json.message).toMatch(/^Multipart upload is not supported for the current artifact repository/)
})

test('an upload that breaks off leaves no artifact', async () => {
  await new Promise<void>((resolve) => {
    const sent = request({
      host: '127.0.0.1',
      port: surface.port,
      method: 'PUT',
      path: `${PROXY}/${root}/half`,
      headers: { 'content-length': '1000000' },
    })
    sent.on('error', () => resolve())
    sent.on('close', () => resolve())
    sent.write('x'.repeat(1_000), () => sent.destroy())
  })
  expect((await fetch(`${surface.url}${PROXY}/${root}/half`)).status).toBe(404)
})

test('deleted artifacts are gone; artifacts of a deleted run are read, not written', async () => {
  await put(`${root}/gone/a`, 'a')
  await put(`${root}/gone-not`, 'a')
  const pins = async () =>
    (await surface.database.ctx.db.selectFrom('blob_pin').select('owner').execute()).map((row) => row.owner)
  expect(await pins()).toContain(`artifact:${root}/gone/a`)
  expect((await raw('DELETE', `${PROXY}/${root}/gone`)).status).toBe(200)
  expect((await raw('GET', `${PROXY}/${root}/gone/a`)).status).toBe(404)
  expect(await pins()).not.toContain(`artifact:${root}/gone/a`)
  expect((await raw('GET', `${PROXY}/${root}/gone-not`)).status).toBe(200)
  await surface.ok('POST', '/runs/delete', { run_id: run })
  expect((await put(`${root}/late`, 'a')).status).toBe(400)
  expect((await raw('GET', `${PROXY}/${root}/gone-not`)).status).toBe(200)
})

test.each([
  ['bytes=0-', { start: 0, end: 10 }],
  ['bytes=-3', { start: 7, end: 10 }],
  ['bytes=2-100', { start: 2, end: 10 }],
  ['bytes=0-1,3-4', undefined],
  [undefined, undefined],
])('parseRange(%j) of 10 bytes', (header, expected) => {
  expect(parseRange(header, 10)).toEqual(expected)
})

test('logged models: pending, params in parts, ready and failed, tags, metrics, search and removal', async () => {
  const params = Array.from({ length: 250 }, (_, i) => ({ key: `p${i}`, value: String(i) }))
  const source = (await surface.ok('POST', '/runs/create', { experiment_id: '0' })).run.info.run_id
  const { model } = await surface.ok('POST', '/logged-models', {
    experiment_id: '0',
    name: 'net',
    source_run_id: source,
    params: params.slice(0, 100),
  })
  const id = model.info.model_id
  expect(model.info).toMatchObject({
    status: 'LOGGED_MODEL_PENDING',
    artifact_uri: `mlflow-artifacts:/0/models/${id}/artifacts`,
    creation_timestamp_ms: expect.any(Number),
  })
  await surface.ok('POST', `/logged-models/${id}/params`, { params: params.slice(100, 200) })
  await surface.ok('POST', `/logged-models/${id}/params`, { params: params.slice(200) })
  expect((await surface.ok('GET', `/logged-models/${id}`)).model.data.params).toHaveLength(250)
  await surface.ok('POST', '/runs/log-metric', { run_id: source, key: 'auc', value: 0.9, timestamp: 1, model_id: id })
  expect((await surface.ok('GET', `/logged-models/${id}`)).model.data.metrics).toMatchObject([
    { key: 'auc', value: 0.9, run_id: source },
  ])
  expect(
    (await surface.ok('PATCH', `/logged-models/${id}`, { model_id: id, status: 'LOGGED_MODEL_READY' })).model.info
      .status,
  ).toBe('LOGGED_MODEL_READY')
  expect((await surface.ok('PATCH', `/logged-models/${id}`, { model_id: id, status: 3 })).model.info.status).toBe(
    'LOGGED_MODEL_UPLOAD_FAILED',
  )
  const long = 'x'.repeat(9_000)
  await surface.ok('POST', `/logged-models/${id}/params`, { params: [{ key: 'long', value: long }] })
  const tagged = await surface.ok('PATCH', `/logged-models/${id}/tags`, { tags: [{ key: 'k', value: long }] })
  expect(tagged.model).toMatchObject({
    info: { tags: [{ key: 'k', value: long }] },
    data: { params: expect.arrayContaining([{ key: 'long', value: long }]) },
  })
  await surface.ok('DELETE', `/logged-models/${id}/tags/k`)
  expect((await surface.call('DELETE', `/logged-models/${id}/tags/k`)).json.message).toContain('No tag with key')
  expect(surface.refusedWith()).toBe('tracking.tag_not_found')
  await surface.ok('POST', '/logged-models', { experiment_id: '0', name: 'other' })
  const found = await surface.ok('POST', '/logged-models/search', {
    experiment_ids: ['0'],
    filter: "metrics.auc > 0.5 AND name = 'net'",
  })
  expect(found.models.map((one: { info: { model_id: string } }) => one.info.model_id)).toEqual([id])
  const first = await surface.ok('POST', '/logged-models/search', {
    experiment_ids: ['0'],
    max_results: 1,
    order_by: [{ field_name: 'metrics.auc', ascending: false }],
  })
  expect(first.models[0].info.model_id).toBe(id)
  const reused = await surface.call('POST', '/logged-models/search', {
    experiment_ids: ['0'],
    max_results: 1,
    filter: "name = 'x'",
    page_token: first.next_page_token,
  })
  expect(reused.status).toBe(400)
  await surface.ok('DELETE', `/logged-models/${id}`)
  await surface.ok('DELETE', `/logged-models/${id}`)
  expect((await surface.call('DELETE', `/logged-models/m-${'0'.repeat(32)}`)).status).toBe(404)
  const gone = await surface.call('GET', `/logged-models/${id}`)
  expect([gone.status, gone.json.message]).toEqual([404, expect.stringContaining('not found')])
  expect(surface.refusedWith()).toBe('tracking.model_not_found')
  expect(
    (await surface.ok('POST', '/logged-models/search', { experiment_ids: ['0'], filter: "name = 'net'" })).models,
  ).toEqual([])
})
