import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestSurface, type TestSurface } from './tracking.fixture.ts'

let surface: TestSurface
let run: string
beforeAll(async () => {
  surface = await openTestSurface()
})
beforeEach(async () => {
  await surface.database.clear()
  run = await newRun()
})
afterAll(() => surface.close())

const newRun = async (more: object = {}): Promise<string> =>
  (await surface.ok('POST', '/runs/create', { experiment_id: '0', ...more })).run.info.run_id
const get = async (id = run) => (await surface.ok('GET', `/runs/get?run_id=${id}`)).run
const history = async (key: string) =>
  (await surface.ok('GET', `/metrics/get-history?run_uuid=${run}&metric_key=${key}`)).metrics
const metric = (value: unknown, more: object = {}) =>
  surface.ok('POST', '/runs/log-metric', { run_id: run, key: 'm', value, timestamp: 1, ...more })
const search = async (body: object): Promise<string[]> =>
  (await surface.ok('POST', '/runs/search', { experiment_ids: ['0'], ...body })).runs.map(
    (one: { info: { run_id: string } }) => one.info.run_id,
  )

test('runs/create answers with numbers, RUNNING, no end time and 32 hex digits', async () => {
  const { run: made } = await surface.ok('POST', '/runs/create', {
    experiment_id: 0,
    start_time: 456,
    tags: [{ key: 'mlflow.user', value: 'ada' }],
  })
  expect(made.info).toMatchObject({
    start_time: 456,
    status: 'RUNNING',
    run_uuid: made.info.run_id,
    user_id: 'ada',
    lifecycle_stage: 'active',
  })
  expect(made.info.run_id).toMatch(/^[0-9a-f]{32}$/)
  expect(Object.hasOwn(made.info, 'end_time')).toBe(false)
  expect(made.info.artifact_uri).toBe(`mlflow-artifacts:/0/${made.info.run_id}/artifacts`)
})

test('NaN and infinities travel as text, int64 exactly', async () => {
  await metric('NaN')
  await surface.ok('POST', '/runs/log-metric', { run_id: run, key: 'inf', value: '-Infinity', timestamp: 1 })
  const exact = await surface.call(
    'POST',
    '/runs/log-metric',
    `{"run_id":"${run}","key":"big","value":1,"timestamp":1,"step":9007199254740993}`,
  )
  expect(exact.status).toBe(200)
  const text = (await surface.call('GET', `/runs/get?run_id=${run}`)).text
  expect(text).toContain('"value":"NaN"')
  expect(text).toContain('"value":"-Infinity"')
  expect(text).toContain('"step":9007199254740993')
})

test.each([
  [
    'a step that is text',
    { run_id: 'RUN', key: 'm', value: 1, timestamp: 1, step: 'foo' },
    `Invalid value "foo" for parameter 'step' supplied`,
  ],
  [
    'a run id of null',
    { run_id: null, key: 'm', value: 1, timestamp: 1 },
    "Missing value for required parameter 'run_id'",
  ],
  [
    'a run id that is a number',
    { run_id: 31, key: 'm', value: 1, timestamp: 1 },
    "Invalid value 31 for parameter 'run_id' supplied",
  ],
  ['no timestamp', { run_id: 'RUN', key: 'm', value: 1 }, "Missing value for required parameter 'timestamp'"],
  ['a key that climbs', { run_id: 'RUN', key: '../m', value: 1, timestamp: 1 }, 'must not resolve to other names'],
  ['a key with a strange character', { run_id: 'RUN', key: 'm\n', value: 1, timestamp: 1 }, 'Names may only contain'],
  [
    'a step beyond int64',
    { run_id: 'RUN', key: 'm', value: 1, timestamp: 1, step: '9223372036854775808' },
    "for parameter 'step'",
  ],
])('log-metric refuses %s', async (_what, body, message) => {
  const answer = await surface.call('POST', '/runs/log-metric', {
    ...body,
    ...(body.run_id === 'RUN' ? { run_id: run } : {}),
  })
  expect(answer.status).toBe(400)
  expect(answer.json.message).toContain(message)
})

test('equal points are one, and the latest is by step, then time, then value', async () => {
  await metric(1)
  await metric(1)
  await metric('NaN', { key: 'n' })
  await metric('NaN', { key: 'n' })
  expect([(await history('m')).length, (await history('n')).length]).toEqual([1, 1])
  await metric(2)
  expect((await history('m')).length).toBe(2)
  await metric(10, { step: 1, timestamp: 5, key: 's' })
  await metric(20, { step: 2, timestamp: 6, key: 's' })
  await metric(30, { step: 1, timestamp: 9, key: 's' })
  expect((await get()).data.metrics.find((one: { key: string }) => one.key === 's').value).toBe(20)
})

test('the latest of points with one step and one time is the greatest', async () => {
  for (const value of [2, 3, 1]) await metric(value, { step: 5, timestamp: 7 })
  expect((await get()).data.metrics).toMatchObject([{ key: 'm', value: 3, step: 5, timestamp: 7 }])
})

test('times beyond 2^53 come back as they were sent', async () => {
  const text = `{"experiment_id":"0","start_time":9007199254740993}`
  const made = await surface.call('POST', '/runs/create', text)
  expect(made.text).toContain('"start_time":9007199254740993')
  const body = `{"run_id":"${run}","key":"t","value":1,"timestamp":9007199254740993}`
  expect((await surface.call('POST', '/runs/log-metric', body)).status).toBe(200)
  expect((await surface.call('GET', `/runs/get?run_id=${run}`)).text).toContain('"timestamp":9007199254740993')
})

test('run_uuid names a run wherever run_id does', async () => {
  await surface.ok('POST', '/runs/log-metric', { run_uuid: run, key: 'm', value: 1, timestamp: 1 })
  await surface.ok('POST', '/runs/log-parameter', { run_uuid: run, key: 'p', value: 'v' })
  await surface.ok('POST', '/runs/update', { run_uuid: run, run_name: 'renamed' })
  const { run: found } = await surface.ok('GET', `/runs/get?run_uuid=${run}`)
  expect(found).toMatchObject({ info: { run_name: 'renamed' }, data: { params: [{ key: 'p', value: 'v' }] } })
  expect(await surface.ok('GET', `/artifacts/list?run_uuid=${run}`)).toMatchObject({
    root_uri: found.info.artifact_uri,
  })
})

test('a run leaves any status for any other, and without a user it is of unknown, under a name of its own', async () => {
  expect((await get()).info).toMatchObject({ user_id: 'unknown', run_name: expect.stringMatching(/./) })
  for (const status of ['FINISHED', 'RUNNING', 'KILLED', 'SCHEDULED', 'FAILED', 'RUNNING']) {
    await surface.ok('POST', '/runs/update', { run_id: run, status })
    expect((await get()).info.status).toBe(status)
  }
})

test('get-history-bulk writes what is no number as text', async () => {
  await metric('NaN')
  const path = `/metrics/get-history-bulk?run_id=${run}&metric_key=m`
  expect((await surface.call('GET', path)).text).toContain('"value":"NaN"')
})

test('params are written once', async () => {
  const log = (key: string, value: string) => surface.call('POST', '/runs/log-parameter', { run_id: run, key, value })
  expect((await log('k', 'a')).status).toBe(200)
  expect((await log('k', 'a')).status).toBe(200)
  const changed = await log('k', 'b')
  expect(changed.status).toBe(400)
  expect(changed.json.message).toBe(
    `Changing param values is not allowed. Param with key='k' was already logged with value='a' for run ID='${run}'. Attempted logging new value 'b'.`,
  )
  expect((await log('empty', '')).status).toBe(200)
  expect((await get()).data.params).toEqual([
    { key: 'empty', value: '' },
    { key: 'k', value: 'a' },
  ])
})

const points = (count: number, of: (i: number) => object = () => ({})) =>
  Array.from({ length: count }, (_, i) => ({ key: `m${i}`, value: i, timestamp: 1, ...of(i) }))
const pairs = (count: number) => Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: 'v' }))

test.each([
  [
    'a metric without timestamp',
    { metrics: [{ key: 'm', value: 1 }] },
    "Missing value for required parameter 'metrics[0].timestamp'",
  ],
  ['1,001 metrics', { metrics: points(1_001) }, 'at most 1000 metrics'],
  [
    '1,001 items together',
    { metrics: points(900), params: pairs(50), tags: pairs(51) },
    'at most 1000 metrics, params, and tags',
  ],
  ['101 params', { params: pairs(101) }, 'at most 100 params'],
  [
    'a param key twice',
    {
      params: [
        { key: 'k', value: 'a' },
        { key: 'k', value: 'a' },
      ],
    },
    'Duplicate parameter keys',
  ],
  ['a body of 9 MB', { tags: [{ key: 'k', value: 'x'.repeat(9_000_000) }] }, 'exceed the maximum'],
  [
    'a long key of a tag',
    { tags: [{ key: 'x'.repeat(251), value: 'v' }] },
    "'tags[0].key' exceeds the maximum length of 250 characters",
  ],
])('log-batch refuses %s', async (_what, body, message) => {
  const answer = await surface.call('POST', '/runs/log-batch', { run_id: run, ...body })
  expect(answer.status).toBe(400)
  expect(answer.json.message).toContain(message)
})

test('long values of params and tags are cut by code points, and a param may be sent again', async () => {
  const [param, tag] = ['😀'.repeat(6_000), 'é'.repeat(8_000)]
  const values = async (id = run) => {
    const { params, tags } = (await get(id)).data
    return [...params, ...tags.filter((one: { key: string }) => one.key === 't')].map((one) => one.value)
  }
  await surface.ok('POST', '/runs/log-parameter', { run_id: run, key: 'p', value: `${param}a` })
  await surface.ok('POST', '/runs/log-batch', { run_id: run, params: [{ key: 'p', value: `${param}b` }] })
  await surface.ok('POST', '/runs/set-tag', { run_id: run, key: 't', value: `${tag}a` })
  expect(await values()).toEqual([param, tag])
  expect(await values(await newRun({ tags: [{ key: 't', value: `${tag}b` }] }))).toEqual([tag])
  const refused = await surface.call('POST', '/runs/create', { experiment_id: '0', tags: [{ key: 'a?', value: '' }] })
  expect([refused.status, refused.json.message]).toEqual([400, expect.stringContaining("parameter 'tags[0].key'")])
  const renamed = await surface.ok('POST', '/runs/update', { run_id: run, run_name: `${tag}c` })
  expect(renamed.run_info.run_name).toBe(tag)
})

test('log-batch takes the largest batch in any script, escaped as Python writes it', async () => {
  const of = (prefix: string, length: number) =>
    Array.from({ length: 100 }, (_, i) => ({ key: `${prefix}${i}`, value: 'ж'.repeat(length) }))
  const body = JSON.stringify({ run_id: run, params: of('p', 6_000), tags: of('t', 5_000) })
  const answer = await surface.call('POST', '/runs/log-batch', body.replaceAll('ж', '\\u0436'))
  expect([answer.status, answer.text]).toEqual([200, '{}'])
  expect((await get()).data.params[0].value).toBe('ж'.repeat(6_000))
})

test('log-batch is all or nothing', async () => {
  await surface.ok('POST', '/runs/log-parameter', { run_id: run, key: 'k1', value: 'other' })
  const answer = await surface.call('POST', '/runs/log-batch', {
    run_id: run,
    metrics: points(500),
    params: pairs(3),
    tags: pairs(2),
  })
  expect(answer.status).toBe(400)
  const { data } = await get()
  expect([data.metrics, data.params.length, data.tags.length]).toEqual([[], 1, 1])
  await surface.ok('POST', '/runs/log-batch', {
    run_id: run,
    metrics: points(500),
    tags: [...pairs(1), { key: 'k0', value: 'last' }],
  })
  const after = await get()
  expect([after.data.metrics.length, after.data.metrics[0].step]).toEqual([500, 0])
  expect(after.data.tags.find((tag: { key: string }) => tag.key === 'k0').value).toBe('last')
})

test('log-batch of 1,000 points of one key keeps the history and one latest value', async () => {
  await surface.ok('POST', '/runs/log-batch', { run_id: run, metrics: points(1_000, (i) => ({ key: 'm', step: i })) })
  expect([(await history('m')).length, (await get()).data.metrics]).toEqual([
    1_000,
    [{ key: 'm', value: 999, timestamp: 1, step: 999 }],
  ])
})

test('the run name and its tag are one value, and a rename leaves the status', async () => {
  expect(
    (await surface.call('POST', '/runs/set-tag', { run_uuid: run, key: 'mlflow.runName', value: 'x' })).status,
  ).toBe(200)
  expect((await get()).info.run_name).toBe('x')
  await surface.ok('POST', '/runs/update', { run_id: run, status: 'FINISHED', end_time: 99 })
  const { run_info } = await surface.ok('POST', '/runs/update', { run_id: run, run_name: 'y' })
  expect(run_info).toMatchObject({ run_name: 'y', status: 'FINISHED', end_time: 99 })
  expect((await get()).data.tags).toContainEqual({ key: 'mlflow.runName', value: 'y' })
  expect((await surface.call('POST', '/runs/set-tag', { run_id: run, key: 'k', value: 41 })).status).toBe(400)
  const clash = await surface.call('POST', '/runs/create', {
    experiment_id: '0',
    run_name: 'a',
    tags: [{ key: 'mlflow.runName', value: 'b' }],
  })
  expect(clash.status).toBe(400)
})

test('tags of the platform: nobody sets or deletes them, and runs/create leaves them out, as a client that copies a run sends them', async () => {
  const forged = { key: 'plimsoll.run', value: 'run_1' }
  const copy = await newRun({ tags: [forged, { key: 'k', value: 'v' }] })
  const tags = async () => (await surface.ok('GET', `/runs/get?run_id=${copy}`)).run.data.tags
  const before = await tags()
  expect(before.map(({ key }: { key: string }) => key)).toEqual(['k', 'mlflow.runName'])
  for (const [path, body] of [
    ['/runs/set-tag', forged],
    ['/runs/log-batch', { tags: [{ key: 'more', value: '' }, forged] }],
    ['/runs/delete-tag', { key: forged.key }],
  ] as const) {
    const refused = await surface.call('POST', path, { run_id: copy, ...body })
    expect([refused.status, refused.json.error_code, surface.refusedWith()], path).toEqual([
      403,
      'PERMISSION_DENIED',
      'tracking.tag_reserved',
    ])
  }
  expect(await tags()).toEqual(before)
  const { experiment_id } = await surface.ok('POST', '/experiments/create', { name: 'e', tags: [forged] })
  const { experiment } = await surface.ok('GET', `/experiments/get?experiment_id=${experiment_id}`)
  expect(experiment.tags).toEqual([])
  const { model } = await surface.ok('POST', '/logged-models', { experiment_id, tags: [forged] })
  expect(model.info.tags).toEqual([])
  for (const [method, path, body] of [
    ['POST', '/experiments/set-experiment-tag', { experiment_id, ...forged }],
    ['PATCH', `/logged-models/${model.info.model_id}/tags`, { tags: [forged] }],
  ] as const)
    expect([(await surface.call(method, path, body)).status, surface.refusedWith()]).toEqual([
      403,
      'tracking.tag_reserved',
    ])
})

test('a deleted run is read, not written', async () => {
  expect((await surface.call('POST', '/runs/delete-tag', { run_id: run, key: 'no' })).json).toEqual({
    error_code: 'RESOURCE_DOES_NOT_EXIST',
    message: `No tag with name: no in run with id ${run}`,
  })
  expect(surface.refusedWith()).toBe('tracking.tag_not_found')
  await surface.ok('POST', '/runs/delete', { run_id: run })
  await surface.ok('POST', '/runs/delete', { run_id: run })
  const refused = await surface.call('POST', '/runs/delete-tag', { run_id: run, key: 'no' })
  expect([refused.status, refused.json.message]).toEqual([
    400,
    `The run ${run} must be in the 'active' state. Current state is deleted.`,
  ])
  expect((await get()).info.lifecycle_stage).toBe('deleted')
})

test('runs/search pages by keyset: equal start times by id, and a new run neither repeats nor hides a row', async () => {
  await surface.database.clear()
  const ids: string[] = []
  for (let i = 0; i < 10; i++) ids.push(await newRun({ start_time: 7 }))
  const seen: string[][] = []
  let token: string | undefined
  do {
    const page = await surface.ok('POST', '/runs/search', {
      experiment_ids: ['0'],
      max_results: 4,
      page_token: token,
      filter: 'attributes.start_time = 7',
    })
    seen.push(page.runs.map((one: { info: { run_id: string } }) => one.info.run_id))
    token = page.next_page_token
    await newRun({ start_time: 8 })
  } while (token !== undefined)
  expect(seen.map((page) => page.length)).toEqual([4, 4, 2])
  expect(seen.flat()).toEqual(ids.toSorted())
})

test.each([
  [{ max_results: 123456789 }, "Invalid value 123456789 for parameter 'max_results' supplied"],
  [{ filter: "params.a = 'x' OR params.b = 'y'" }, 'Invalid clause(s)'],
  [{ filter: 'params.x > 3' }, 'Invalid comparator'],
  [{ filter: 'metrics.x IS NULL' }, 'Invalid comparator'],
  [{ filter: 'status is not null' }, 'Invalid comparator'],
  [{ filter: 'params.x IS' }, 'Invalid clause(s)'],
  [{ filter: 'params.x IS NOT' }, 'Invalid clause(s)'],
  [{ filter: "' or 1=1--" }, 'Invalid clause(s)'],
  [{ filter: "params.a = 'x'; drop table run" }, 'Invalid clause(s)'],
  [{ filter: '('.repeat(10_000) }, 'Invalid clause(s)'],
  [{ filter: 'metrics.x = ' }, 'Invalid clause(s)'],
  [{ filter: "attributes.nope = 'x'" }, 'Invalid attribute key'],
  [{ order_by: ['metrics.m DESC please'] }, 'order_by'],
  [{ order_by: ['metrics.m', 'metrics.m DESC'] }, 'duplicate'],
  [{ order_by: ['pg_sleep(1)'] }, 'order_by'],
  [{ page_token: '!!!' }, 'page token'],
])('runs/search refuses %j', async (body, message) => {
  const answer = await surface.call('POST', '/runs/search', { experiment_ids: ['0'], ...body })
  expect([answer.status, answer.json.error_code]).toEqual([400, 'INVALID_PARAMETER_VALUE'])
  expect(answer.json.message).toContain(message)
})

test('runs/search filters: lists of ids, NaN matches nothing, a missing param is not unequal', async () => {
  const other = await newRun()
  await newRun()
  expect((await search({ filter: `attributes.run_id IN ('${run}', '${other}')` })).toSorted()).toEqual(
    [run, other].toSorted(),
  )
  await metric('NaN', { key: 'x' })
  await surface.ok('POST', '/runs/log-metric', { run_id: other, key: 'x', value: 0, timestamp: 1 })
  await surface.ok('POST', '/runs/log-parameter', { run_id: other, key: 'p', value: 'v' })
  expect(await search({ filter: 'metrics.x = 0' })).toEqual([other])
  expect(await search({ filter: "params.p != 'w' AND metrics.`x` >= -1e0" })).toEqual([other])
  expect(await search({ filter: "params.p LIKE '\\%'" })).toEqual([])
  expect(await search({ filter: "status = 'RUNNING' and params.p ilike 'V'" })).toEqual([other])
})

test('order_by puts NaN after numbers and missing last, in both directions', async () => {
  await surface.database.clear()
  const ids: string[] = []
  for (const value of [1, 'NaN', undefined, 3]) {
    const id = await newRun()
    ids.push(id)
    if (value !== undefined) await surface.ok('POST', '/runs/log-metric', { run_id: id, key: 'm', value, timestamp: 1 })
  }
  const [one, nan, none, three] = ids
  expect(await search({ order_by: ['metrics.m DESC'] })).toEqual([three, one, nan, none])
  expect(await search({ order_by: ['metrics.m ASC'] })).toEqual([one, three, nan, none])
  const first = await surface.ok('POST', '/runs/search', {
    experiment_ids: ['0'],
    order_by: ['metrics.m DESC'],
    max_results: 2,
  })
  expect(await search({ order_by: ['metrics.m DESC'], page_token: first.next_page_token })).toEqual([nan, none])
})

test.each(['0'.repeat(32), '../x'])('the run id %j, which no run has, has no history', async (id) => {
  const of = (path: string) => surface.ok('GET', `/metrics/${path}&metric_key=m`)
  const asked = encodeURIComponent(id)
  await metric(1)
  expect(await of(`get-history?run_id=${asked}`)).toEqual({ metrics: [] })
  expect(await of(`get-history-bulk?run_id=${asked}`)).toEqual({ metrics: [] })
  expect(await of(`get-history-bulk-interval?run_ids=${asked}`)).toEqual({ metrics: [] })
  expect((await of(`get-history-bulk?run_id=${asked}&run_id=${run}`)).metrics).toHaveLength(1)
})

test('bulk-interval samples steps over all runs and keeps the ends of each', async () => {
  const log = async (id: string, count: number) =>
    surface.ok('POST', '/runs/log-batch', { run_id: id, metrics: points(count, (i) => ({ key: 'm', step: i })) })
  await log(run, 10)
  const other = await newRun()
  await log(other, 20)
  const steps = async (query: string) => {
    const { metrics } = await surface.ok('GET', `/metrics/get-history-bulk-interval?metric_key=m&${query}`)
    return [...new Set<number>(metrics.map((one: { step: number }) => one.step))].sort((a, b) => a - b)
  }
  expect(await steps(`run_ids=${run}&max_results=5`)).toEqual([0, 2, 4, 6, 8, 9])
  expect(await steps(`run_ids=${run}&max_results=5&start_step=4&end_step=8`)).toEqual([4, 5, 6, 7, 8])
  expect(await steps(`run_ids=${run}&run_ids=${other}&max_results=5`)).toEqual([0, 4, 8, 9, 12, 16, 19])
  const refused = (query: string) =>
    surface.call('GET', `/metrics/get-history-bulk-interval?run_ids=${run}&metric_key=m&${query}`)
  expect((await refused('max_results=0')).json.message).toContain('max_results must be between 1 and 2500')
  expect((await refused('start_step=1')).json.message).toContain('both must be specified')
})

test('log-model appends to the history of the run, also where a client had put something else there', async () => {
  const document = (name: string, more = {}) =>
    JSON.stringify({ artifact_path: name, flavors: {}, utc_time_created: 'now', run_id: run, ...more })
  const log = (model_json: string) => surface.call('POST', '/runs/log-model', { run_id: run, model_json })
  const logged = async () => {
    const tag = (await get()).data.tags.find(({ key }: { key: string }) => key === 'mlflow.log-model.history')
    return (JSON.parse(tag.value) as { artifact_path: string }[]).map((one) => one.artifact_path)
  }
  await surface.ok('POST', '/runs/set-tag', { run_id: run, key: 'mlflow.log-model.history', value: 'mine' })
  expect((await log(document('one'))).status).toBe(200)
  expect((await log(document('two'))).status).toBe(200)
  expect(await logged()).toEqual(['one', 'two'])
  for (let large = 0; large < 3; large++)
    expect((await log(document(`large-${large}`, { pad: 'x'.repeat(800_000) }))).status).toBe(200)
  expect(await logged()).toEqual(['large-1', 'large-2'])
  expect((await log('no JSON')).json.message).toContain('is not valid JSON')
  expect((await log('{"flavors":{}}')).json.message).toContain("'artifact_path', 'utc_time_created', 'run_id'")
  expect((await log(document('x', { pad: 'x'.repeat(1_048_576) }))).status).toBe(400)
})

test('log-inputs of the same dataset again keeps one input with the first tags', async () => {
  const log = (context: string) =>
    surface.ok('POST', '/runs/log-inputs', {
      run_id: run,
      datasets: [
        {
          tags: [{ key: 'mlflow.data.context', value: context }],
          dataset: { name: 'D', digest: '123', source_type: 'local', source: '{}' },
        },
      ],
    })
  await log('training')
  await log('testing')
  const { inputs } = await get()
  expect(inputs.dataset_inputs).toEqual([
    {
      tags: [{ key: 'mlflow.data.context', value: 'training' }],
      dataset: { name: 'D', digest: '123', source_type: 'local', source: '{}' },
    },
  ])
  expect(await search({ filter: "datasets.name IN ('D', '123') and dataset.context = 'training'" })).toEqual([run])
})

test("a run's token writes its own run and the runs it made, no other", async () => {
  const other = await newRun()
  surface.become({ kind: 'run', id: `run:${run}` })
  try {
    await metric(1)
    const child = await newRun()
    await surface.ok('POST', '/runs/set-tag', { run_id: child, key: 'k', value: 'v' })
    const refused = await surface.call('POST', '/runs/set-tag', { run_id: other, key: 'k', value: 'v' })
    expect([refused.status, refused.json.error_code]).toEqual([403, 'PERMISSION_DENIED'])
    expect(surface.refusedWith()).toBe('tracking.run_scope')
    expect((await surface.call('POST', '/runs/delete', { run_id: run })).status).toBe(403)
    const renamed = { experiment_id: '0', new_name: 'stolen' }
    expect((await surface.call('POST', '/experiments/update', renamed)).status).toBe(403)
    const put = (id: string) =>
      fetch(`${surface.url}/api/2.0/mlflow-artifacts/artifacts/0/${id}/artifacts/x`, { method: 'PUT', body: 'x' })
    expect([(await put(run)).status, (await put(child)).status, (await put(other)).status]).toEqual([200, 200, 403])
  } finally {
    surface.become({})
  }
})

test('a create whose caller was cut off is answered again; delivered creates are two runs', async () => {
  await surface.database.clear()
  const body = JSON.stringify({ experiment_id: '0', run_name: 'cut' })
  await new Promise<void>((resolve, reject) => {
    const socket = connect(surface.port, '127.0.0.1', () => {
      socket.write(
        `POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        () => {
          socket.resetAndDestroy()
          resolve()
        },
      )
    })
    socket.on('error', reject)
  })
  // the first request is in its transaction or done: what it made is what the second one finds
  await expect.poll(async () => (await search({})).length).toBe(1)
  const [made] = await search({})
  expect((await surface.ok('POST', '/runs/create', JSON.parse(body))).run.info.run_id).toBe(made)
  const again = (await surface.ok('POST', '/runs/create', JSON.parse(body))).run.info.run_id
  expect(again).not.toBe(made)
})

test('an idempotency key gives one run, and is refused for another request', async () => {
  const create = (body: object) => surface.call('POST', '/runs/create', body, { 'idempotency-key': 'one' })
  const [first, again] = [await create({ experiment_id: '0' }), await create({ experiment_id: '0' })]
  expect([first.status, again.text]).toEqual([200, first.text])
  const other = await create({ experiment_id: '0', run_name: 'other' })
  expect([other.status, other.json]).toEqual([
    409,
    { error_code: 'RESOURCE_CONFLICT', message: 'Invalid Idempotency-Key: it was used for another request body' },
  ])
  expect(await search({})).toContain(first.json.run.info.run_id)
})

test('ten writers on one run lose nothing', async () => {
  await Promise.all(
    Array.from({ length: 10 }, (_, writer) =>
      surface.ok('POST', '/runs/log-batch', {
        run_id: run,
        metrics: points(50, (i) => ({ key: `k${i % 7}`, step: writer * 50 + i })),
        params: [{ key: `p${writer}`, value: 'v' }],
      }),
    ),
  )
  const { data } = await get()
  const lengths = await Promise.all(data.metrics.map(async (one: { key: string }) => (await history(one.key)).length))
  expect([lengths.reduce((sum, one) => sum + one, 0), data.params.length]).toEqual([500, 10])
})
