import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { identityModel } from '../../packages/platform/src/inference/onnx.fixture.ts'
import { openTestPlatform, type TestPlatform } from './platform.fixture.ts'

// A whole platform with its processes; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const HOUR_MS = 3_600_000
const COLUMNS = ['arrivals__mean_delay', 'distance', 'arrivals__n', 'arrivals__newest']
const started = Date.now()
const at = (hours: number) => new Date(started + hours * HOUR_MS).toISOString()

/** The model gives back what it was fed: what the gateway looked up is what it answers. */
const project = (feature: string) => `
import { count, datasetVersion, defineDataset, defineEntity, defineFeatureService, defineFeatureView, defineModel,
  definePipeline, defineProject, defineRoute, entity, float64, int32, last, materialize, mean, parquet, python, register, string,
  text, timestamp, trainingSet } from '@plimsoll/sdk'
export const project = defineProject({ name: 'echo' })
const time = timestamp({ zone: 'UTC' })
export const flights = defineDataset({ name: 'flights', source: parquet('data/flights.parquet'),
  schema: { date: time, landed_at: time, destination: text(), delay: int32() } })
export const labels = defineDataset({ name: 'labels', source: parquet('data/labels.parquet'),
  schema: { asked_at: time, airport: text(), distance: float64() } })
export const airport = defineEntity({ name: 'airport', keys: { airport: text() } })
export const arrivals = defineFeatureView({ name: 'arrivals', entity: airport, source: flights, keys: { airport: 'destination' },
  eventTime: 'date', knownAt: 'landed_at', features: { mean_delay: ${feature}, n: count().over('12h'), newest: last('delay', 'int32') } })
export const service = defineFeatureService({ name: 'at-landing', views: [arrivals] })
export const model = defineModel({ name: 'echo', owner: 'a@example.org', approvals: { production: 1 },
  intent: { intendedUse: 'tests', limitations: 'it only echoes' } })
export const train = definePipeline({ name: 'train', build: () => {
  const set = trainingSet({ service, spine: datasetVersion(labels), time: 'asked_at', sources: { flights: datasetVersion(flights) } })
  register({ model, from: python('steps/copy.py', { files: ['steps/*'], lock: 'steps/requirements.lock', inputs: { set }, outputs: { model: 'onnx', metrics: 'json' } }) })
} })
export const refresh = definePipeline({ name: 'refresh', params: { until: string() },
  build: (p) => materialize({ service, until: p.param('until') }) })
export const route = defineRoute({ name: 'echo', model, slo: '5s', inputs: { distance: float64(), airport: entity(airport) }, features: service })
`
/** Copies the model out of the code, and leaves the metric that a passport needs. */
const COPY = `
import json, os, shutil, urllib.request
import plimsoll_step
step = plimsoll_step.load()
assert step.input("set").files
shutil.copy(os.path.join(os.path.dirname(__file__), "echo.onnx"), step.output("model").path)
run = os.environ["MLFLOW_RUN_ID"]
def call(method, path, kind=None, body=None):
    headers = {"authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], **({"content-type": kind} if kind else {})}
    request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + path, body, headers, method=method)
    return json.load(urllib.request.urlopen(request))
step.output("metrics").write_json({"auc": 0.5})
root = call("GET", "/api/2.0/mlflow/runs/get?run_id=" + run)["run"]["info"]["artifact_uri"].split(":/")[1]
# The real client names the type that the file's suffix says.
call("PUT", "/api/2.0/mlflow-artifacts/artifacts/" + root + "/notes.txt", "text/plain", b"an echo")
`

let platform: TestPlatform
let token: string

async function writeData(folder: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  // Known 3 hours after departure: the last one is still in the air at the time of asking.
  await connection.run(`copy (select * from (values
    (timestamptz '${at(-9)}', timestamptz '${at(-6)}', 'JFK', 10::integer), (timestamptz '${at(-8)}', timestamptz '${at(-5)}', 'JFK', 20::integer),
    (timestamptz '${at(-2)}', timestamptz '${at(1)}', 'JFK', 900::integer), (timestamptz '${at(-7)}', timestamptz '${at(-4)}', 'BOS', 60::integer)
    ) t(date, landed_at, destination, delay)) to '${folder}/flights.parquet' (format parquet)`)
  await connection.run(`copy (select * from (values (timestamptz '${at(0)}', 'JFK', 100.0::double), (timestamptz '${at(0)}', 'BOS', 200.0::double),
    (timestamptz '${at(0)}', 'SFO', 300.0::double)) t(asked_at, airport, distance)) to '${folder}/labels.parquet' (format parquet)`)
  connection.closeSync()
  instance.closeSync()
}

beforeAll(async () => {
  platform = await openTestPlatform()
  token = join(platform.work, 'ada.token')
  platform.commit(
    {
      '.gitignore': 'data/\n',
      'data/.keep': '',
      'plimsoll.project.mts': project("mean('delay').over('12h')"),
      'steps/copy.py': COPY,
      'steps/requirements.lock': '# nothing but the standard library\n',
      'steps/echo.onnx': identityModel('FP32', ['n', 4], { columns: JSON.stringify(COLUMNS) }),
    },
    'echo',
  )
  await writeData(join(platform.project, 'data'))
  await platform.value(['apply', platform.project])
  await platform.value(['token', 'create', 'ada', '--role', 'approver', '--out', token])
  await platform.value(['run', 'start', 'train'])
  await platform.value(['run', 'start', 'refresh', '--param', `until=${at(6)}`])
})
afterAll(() => platform?.close())

async function release(version: string): Promise<void> {
  await platform.value(['approve', 'echo', version], { token })
  await platform.value(['release', 'echo', version, '--reason', 'test'], { token })
}

async function predict(row: Record<string, unknown>): Promise<{ status: number; body: Record<string, unknown> }> {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${platform.gateway}/predict/echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ rows: [row] }),
    })
    const body = (await answer.json()) as Record<string, unknown>
    const isEarly = answer.status === 404 || answer.status === 503
    if (!isEarly || tries > 200) return { status: answer.status, body }
    await new Promise((done) => setTimeout(done, 100))
  }
}

test('a route answers from features as they were known, and the training set has the same values', async () => {
  await release('1')
  const { status, body } = await predict({ distance: 100, airport: 'JFK' })
  // 10 and 20 have landed; 900 is in the air, though the store holds it already. The columns come in the model's own order.
  expect([status, body['predictions']]).toEqual([200, [{ y: [15, 100, 2, 20] }]])
  expect((await predict({ distance: 1, airport: 'SFO' })).body['predictions']).toEqual([{ y: [null, 1, 0, null] }])
  const { versions } = await platform.value<{ versions: { version: number; digest: string }[] }>([
    'dataset',
    'versions',
    'at-landing-training',
  ])
  const detail = (await (
    await fetch(`${platform.api}/api/v1/datasets/at-landing-training/versions/${versions[0]!.version}`)
  ).json()) as { manifest: { files: { digest: string }[] } }
  const path = join(platform.work, 'set.parquet')
  const blob = await fetch(`${platform.api}/api/v1/blobs/${detail.manifest.files[0]!.digest}`)
  writeFileSync(path, Buffer.from(await blob.arrayBuffer()))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const rows = await connection.runAndReadAll(
    `select airport, arrivals__mean_delay, cast(arrivals__n as integer), arrivals__newest from read_parquet('${path}') order by airport`,
  )
  expect(rows.getRows()).toEqual([
    ['BOS', 60, 1, 60],
    ['JFK', 15, 2, 20],
    ['SFO', null, 0, null],
  ])
  connection.closeSync()
  instance.closeSync()
})

test('a key that is missing, of another type or unknown is named', async () => {
  const bad = await predict({ distance: 'far', airport: 7, gate: 1 })
  expect(bad.status).toBe(400)
  expect((bad.body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer).sort()).toEqual([
    '/rows/0/airport',
    '/rows/0/distance',
    '/rows/0/gate',
  ])
  expect((await predict({ distance: 1 })).status).toBe(400)
})

test('a route with features answers while the control plane is dead, and those answers are explained when it is back', async () => {
  const children = readFileSync(`/proc/${platform.pid}/task/${platform.pid}/children`, 'utf8').trim().split(' ')
  const commandOf = (pid: string) => readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  const controlPlane = children.find((pid) => commandOf(pid).includes('processes/control-plane.'))
  const ids: string[] = []
  process.kill(platform.pid, 'SIGSTOP') // it starts nothing again
  try {
    process.kill(Number(controlPlane), 'SIGKILL')
    await expect.poll(() => fetch(`${platform.api}/health`).catch(() => 'refused')).toBe('refused')
    for (let at = 0; at < 100; at++) {
      const answer = await fetch(`${platform.gateway}/predict/echo`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ rows: [{ distance: at, airport: 'JFK' }] }),
      })
      const body = (await answer.json()) as { prediction_id: string; predictions: unknown }
      expect([answer.status, body.predictions]).toEqual([200, [{ y: [15, at, 2, 20] }]])
      ids.push(body.prediction_id)
    }
    expect(await fetch(`${platform.api}/health`).catch(() => 'refused')).toBe('refused')
  } finally {
    process.kill(platform.pid, 'SIGCONT')
  }
  await expect.poll(async () => (await platform.run(['explain', ids.at(-1)!])).status).toBe(0)
})

test('a prediction is explained back to the commit and the data, by way of its training set', async () => {
  const { body } = await predict({ distance: 100, airport: 'JFK' })
  let explained = await platform.run(['explain', String(body['prediction_id'])])
  for (let tries = 0; explained.status !== 0 && tries < 60; tries++) {
    await new Promise((done) => setTimeout(done, 500))
    explained = await platform.run(['explain', String(body['prediction_id'])])
  }
  const { links, isIntact } = JSON.parse(explained.out) as {
    links: { kind: string; name: string; detail: Record<string, unknown> }[]
    isIntact: boolean
  }
  expect(isIntact).toBe(true)
  const kinds = links.map(({ kind }) => kind)
  const steps = links.filter(({ kind }) => kind.endsWith('-data')).map(({ name, detail }) => [name, detail['strength']])
  expect(steps.length).toBeGreaterThan(1)
  for (const [name, strength] of steps) expect(strength, String(name)).toBe('content')
  expect(links.find(({ kind }) => kind === 'commit')).toMatchObject({ check: 'verified' })
  for (const kind of [
    'prediction',
    'route',
    'release',
    'model-version',
    'artifact',
    'run',
    'training-data',
    'source-data',
    'commit',
  ])
    expect(kinds).toContain(kind)
})

test('a changed view changes nothing that serves, and no version that learned from the old one may be released', async () => {
  platform.commit({ 'plimsoll.project.mts': project("mean('delay').over('270m')") }, 'a shorter window')
  await platform.value(['apply', platform.project])
  expect((await predict({ distance: 100, airport: 'JFK' })).body['predictions']).toEqual([{ y: [15, 100, 2, 20] }])
  const refused = await platform.run(['release', 'echo', '1', '--reason', 'again'], { token })
  expect(refused.status).toBe(3)
  expect(refused.err).toContain('train again')
  await platform.value(['run', 'start', 'train'])
  await platform.value(['approve', 'echo', '2'], { token })
  const unfilled = await platform.run(['release', 'echo', '2', '--reason', 'too early'], { token })
  expect(unfilled.status).toBe(3)
  expect(unfilled.err).toContain('plimsoll run start refresh --param until=')
  await platform.value(['run', 'start', 'refresh', '--param', `until=${at(6)}`])
  await release('2')
  let answered = await predict({ distance: 100, airport: 'JFK' })
  for (let tries = 0; answered.body['version'] !== '2' && tries < 100; tries++) {
    await new Promise((done) => setTimeout(done, 100))
    answered = await predict({ distance: 100, airport: 'JFK' })
  }
  // The flight that landed 5 hours ago is out of the window; none is left, and the count over 12 hours holds.
  expect(answered.body['predictions']).toEqual([{ y: [null, 100, 2, 20] }])
})
