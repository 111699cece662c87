import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  csv,
  datasetVersion,
  defineDataset,
  defineModel,
  definePipeline,
  defineRoute,
  float32,
  int64,
  register,
  typescript,
} from '@plimsoll/sdk'
import { type Client, openClient } from '@plimsoll/sdk/client'
import {
  explanation,
  modelVersionView,
  type ProjectContent,
  planView,
  projectContent,
  type RunView,
  releaseView,
  runView,
} from '@plimsoll/sdk/wire'
import { expect } from 'vitest'
import { z } from 'zod'
import { identityModel } from '../inference/onnx.fixture.ts'
import { realClock } from '../kernel/clock.ts'
import { loadConfig } from '../kernel/config/index.ts'
import { layDatabase } from '../kernel/db/database-template.fixture.ts'
import { digestBytes, digestTree } from '../kernel/digest.ts'
import { newId, uuidv7 } from '../kernel/ids.ts'
import { frame } from '../serving/gateway/segment-frame.ts'
import { type ControlPlane, openControlPlane } from './control-plane.ts'

const POLL_MS = 50
const WAIT_MS_MAX = 200_000

/** The model that the step leaves: no file of its code. */
export const MODEL = Buffer.from(identityModel())

/** What the training step of this pipeline does: one output of each shape, a metric, and a line in its log. */
const FIT = `
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
const step = JSON.parse(readFileSync(process.env.PLIMSOLL_STEP, 'utf8'))
const out = (name) => step.outputs[name].path
console.log('fitting on ' + step.inputs.rows.files.length + ' file')
writeFileSync(out('model'), Buffer.from('${MODEL.toString('base64')}', 'base64'))
writeFileSync(out('metrics'), JSON.stringify({ auc: 0.75 }))
mkdirSync(out('report') + '/deep', { recursive: true })
writeFileSync(out('report') + '/deep/page.txt', 'a page of the report')
writeFileSync(out('scored') + '/part.csv', 'score\\n0.5\\n')
writeFileSync(out('scored') + '/manifest.json', JSON.stringify({
  format: 'csv', schema: { score: { type: 'float32', nullable: false } }, files: [{ path: 'part.csv', rows: 1 }] }))
const answer = await fetch(process.env.MLFLOW_TRACKING_URI + '/api/2.0/mlflow/runs/log-metric', {
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer ' + process.env.MLFLOW_TRACKING_TOKEN },
  body: JSON.stringify({ run_id: process.env.MLFLOW_RUN_ID, key: 'auc', value: 0.75, timestamp: 1, step: 0 }) })
if (!answer.ok) throw new Error(await answer.text())
`

export const CODE: Readonly<Record<string, Buffer>> = {
  'fit.mjs': Buffer.from(FIT),
  'requirements.lock': Buffer.from('# nothing\n'),
}

/** A project with one of each that names blobs: a dataset, a training step with code, a model, a route. */
async function projectIn(folder: string): Promise<ProjectContent> {
  await writeFile(join(folder, 'rows.csv'), 'a,b\n1,2\n3,4\n')
  const rows = defineDataset({
    name: 'rows',
    source: csv(join(folder, 'rows.csv')),
    schema: { a: int64(), b: int64() },
  })
  const model = defineModel({
    name: 'echo',
    description: 'Says what it hears',
    owner: 'ada@example.org',
    intent: {
      intendedUse: 'Tests',
      limitations: 'All',
      outOfScope: 'Work',
      licence: 'Apache-2.0',
      riskClass: 'minimal',
    },
    approvals: { production: 1 },
  })
  const pipeline = definePipeline({
    name: 'train',
    build: () => {
      const data = datasetVersion(rows)
      const fit = typescript('fit.mjs', {
        params: { lock: 'requirements.lock' },
        inputs: { rows: data },
        outputs: { model: 'onnx', metrics: 'json', report: 'directory', scored: 'dataset' },
      })
      return register({ model, from: fit })
    },
  })
  for (const step of pipeline.steps) {
    if (step.kind === 'dataset-version') step.params['root'] = folder
  }
  const route = defineRoute({ name: 'echo', model, slo: '50ms', inputs: { a: float32(), b: float32() } })
  const files = Object.entries(CODE).map(([path, bytes]) => ({
    path,
    digest: digestBytes(bytes),
    sizeBytes: bytes.length,
    executable: false,
  }))
  return projectContent.parse({
    source: 'spine',
    origin: { commit: 'c'.repeat(40), isDirty: false },
    definitions: [rows, model, pipeline, route],
    bundles: { train: { fit: { digest: digestTree(files), files } } },
  })
}

async function applySpine(client: Client, folder: string): Promise<void> {
  const content = await projectIn(folder)
  const planned = await client.call({ method: 'POST', path: '/api/v1/plan', body: { content }, schema: planView })
  for (const bytes of Object.values(CODE))
    if (planned.missingBlobs.includes(digestBytes(bytes)))
      await client.call({ method: 'PUT', path: `/api/v1/blobs/${digestBytes(bytes)}`, bytes })
  const again = await client.call({ method: 'POST', path: '/api/v1/plan', body: { content }, schema: planView })
  await client.call({ method: 'POST', path: '/api/v1/apply', body: { content, plan: again.digest } })
}

/** Runs the pipeline to its end. */
export async function runSpine(client: Client, options: object = {}): Promise<RunView> {
  const started = await client.call({
    method: 'POST',
    path: '/api/v1/runs',
    body: { pipeline: 'train', options: { cache: true, force: [], forceFrom: [], ...options } },
    schema: z.object({ id: z.string() }),
  })
  for (const startedMs = realClock.monotonicMs(); ; await realClock.sleep(POLL_MS)) {
    const run = await client.call({ path: `/api/v1/runs/${started.id}`, schema: runView })
    if (run.finishedAt !== null) return run
    if (realClock.monotonicMs() - startedMs > WAIT_MS_MAX) throw new Error(`run ${started.id} is still ${run.state}`)
  }
}

/** Every step as `key state`; after them the reasons of what failed. */
export function statesOf(run: RunView): string[] {
  const reasons = [run, ...run.graph].flatMap(({ reason }) => (reason === null ? [] : [reason]))
  return [...run.graph.map((step) => `${step.key} ${step.state}`).sort(), ...reasons]
}

export const SUCCEEDED = ['fit succeeded', 'register-echo succeeded', 'version-rows succeeded']
export const CACHED = ['fit cached', 'register-echo cached', 'version-rows cached']

/** A named approver, and the operator that gateways act as. */
export interface Clients {
  readonly client: Client
  readonly operator: Client
}

/** A client of a named approver. */
async function openApprover(server: string, operatorToken: string): Promise<Client> {
  const { token } = await openClient({ server, token: operatorToken }).call({
    method: 'POST',
    path: '/api/v1/tokens',
    body: { principal: 'ada', name: 'test', role: 'admin', days: 1 },
    schema: z.object({ token: z.string() }),
  })
  return openClient({ server, token })
}

/** Approves a version, releases it, and ships one prediction of it as a gateway would. Returns the prediction's id. */
export async function releaseSpine({ client, operator }: Clients, version: number): Promise<string> {
  const path = `/api/v1/models/echo/versions/${version}`
  await client.call({ method: 'POST', path: `${path}/approvals`, body: {} })
  const view = await client.call({ path, schema: modelVersionView })
  expect(view.gaps).toEqual([])
  const released = await client.call({
    method: 'POST',
    path: '/api/v1/routes/echo/releases',
    body: { version, reason: 'a test' },
    schema: releaseView,
  })
  const id = uuidv7()
  const record = {
    id,
    atMs: Date.now(),
    project: 'default',
    environment: 'production',
    route: 'echo',
    release: released.id,
    epoch: released.epoch,
    snapshot: 1,
    arm: 'champion',
    artifact: released.artifact,
    rows: 1,
  }
  const bytes = frame(Buffer.from(JSON.stringify(record)))
  await operator.call({ method: 'PUT', path: `/api/v1/serving/segments/gw/${newId('boot')}/0`, bytes })
  return id
}

/** The spine of a prediction holds: every link is what it was, and every blob that it names can be read. */
export async function expectIntact(client: Client, prediction: string): Promise<void> {
  const told = await client.call({ path: `/api/v1/predictions/${prediction}/explanation`, schema: explanation })
  expect(told.links.filter((link) => link.problem !== null)).toEqual([])
  expect(told.isIntact).toBe(true)
  const artifact = told.links.find((link) => link.kind === 'artifact')!.digest!
  const stored = await client.fetch({ path: `/api/v1/blobs/${artifact}` })
  expect(Buffer.from(await stored.arrayBuffer()).equals(MODEL)).toBe(true)
}

export interface TestPlane extends ControlPlane {
  readonly folder: string
  /** A named approver. */
  readonly client: Client
  readonly operator: Client
}

/** A control plane in this process on a data directory of its own, with a project applied. */
export async function openTestPlane(settings: Record<string, unknown> = {}): Promise<TestPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'plimsoll-plane-'))
  if (settings['database'] === undefined) await layDatabase(join(folder, 'data/database'), { isMigrated: true })
  const { config } = await loadConfig({
    flags: {
      dataDir: join(folder, 'data'),
      server: { port: 0, gatewayPort: 0, grpcPort: 0 },
      log: { level: 'silent' },
      ...settings,
    },
  })
  const plane = await openControlPlane({ kind: 'start', config, ports: {}, api: undefined, replay: undefined })
  const token = (await readFile(join(folder, 'data', 'operator-token'), 'utf8')).trim()
  const client = await openApprover(plane.ready.urls['api']!, token)
  await applySpine(client, folder)
  return {
    ...plane,
    folder,
    client,
    operator: openClient({ server: plane.ready.urls['api']!, token }),
    close: async (drainMs) => {
      await plane.close(drainMs)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
