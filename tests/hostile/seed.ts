import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Platform } from './platform.fixture.ts'

const POLL_MS = 200
const POLLS_MAX = 300

/** Things that exist, so that a hostile request gets past the door. */
export interface Seed {
  /** Of a named admin: what such a caller is refused, everybody is. */
  readonly authorization: string
  /** Of the operator, for what spans projects. */
  readonly operator: string
  /** Values of path parameters, by name. */
  readonly samples: Readonly<Record<string, string>>
  readonly experiment: string
  readonly trackedRun: string
  /** Digest of a stored blob of five bytes. */
  readonly blob: string
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>
}

/** A project that plan and apply take. */
export function projectContent(workDir: string): Record<string, unknown> {
  return {
    source: 'hostile',
    origin: { commit: null, isDirty: false },
    definitions: [
      {
        kind: 'dataset',
        name: 'numbers',
        source: { format: 'csv', path: 'numbers.csv' },
        schema: { x: { type: 'int64' }, y: { type: 'int64' } },
      },
      { kind: 'model', name: 'numbers' },
      {
        kind: 'route',
        name: 'numbers',
        model: 'numbers',
        inputs: { x: { type: 'float64' } },
        columns: [{ name: 'x', source: { from: 'input', input: 'x' } }],
      },
      {
        kind: 'pipeline',
        name: 'numbers',
        steps: [{ key: 'numbers', kind: 'dataset-version', params: { dataset: 'numbers', root: workDir } }],
      },
    ],
    bundles: {},
  }
}

export async function seedPlatform(platform: Platform): Promise<Seed> {
  const operator = `Bearer ${readFileSync(join(platform.dataDir, 'operator-token'), 'utf8').trim()}`
  let authorization = operator
  const send = async (method: string, path: string, type: string | undefined, body?: string) => {
    const headers = { authorization, ...(type === undefined ? {} : { 'content-type': type }) }
    const response = await fetch(platform.api + path, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>
  }
  const call = (method: string, path: string, body?: unknown) =>
    body === undefined ? send(method, path, undefined) : send(method, path, 'application/json', JSON.stringify(body))
  const issued = await call('POST', '/api/v1/tokens', { principal: 'ada', role: 'admin' })
  authorization = `Bearer ${String(issued['token'])}`
  const content = projectContent(platform.workDir)
  const { digest } = await call('POST', '/api/v1/plan', { content })
  await call('POST', '/api/v1/apply', { content, plan: digest })
  const run = String((await call('POST', '/api/v1/runs', { pipeline: 'numbers', idempotencyKey: 'seed' }))['id'])
  const mlflow = (method: string, path: string, body?: unknown) => call(method, `/api/2.0/mlflow/${path}`, body)
  const experiment = String((await mlflow('POST', 'experiments/create', { name: 'hostile' }))['experiment_id'])
  const created = await mlflow('POST', 'runs/create', { experiment_id: experiment, start_time: 1 })
  const trackedRun = (created as { run: { info: { run_id: string } } }).run.info.run_id
  const artifact = `/api/2.0/mlflow-artifacts/artifacts/${experiment}/${trackedRun}/artifacts/model/weights.bin`
  await send('PUT', artifact, 'application/octet-stream', 'bytes')
  await mlflow('POST', 'registered-models/create', { name: 'tracked' })
  await mlflow('POST', 'model-versions/create', {
    name: 'tracked',
    source: `runs:/${trackedRun}/model`,
    run_id: trackedRun,
  })
  const blob = 'sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9'
  for (let polls = 0; polls < POLLS_MAX; polls++) {
    const { state } = await call('GET', `/api/v1/runs/${run}`)
    if (state === 'succeeded') break
    if (state === 'failed' || polls === POLLS_MAX - 1) throw new Error(`The run that seeds is ${String(state)}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return {
    authorization,
    operator,
    samples: {
      run,
      step: 'numbers',
      dataset: 'numbers',
      pipeline: 'numbers',
      route: 'numbers',
      model: 'tracked',
      digest: blob,
      gateway: 'gw',
      boot: `boot_${'0'.repeat(32)}`,
      prediction: '01a20d1c-7eba-7feb-88ef-0c924eae2e32',
      alias: 'spare',
      principal: 'someone',
    },
    experiment,
    trackedRun,
    blob,
    call,
  }
}
