import { request as httpRequest } from 'node:http'
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { arithmeticModel, identityModel, model, tripsModel } from '../../inference/onnx.fixture.ts'
import { TITLES } from '../../kernel/http/problem.ts'
import { type OpenedGateway, openTestGateway, routeTo } from './gateway.fixture.ts'

let opened: OpenedGateway
beforeAll(async () => {
  opened = await openTestGateway({ settings: { bodyBytesMax: 1 << 20 } })
  const { control, gateway } = opened
  const wide = { x: { type: 'FP32' as const, shape: [1, 4] } }
  const versions = {
    delay: control.addVersion(identityModel()),
    sums: control.addVersion(arithmeticModel()),
    int64: control.addVersion(identityModel('INT64')),
    uint8: control.addVersion(identityModel('UINT8')),
    int32: control.addVersion(identityModel('INT32')),
    fp16: control.addVersion(identityModel('FP16')),
    text: control.addVersion(identityModel('BYTES', ['n'])),
    fixed: control.addVersion(identityModel('FP32', wide.x.shape)),
    scores: control.addVersion(identityModel('FP32', [4]), 1, { y: ['a', 'b', 'c', 'd'] }),
    wide: control.addVersion(identityModel('FP32', ['n', 16])),
    chain: control.addVersion(
      model({
        nodes: [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }],
        inputs: [{ name: 'x', type: 'FP32', shape: ['n', 2] }],
        outputs: [{ name: 'y', type: 'FP32', shape: ['n', 2] }],
      }),
      7,
    ),
    trips: control.addVersion(tripsModel()),
  }
  const routes = Object.entries(versions).map(([name, version]) => routeTo(version, name, ['p', 'q']))
  routes.push(routeTo(versions.trips, 'narrow', ['x'], { inflightMax: 2 }))
  routes.push(routeTo(versions.delay, 'redacted', ['p', 'q'], { redacted: ['q'] }))
  const idle = [{ arm: 'champion' as const, artifact: versions.delay.artifact, weight: 0 }]
  routes.push(routeTo(versions.delay, 'idle', ['p', 'q'], { arms: idle }))
  routes.push(routeTo(versions.delay, 'unsampled', ['p', 'q'], { payloadRate: 0 }))
  expect(await gateway.offer(control.publish(1, routes, Object.values(versions)))).toBe(true)
})
afterAll(() => opened.close())

interface Body {
  code: string
  error: string
  prediction_id: string
  errors: { pointer: string }[]
  outputs: { data: unknown }[]
  model_stats: Stats[]
}
interface Stats {
  last_inference: number
  inference_count: number
  execution_count: number
  inference_stats: Record<string, { count: number; ns: number }> & { success: { count: number } }
}
/** What was answered; each test looks at the members that it names. */
const bodyOf = async (response: Response): Promise<Body> => (await response.json()) as Body

type Headers = Record<string, string>
const post = (path: string, body: unknown, headers: Headers = {}) =>
  fetch(`${opened.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: body instanceof Uint8Array ? new Uint8Array(body) : typeof body === 'string' ? body : JSON.stringify(body),
  })
const get = (path: string) => fetch(`${opened.url}${path}`)
const infer = (route: string, inputs: object[], more: object = {}) =>
  post(`/v2/models/${route}/infer`, { inputs, ...more })
const x = (datatype: string, shape: number[], data: unknown) => ({ name: 'x', datatype, shape, data })

/** A request that fetch() would not send: any method, header and raw body. */
function raw(options: {
  method?: string
  path: string
  headers?: Headers
  body?: Uint8Array
}): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path, headers = {}, body } = options
    const call = httpRequest({ host: '127.0.0.1', port: opened.server.port, method, path, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    call.on('error', reject)
    call.end(body)
  })
}

test('a problem has the title of its kind, as that of any other process has', async () => {
  const path = '/predict/delay'
  const bodies = await Promise.all([
    raw({ path, headers: { host: 'evil.example' } }),
    raw({ path }),
    raw({ path: '/nowhere' }),
    raw({ method: 'POST', path, headers: { 'content-encoding': 'br' }, body: Buffer.from('{}') }),
  ])
  expect(bodies.map(({ body }) => JSON.parse(body.toString()))).toMatchObject([
    { status: 403, title: TITLES.forbidden, code: 'http.host' },
    { status: 405, title: TITLES.method, code: 'serving.method' },
    { status: 404, title: TITLES.not_found, code: 'serving.no_such_path' },
    { status: 415, title: TITLES.media_type, code: 'inference.encoding_unsupported' },
  ])
})

test('a route that sends no traffic to any version says so', async () => {
  const answer = await post('/predict/idle', { p: 1, q: 2 })
  expect([answer.status, (await bodyOf(answer)).code]).toEqual([503, 'serving.no_weight'])
})

test('the type of a problem leads to a page of the gateway', async () => {
  const { type } = (await (await post('/predict/absent', {})).json()) as { type: string }
  const [path, id] = type.split('#')
  const page = await fetch(opened.url + path)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(await page.text()).toContain(`<tr id="${id}">`)
})

describe('POST /predict/<route>', () => {
  test('answers one object per row, with the identity in body and headers', async () => {
    const response = await post(
      '/predict/delay',
      {
        rows: [
          { p: 1, q: 2.5 },
          { p: -3, q: 0 },
        ],
      },
      { 'x-request-id': 'req-1' },
    )
    expect(response.status).toBe(200)
    const body = await bodyOf(response)
    expect(body).toMatchObject({
      route: 'delay',
      model: 'delay',
      version: '1',
      predictions: [{ y: [1, 2.5] }, { y: [-3, 0] }],
    })
    expect(response.headers.get('x-plimsoll-prediction-id')).toBe(body.prediction_id)
    expect(response.headers.get('x-plimsoll-version')).toBe('delay/1')
    expect(response.headers.get('x-request-id')).toBe('req-1')
  })

  test('has the identity record in the segment file before the answer arrives', async () => {
    for (let index = 0; index < 20; index++) {
      const response = await post('/predict/delay', { p: index, q: 0 })
      const id = response.headers.get('x-plimsoll-prediction-id') // the head: the body is not read yet
      const record = opened.records().find((one) => one.id === id)
      expect(record).toMatchObject({
        route: 'delay',
        rows: 1,
        outputs: { y: [index, 0] },
        payload: { inputs: [{ p: index, q: 0 }] },
      })
      await response.arrayBuffer()
    }
  })

  test('has the outputs of every row in the record while they are small, and of the first rows of more', async () => {
    const recordOf = async (route: string, rows: object[]) => {
      const response = await post(`/predict/${route}`, { rows })
      expect(response.status).toBe(200)
      const { prediction_id } = await bodyOf(response)
      return opened.records().find((one) => one.id === prediction_id)!
    }
    const numbers = (count: number) => Array.from({ length: count }, (_, row) => ({ p: row, q: -row }))
    const small = await recordOf('unsampled', numbers(64))
    expect([small.loggedRows, small.outputs!['y']!.length]).toEqual([undefined, 128])
    const all = await recordOf('unsampled', numbers(5_000))
    expect([all.loggedRows, all.outputs!['y']!.slice(-2)]).toEqual([5_000, [4_999, -4_999]])
    const many = await recordOf('unsampled', numbers(10_000))
    expect([many.rows, many.loggedRows, many.outputs!['y']!.slice(-2)]).toEqual([10_000, 6_553, [6_552, -6_552]])
  })

  test('keeps no value of a redacted input, and no payload where none is to be kept', async () => {
    const payloadOf = async (route: string) => {
      const { prediction_id: id } = await bodyOf(await post(`/predict/${route}`, { p: 1, q: 73_000 }))
      return opened.records().find((record) => record.id === id)?.payload
    }
    expect(await payloadOf('redacted')).toEqual({
      inputs: [{ p: 1, q: '[redacted]' }],
      features: [{ values: [], statuses: [] }],
    })
    expect(await payloadOf('unsampled')).toBeUndefined()
  })

  test('lists every fault at once as problem JSON', async () => {
    const response = await post('/predict/delay', { rows: [{ p: 'far', z: 1 }, 7] })
    expect([response.status, response.headers.get('content-type')]).toEqual([400, 'application/problem+json'])
    const body = await bodyOf(response)
    expect(body).toMatchObject({ status: 400, code: 'serving.invalid_input' })
    const pointers = body.errors.map((fault: { pointer: string }) => fault.pointer)
    expect(pointers).toEqual(['/rows/0/p', '/rows/0/q', '/rows/0/z', '/rows/1'])
    const split = { dataframe_split: { columns: ['p', 'q'], data: [['far', 1]] } }
    const { errors } = await bodyOf(await post('/invocations/delay', split))
    expect(errors).toMatchObject([{ pointer: '/dataframe_split/data/0/0' }])
  })

  test.each([
    ['{', 'serving.bad_json'],
    ['[]', 'serving.bad_rows'],
    ['{"rows":[]}', 'serving.bad_rows'],
    ['['.repeat(100_000), 'serving.bad_json'],
    ['', 'serving.bad_json'],
  ])('refuses the body %.20s', async (text, code) => {
    const response = await post('/predict/delay', text)
    expect([response.status, (await bodyOf(response)).code]).toEqual([400, code])
  })

  test('names the type of a body that is no JSON where it says so itself', async () => {
    const send = async (type: string, body: string) => {
      const answer = await fetch(`${opened.url}/predict/delay`, {
        method: 'POST',
        headers: { 'content-type': type },
        body,
      })
      return [answer.status, ((await answer.json()) as { code: string }).code]
    }
    expect(await send('text/csv; charset=utf-8', 'p,q\n1,2\n')).toEqual([415, 'serving.media_type'])
    expect(await send('application/json', 'p,q\n1,2\n')).toEqual([400, 'serving.bad_json'])
  })

  test('answers 404 to an unknown route, also to names from the prototype, and to longer paths', async () => {
    for (const path of ['/predict/none', '/predict/__proto__', '/predict/', '/predict/delay/more', '/nowhere']) {
      const response = await post(path, { p: 1, q: 2 })
      expect([path, response.status === 404 || response.status === 405]).toEqual([path, true])
    }
    const damaged = await raw({ path: '/predict/%zz' })
    expect([damaged.status, JSON.parse(damaged.body.toString()).code]).toEqual([400, 'serving.bad_target'])
  })
})

test('POST /invocations/<route> takes the four shapes of MLflow', async () => {
  const records = [
    { p: 1, q: 2 },
    { p: 3, q: 4 },
  ]
  const shapes = [
    {
      dataframe_split: {
        columns: ['p', 'q'],
        data: [
          [1, 2],
          [3, 4],
        ],
      },
    },
    { dataframe_records: records },
    { instances: records },
    { inputs: { p: [1, 3], q: [2, 4] } },
  ]
  for (const shape of shapes) {
    expect(await (await post('/invocations/delay', shape)).json()).toEqual({
      predictions: [
        [1, 2],
        [3, 4],
      ],
    })
  }
  const bare = await post('/invocations', shapes[0])
  expect([bare.status, (await bodyOf(bare)).code]).toEqual([400, 'serving.route_ambiguous'])
})

describe('the Open Inference Protocol', () => {
  test('describes the server, the model, its configuration and its state', async () => {
    expect(await (await get('/v2')).json()).toMatchObject({
      name: 'plimsoll',
      extensions: expect.arrayContaining(['binary_tensor_data']),
    })
    expect(await (await get('/v2/health/ready')).json()).toEqual({ live: true, ready: true })
    expect(await (await get('/v2/models/wide')).json()).toMatchObject({
      name: 'wide',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 16] }],
    })
    const { models } = (await (await get('/v2/models')).json()) as { models: string[] }
    expect(models).toEqual(expect.arrayContaining(['chain', 'delay', 'wide']))
    const { model_stats: stats } = (await (await get('/v2/models/stats')).json()) as { model_stats: { name: string }[] }
    expect(stats.map(({ name }) => name).sort()).toEqual([...models].sort())
    expect(await (await get('/v2/models/wide/config')).json()).toMatchObject({
      max_batch_size: 1024,
      input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [16] }],
    })
    expect(await (await get('/v2/models/chain/versions/7/ready')).json()).toEqual({ name: 'chain', ready: true })
    const index = await (await post('/v2/repository/index', '')).json()
    expect(index).toContainEqual({ name: 'chain', version: '7', state: 'READY' })
    const load = await post('/v2/repository/models/chain/load', '')
    expect([load.status, await load.text()]).toEqual([200, ''])
    const unload = await post('/v2/repository/models/chain/unload', '')
    expect([unload.status, (await bodyOf(unload)).code]).toEqual([403, 'serving.route_decides'])
    const absent = await infer('delay/versions/9', [x('FP32', [1, 2], [1, 2])])
    expect([absent.status, (await bodyOf(absent)).code]).toEqual([404, 'serving.version_not_served'])
  })

  test.each([
    ['/v2/models/none/ready', 404],
    ['/v2/models/delay/versions/9/ready', 404],
    ['/v2/models/delay/versions/1/nothing', 404],
    ['/v2/nothing', 404],
    ['/v2/models/delay/trace/setting', 501],
    ['/v2/models/delay/generate', 501],
  ])('GET %s is %i with an error of exactly application/json', async (path, status) => {
    const response = await get(path)
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/json'])
    expect(Object.keys(await bodyOf(response))).toEqual(['error', 'code', 'request_id'])
  })

  test.each([
    [
      { inputs: [x('FP32', [1, 2], [1, 2]), { name: 'z' }, 7] },
      'Cannot read the inference request: input "z" is not among the model\'s inputs: "x"; /inputs/2 input is not an object',
    ],
    [
      { inputs: [x('FP32', [1, 2], [1, 'b'])] },
      'Cannot read the inference request: input "x" holds "b", FP32 takes numbers',
    ],
    [{ inputs: [], id: 7 }, 'Cannot read the inference request: id is not a string of at most 1024 characters'],
    [
      { inputs: [x('FP32', [10_001, 2], Array(20_002).fill(1))] },
      'Cannot infer: 10001 rows, at most 10000 are allowed',
    ],
  ])('says what is wrong once, as plain text', async (body, text) => {
    const response = await post('/v2/models/chain/infer', body)
    expect([response.status, (await bodyOf(response)).error]).toEqual([400, text])
  })

  test('takes nested and flat data, and refuses wrong counts, ragged rows and unknown inputs', async () => {
    const nested = await (
      await infer('delay', [
        x(
          'FP32',
          [2, 2],
          [
            [1, 2],
            [3, 4],
          ],
        ),
      ])
    ).json()
    const flat = await (await infer('delay', [x('FP32', [2, 2], [1, 2, 3, 4])])).json()
    expect(nested).toEqual(flat)
    expect(nested).toEqual({
      model_name: 'delay',
      model_version: '1',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }],
    })
    expect((await infer('delay', [x('FP32', [2, 2], [1, 2, 3])])).status).toBe(400)
    expect((await infer('delay', [x('FP32', [2, 2], [[1, 2], [3]])])).status).toBe(400)
    const extra = await infer('delay', [x('FP32', [1, 2], [1, 2]), { ...x('FP32', [1], [1]), name: 'z' }])
    expect([extra.status, (await bodyOf(extra)).error]).toEqual([400, expect.stringContaining('z')])
  })

  test('keeps int64 exact, checks ranges, and carries NaN as null', async () => {
    const exact = await post(
      '/v2/models/int64/infer',
      '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9007199254740993,-1]}]}',
    )
    expect(await exact.text()).toContain('9007199254740993,-1')
    expect((await infer('uint8', [x('UINT8', [1, 2], [256, 0])])).status).toBe(400)
    expect((await infer('int32', [x('INT32', [1, 2], [1.5, 0])])).status).toBe(400)
    const nan = await post(
      '/v2/models/delay/infer',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[NaN,1]}]}',
    )
    expect((await bodyOf(nan)).outputs[0]!.data).toEqual([null, 1])
  })

  test('keeps the order of the outputs, echoes the id, and classifies with labels', async () => {
    const value = (name: string, data: number[]) => ({ name, datatype: 'FP32', shape: [1, 2], data })
    const ordered = await (
      await infer('sums', [value('a', [3, 4]), value('b', [1, 1])], {
        id: '42',
        outputs: [{ name: 'difference' }, { name: 'sum' }],
      })
    ).json()
    expect(ordered).toMatchObject({
      id: '42',
      outputs: [
        { name: 'difference', data: [2, 3] },
        { name: 'sum', data: [4, 5] },
      ],
    })
    const classes = await bodyOf(
      await infer('scores', [x('FP32', [4], [1.1, 3.3, 0.5, 2.4])], {
        outputs: [{ name: 'y', parameters: { classification: 2 } }],
      }),
    )
    expect(classes.outputs[0]).toMatchObject({ datatype: 'BYTES', shape: [2], data: ['3.300000:1:b', '2.400000:3:d'] })
    expect(classes).not.toHaveProperty('id')
  })

  const binary = (header: object, bytes: Uint8Array) => {
    const json = Buffer.from(JSON.stringify(header))
    return { body: Buffer.concat([json, bytes]), length: String(json.length) }
  }
  const inferBinary = (route: string, body: Uint8Array, length: string, headers: Headers = {}) =>
    raw({
      method: 'POST',
      path: `/v2/models/${route}/infer`,
      headers: { 'inference-header-content-length': length, ...headers },
      body,
    })
  const floats = Buffer.from(new Float32Array([1.5, -2]).buffer)
  const fp32 = binary(
    {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } }],
      parameters: { binary_data_output: true },
    },
    floats,
  )

  test('takes and gives binary tensors without a content type, packed or not', async () => {
    for (const [pack, unpack, coding] of [
      [gzipSync, inflateSync, 'gzip'],
      [deflateSync, inflateSync, 'deflate'],
      [(body: Uint8Array) => body, inflateSync, 'identity'],
    ] as const) {
      const answer = await inferBinary('delay', pack(fp32.body), fp32.length, {
        'content-encoding': coding,
        'accept-encoding': 'deflate',
      })
      expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/octet-stream'])
      const body = answer.headers['content-encoding'] === 'deflate' ? unpack(answer.body) : answer.body
      const at = Number(answer.headers['inference-header-content-length'])
      expect(JSON.parse(body.subarray(0, at).toString()).outputs[0].parameters).toEqual({ binary_data_size: 8 })
      expect(body.subarray(at)).toEqual(floats)
    }
  })

  test('packs a large answer as the client likes', async () => {
    const data = Array.from({ length: 2_000 }, (_, index) => index)
    const body = Buffer.from(JSON.stringify({ inputs: [x('FP32', [1_000, 2], data)] }))
    const answer = await raw({
      method: 'POST',
      path: '/v2/models/delay/infer',
      headers: { 'accept-encoding': 'gzip;q=0.5, br' },
      body,
    })
    expect([answer.headers['content-encoding'], answer.headers['vary']]).toEqual(['gzip', 'accept-encoding'])
    expect(JSON.parse(gunzipSync(answer.body).toString()).outputs[0].data).toEqual(data)
  })

  test('refuses torn binary bodies and senseless header lengths', async () => {
    expect((await inferBinary('delay', fp32.body.subarray(0, -1), fp32.length)).status).toBe(400)
    expect((await inferBinary('delay', Buffer.concat([fp32.body, Buffer.from([0])]), fp32.length)).status).toBe(400)
    for (const length of ['abc', '-1', '99999'])
      expect((await inferBinary('delay', fp32.body, length)).status).toBe(400)
  })

  test('takes a raw tensor, BYTES, and FP16 in binary only', async () => {
    const rawTensor = await inferBinary('fixed', Buffer.from(new Float32Array([1, 2, 3, 4]).buffer), '0')
    expect([rawTensor.status, rawTensor.headers['content-type']]).toEqual([200, 'application/octet-stream'])
    const texts = Buffer.from('02000000c3a900000000', 'hex')
    const bytes = binary(
      {
        inputs: [{ name: 'x', datatype: 'BYTES', shape: [2], parameters: { binary_data_size: 10 } }],
        parameters: { binary_data_output: true },
      },
      texts,
    )
    expect((await inferBinary('text', bytes.body, bytes.length)).body.subarray(-10)).toEqual(texts)
    const json = await infer('fp16', [x('FP16', [1, 2], [1, 2])])
    expect([json.status, (await bodyOf(json)).error]).toEqual([400, expect.stringContaining('binary')])
    const half = binary(
      {
        inputs: [{ name: 'x', datatype: 'FP16', shape: [1, 2], parameters: { binary_data_size: 4 } }],
        parameters: { binary_data_output: true },
      },
      Buffer.from('003c0040', 'hex'),
    )
    expect((await inferBinary('fp16', half.body, half.length)).body.subarray(-4).toString('hex')).toBe('003c0040')
  })

  test('counts rows, runs and requests as a load generator reads them', async () => {
    const stats = async () => (await bodyOf(await get('/v2/models/chain/versions/7/stats'))).model_stats[0]!
    const before = await stats()
    const startedMs = Date.now()
    await infer('chain', [x('FP32', [3, 2], [1, 2, 3, 4, 5, 6])])
    await (await get('/v2/models/chain')).json()
    const after = await stats()
    expect([
      after.inference_count - before.inference_count,
      after.execution_count - before.execution_count,
      after.inference_stats.success.count - before.inference_stats.success.count,
    ]).toEqual([3, 1, 1])
    expect(after.last_inference).toBeGreaterThanOrEqual(startedMs)
    expect(after.last_inference).toBeLessThanOrEqual(Date.now())
    for (const name of [
      'success',
      'fail',
      'queue',
      'compute_input',
      'compute_infer',
      'compute_output',
      'cache_hit',
      'cache_miss',
    ]) {
      expect(after.inference_stats[name]).toEqual({ count: expect.any(Number), ns: expect.any(Number) })
    }
  })

  test('has a record of every inference in the segment file', async () => {
    const response = await infer('delay', [x('FP32', [1, 2], [8, 9])], { id: 'mine' })
    const record = opened.records().find((one) => one.id === response.headers.get('x-plimsoll-prediction-id'))
    expect(record).toMatchObject({ route: 'delay', outputs: { y: [8, 9] }, payload: { protocol: 'oip', id: 'mine' } })
  })
})

describe('the HTTP server', () => {
  test.each([
    ['GET', '/predict/delay', 'POST'],
    ['PUT', '/invocations/delay', 'POST'],
    ['GET', '/v2/models/delay/infer', 'POST'],
    ['DELETE', '/v2/models/delay', 'GET, HEAD'],
    ['POST', '/v2/health/live', 'GET, HEAD'],
    ['GET', '/v2/repository/index', 'POST'],
    ['POST', '/metrics', 'GET, HEAD'],
  ])('%s %s is 405 and allows %s', async (method, path, allow) => {
    const answer = await raw({ method, path })
    expect([answer.status, answer.headers['allow']]).toEqual([405, allow])
  })

  test('answers 415 with the encodings it takes', async () => {
    const answer = await raw({
      method: 'POST',
      path: '/v2/models/delay/infer',
      headers: { 'content-encoding': 'br' },
      body: Buffer.from('x'),
    })
    expect([answer.status, answer.headers['accept-encoding'], answer.headers['content-type']]).toEqual([
      415,
      'gzip, deflate',
      'application/json',
    ])
  })

  test.each([
    ['a declared length', { body: Buffer.alloc(8 << 20, 0x20) }],
    ['a chunked body', { body: Buffer.alloc(8 << 20, 0x20), headers: { 'transfer-encoding': 'chunked' } }],
    ['a gzip bomb', { body: gzipSync(Buffer.alloc(200 << 20)), headers: { 'content-encoding': 'gzip' } }],
    ['a deflate bomb', { body: deflateSync(Buffer.alloc(200 << 20)), headers: { 'content-encoding': 'deflate' } }],
  ] as [string, { body: Buffer; headers?: Headers }][])(
    'answers 413 to %s over the limit, and goes on',
    async (_name, call) => {
      for (const path of ['/predict/delay', '/v2/models/delay/infer']) {
        expect((await raw({ method: 'POST', path, ...call })).status).toBe(413)
      }
      expect((await post('/predict/delay', { p: 1, q: 2 })).status).toBe(200)
    },
  )

  test('answers 400 to a damaged gzip body', async () => {
    const body = gzipSync(Buffer.from('{"p":1,"q":2}')).subarray(0, -9)
    expect(
      (await raw({ method: 'POST', path: '/predict/delay', headers: { 'content-encoding': 'gzip' }, body })).status,
    ).toBe(400)
  })

  test.each([
    [{ host: 'evil.example' }, 403],
    [{ host: '127.0.0.1:1' }, 403],
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'content-type': 'text/plain' }, 415],
  ] as [Headers, number][])('refuses the headers %j', async (headers, status) => {
    const answer = await raw({ method: 'POST', path: '/predict/delay', headers, body: Buffer.from('{"p":1,"q":2}') })
    expect(answer.status).toBe(status)
  })

  test('answers 503 with Retry-After beyond the route’s bound, and serves again after', async () => {
    const body = { x: 400_000 }
    const answers = await Promise.all(Array.from({ length: 12 }, () => post('/predict/narrow', body)))
    const statuses = answers.map((answer) => answer.status)
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0)
    const refused = answers.find((answer) => answer.status === 503)!
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect((await post('/predict/narrow', { x: 1 })).status).toBe(200)
  })

  test('a model host that is killed costs no answer but a 503 with Retry-After; the next one answers', async () => {
    // No host starts in 80 ms: what runs is refused, and never waits for its deadline to be told 504.
    const hurried = post('/predict/narrow', { x: 1e9 }, { 'x-request-timeout-ms': '80' })
    const patient = post('/predict/narrow', { x: 1 })
    await expect.poll(() => opened.gateway.live()?.routes.get('narrow')?.inflight, { interval: 1 }).toBe(2)
    process.kill(opened.pool.stats().hosts[0]!.pid!, 'SIGKILL')
    const refused = await hurried
    expect([refused.status, (await bodyOf(refused)).code]).toEqual([503, 'inference.host_died'])
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await patient).status).toBe(200)
  })
})
