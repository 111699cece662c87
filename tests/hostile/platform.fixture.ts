import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServedRoute, ServedVersion } from '@plimsoll/sdk/wire'
import { readProcess, TICK_MS } from '../../packages/platform/src/adapters/local-process/process-table.ts'
import { openCommandLine, openPlatform as openProcesses } from '../../packages/platform/src/cli/process.fixture.ts'
import { arithmeticModel, identityModel, tripsModel } from '../../packages/platform/src/inference/onnx.fixture.ts'
import { newSigningKey, signBytes } from '../../packages/platform/src/kernel/auth/verify/index.ts'
import { layDatabase } from '../../packages/platform/src/kernel/db/database-template.fixture.ts'
import { digestBytes } from '../../packages/platform/src/kernel/digest.ts'
import { exampleRoute, PASSPORT } from '../../packages/platform/src/serving/gateway/snapshot.fixture.ts'

const CANARY = 'This file belongs to somebody else.\n'
/** Bounds small enough to be reached in a test. */
const SETTINGS = {
  http: { requestTimeoutMs: 8_000, headersTimeoutMs: 6_000, inferenceBodyLimitBytes: 4 << 20 },
  log: { level: 'warn' },
}
/** Beyond every epoch that the control plane will make: it has released nothing, and the gateway serves what it kept. */
const KEPT_EPOCH = 1_000_000

export interface Platform {
  readonly api: string
  readonly gateway: string
  readonly dataDir: string
  /** A folder of the caller's own, outside the data directory. */
  readonly workDir: string
  /** Every process of the platform, by pid, with what it runs. */
  processes(): Map<number, string>
  residentBytes(): Map<number, number>
  /** Processor time that its processes have used. */
  cpuMs(): number
  /** What is wrong outside the data directory: altered, gone or new files. */
  trespasses(): string[]
  logs(): string
  close(): Promise<void>
}

function listFiles(folder: string, without: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (path === without) return []
    return entry.isDirectory() ? [`${path}/`, ...listFiles(path, without)] : [path]
  })
}

/** A route with a feature of an entity of two keys, by a view that nobody has filled. */
function entityRoute(arms: ServedRoute['arms']): ServedRoute {
  const keys = { airport: 'text', gate: 'int64' } as const
  const named = Object.entries(keys)
  return exampleRoute({
    name: 'entity',
    sloMs: 10_000,
    inputs: {
      p: { type: 'float64', nullable: false },
      ...Object.fromEntries(named.map(([key, type]) => [key, { entity: 'gate', key, type }])),
    },
    columns: [
      { name: 'p', source: { from: 'input', input: 'p' } },
      { name: 'late', source: { from: 'feature', feature: 'late' } },
    ],
    features: {
      v: 1,
      service: 'gates',
      digest: `sha256:${'d'.repeat(64)}`,
      names: ['late', 'seen'],
      views: [
        {
          view: 'gates',
          viewVersion: `sha256:${'e'.repeat(64)}`,
          generation: 1,
          keys: named.map(([input, type]) => ({ input, type })),
          ttlUs: null,
          columns: [{ at: 0, slot: 0 }],
          windows: [{ at: 1, function: 'count', column: -1, windowUs: 1_000_000 }],
        },
      ],
    },
    arms,
  })
}

/** A data directory in which a gateway once took a snapshot: one route for each kind of tensor. */
function layKeptSnapshot(dataDir: string): void {
  const key = newSigningKey()
  const models: Record<string, Uint8Array> = {
    delay: identityModel(),
    int64: identityModel('INT64'),
    uint8: identityModel('UINT8'),
    fp16: identityModel('FP16'),
    text: identityModel('BYTES', ['n']),
    sums: arithmeticModel(),
    trips: tripsModel(),
  }
  const folder = join(dataDir, 'gateway', 'models')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const versions: ServedVersion[] = []
  const routes = Object.entries(models).map(([name, bytes]) => {
    const artifact = digestBytes(bytes)
    writeFileSync(join(folder, `${artifact.slice('sha256:'.length)}.onnx`), bytes)
    const approvals = [{ by: 'ada', artifact, passport: PASSPORT }]
    versions.push({
      artifact,
      sizeBytes: bytes.length,
      passport: PASSPORT,
      model: name,
      version: 1,
      approvals,
      labels: {},
      columns: null,
    })
    const inputs = name === 'trips' ? ['x'] : ['p', 'q']
    return exampleRoute({
      name,
      sloMs: 10_000,
      inputs: Object.fromEntries(inputs.map((input) => [input, { type: 'float64' as const, nullable: false }])),
      columns: inputs.map((input) => ({ name: input, source: { from: 'input', input } })),
      arms: [{ arm: 'champion', artifact, weight: 1 }],
    })
  })
  routes.push(entityRoute(routes[0]!.arms))
  const payload = JSON.stringify({ v: 1, epoch: KEPT_EPOCH, issuedAtMs: 1_000, clock: null, routes, versions })
  const signed = { payload, signature: signBytes(key, Buffer.from(payload)), keyId: key.keyId }
  writeFileSync(join(dataDir, 'gateway', 'snapshot.json'), JSON.stringify(signed), { mode: 0o600 })
  writeFileSync(join(dataDir, 'signing-key.json'), JSON.stringify(key), { mode: 0o600 })
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process has ended
  }
}

/** A process and all below it, from /proc. */
function treeOf(pid: number): number[] {
  const children = textOf(`/proc/${pid}/task/${pid}/children`).trim().split(' ')
  return [pid, ...children.flatMap((child) => (child === '' ? [] : treeOf(Number(child))))]
}

/** Starts the whole platform as an operator does, in a folder beside which somebody else's file lies. */
export async function openPlatform(): Promise<Platform> {
  const root = mkdtempSync(join(tmpdir(), 'plimsoll-hostile-'))
  const dataDir = join(root, 'data')
  const workDir = join(root, 'work')
  for (const folder of ['data', 'work', 'home', 'tmp', 'work/steps'])
    mkdirSync(join(root, folder), { recursive: true, mode: 0o700 })
  writeFileSync(join(root, 'canary.txt'), CANARY)
  writeFileSync(join(workDir, 'numbers.csv'), 'x,y\n1,2\n3,4\n')
  writeFileSync(join(workDir, 'settings.yaml'), JSON.stringify(SETTINGS))
  layKeptSnapshot(dataDir)
  await layDatabase(join(dataDir, 'database'), { isMigrated: true })
  const environment = { PATH: process.env.PATH ?? '', HOME: join(root, 'home'), TMPDIR: join(root, 'tmp') }
  const commands = openCommandLine(workDir, undefined, environment, { isWhole: true })
  const settings = join(workDir, 'settings.yaml')
  const { close, ...ready } = await openProcesses(commands, '--data-dir', dataDir, '--config', settings)
  const before = new Set(listFiles(root, dataDir))
  return {
    ...ready,
    dataDir,
    workDir,
    processes: () =>
      new Map(treeOf(ready.pid).map((pid) => [pid, textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()])),
    residentBytes: () =>
      new Map(
        treeOf(ready.pid).map((pid) => [
          pid,
          Number(/VmRSS:\s+(\d+)/.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1_024,
        ]),
      ),
    cpuMs: () => treeOf(ready.pid).reduce((sum, pid) => sum + (readProcess(pid)?.cpuTicks ?? 0) * TICK_MS, 0),
    trespasses() {
      const now = listFiles(root, dataDir)
      const lost = [...before].filter((path) => !now.includes(path)).map((path) => `gone: ${path}`)
      const extra = now.filter((path) => !before.has(path)).map((path) => `new: ${path}`)
      const isTouched = textOf(join(root, 'canary.txt')) !== CANARY || statSync(join(root, 'canary.txt')).nlink !== 1
      return [...lost, ...extra, ...(isTouched ? ['altered: canary.txt'] : [])]
    },
    logs: () => ['control-plane', 'gateway'].map((name) => textOf(join(dataDir, 'logs', `${name}.log`))).join(''),
    async close() {
      await close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}
