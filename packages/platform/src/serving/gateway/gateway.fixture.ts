import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GatewayStatus, PredictionRecord, ServedRoute, ServedVersion, SignedSnapshot } from '@plimsoll/sdk/wire'
import { type ModelPool, type ModelPoolOptions, openModelPool } from '../../inference/index.ts'
import { newSigningKey, type SigningKey, signBytes } from '../../kernel/auth/verify/index.ts'
import { type Clock, realClock } from '../../kernel/clock.ts'
import { digestBytes } from '../../kernel/digest.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { type Logger, silentLog } from '../../kernel/log.ts'
import type { ControlLink } from './control-link.ts'
import { type Gateway, openGateway } from './gateway.ts'
import { openGatewayMetrics } from './gateway-metrics.ts'
import { type GatewayServer, type GatewayServerDeps, openGatewayServer } from './http-server.ts'
import { type GatewayLoops, openGatewayLoops } from './loops.ts'
import { openModelFiles } from './model-files.ts'
import { openPredictionLog, type PredictionLog } from './prediction-log.ts'
import { readFrames } from './segment-frame.ts'
import { GATEWAY_DEFAULTS, type GatewaySettings } from './settings.ts'
import { exampleRoute, PASSPORT } from './snapshot.fixture.ts'

/** A control plane in this process: signs snapshots, hands out blobs, takes segments, and can be taken away. */
export interface ControlPlane extends ControlLink {
  readonly key: SigningKey
  isDown: boolean
  readonly blobs: Map<string, Uint8Array>
  readonly statuses: GatewayStatus[]
  readonly segments: Map<string, Uint8Array>
  /** Stores a model and describes it as a version that two people may serve. */
  addVersion(bytes: Uint8Array, version?: number, labels?: ServedVersion['labels']): ServedVersion
  sign(content: object, key?: SigningKey): SignedSnapshot
  publish(epoch: number, routes: ServedRoute[], versions: ServedVersion[]): SignedSnapshot
}

export function openControlPlane(): ControlPlane {
  const key = newSigningKey()
  let current: { epoch: number; signed: SignedSnapshot } | undefined
  const demandUp = () => {
    if (control.isDown)
      throw new PlimsollError('unavailable', 'serving.control_unreachable', 'The control plane is down')
  }
  const control: ControlPlane = {
    key,
    isDown: false,
    blobs: new Map(),
    statuses: [],
    segments: new Map(),
    addVersion(bytes, version = 1, labels = {}) {
      const artifact = digestBytes(bytes)
      control.blobs.set(artifact, bytes)
      const approvals = [{ by: 'ada', artifact, passport: PASSPORT }]
      return {
        artifact,
        sizeBytes: bytes.length,
        passport: PASSPORT,
        model: 'delay',
        version,
        approvals,
        labels,
        columns: null,
      }
    },
    sign(content, by = key) {
      const payload = JSON.stringify(content)
      return { payload, signature: signBytes(by, Buffer.from(payload)), keyId: by.keyId }
    },
    publish(epoch, routes, versions) {
      const signed = control.sign({ v: 1, epoch, issuedAtMs: 1_000, clock: null, routes, versions })
      current = { epoch, signed }
      return signed
    },
    async awaitSnapshot(epoch, waitMs, signal) {
      demandUp()
      if (current && current.epoch > epoch) return current.signed
      await realClock.sleep(Math.min(waitMs, 20), signal).catch(() => {}) // a closing gateway ends the wait
      return undefined
    },
    async *fetchBlob(digest) {
      demandUp()
      const bytes = control.blobs.get(digest)
      if (!bytes) throw new PlimsollError('unavailable', 'serving.control_refused', `No blob ${digest}`)
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    },
    async sendStatus(_gateway, status) {
      demandUp()
      control.statuses.push(status)
    },
    async sendSegment(_gateway, boot, sequence, bytes) {
      demandUp()
      if (readFrames(Buffer.from(bytes)).wholeBytes !== bytes.length)
        throw new PlimsollError('invalid', 'serving.control_refused', 'The segment is damaged')
      control.segments.set(`${boot}-${sequence}`, bytes)
    },
  }
  return control
}

/** A route to one version whose columns are the inputs of their names. */
export function routeTo(
  version: ServedVersion,
  name: string,
  inputs: string[],
  overrides: Partial<ServedRoute> = {},
): ServedRoute {
  return exampleRoute({
    name,
    sloMs: 10_000,
    inputs: Object.fromEntries(inputs.map((input) => [input, { type: 'float64' as const, nullable: false }])),
    columns: inputs.map((input) => ({ name: input, source: { from: 'input', input } })),
    arms: [{ arm: 'champion', artifact: version.artifact, weight: 1 }],
    ...overrides,
  })
}

export interface OpenedGateway {
  readonly url: string
  readonly directory: string
  readonly control: ControlPlane
  readonly gateway: Gateway
  readonly pool: ModelPool
  readonly log: PredictionLog
  readonly server: GatewayServer
  readonly loops: GatewayLoops | undefined
  /** Every record that is in the segment files now. */
  records(): PredictionRecord[]
  /** Ends the process's part; the directory stays when `keep` is given. */
  close(keep?: 'keep'): Promise<void>
}

export interface GatewayOptions {
  control?: ControlPlane
  directory?: string
  settings?: Partial<GatewaySettings>
  pool?: ModelPoolOptions
  withLoops?: boolean
  /** Time between looks for segments to ship; short, so that tests need not wait. */
  rotateMs?: number
  observe?: GatewayServerDeps['observe']
  /** Clock and log of the HTTP side. */
  clock?: Clock
  logger?: Logger
}

function segmentRecords(directory: string): PredictionRecord[] {
  return readdirSync(directory).flatMap((name) =>
    readFrames(readFileSync(join(directory, name))).payloads.map((payload) => JSON.parse(payload.toString())),
  )
}

/** The whole gateway in this process, on a free port of the loopback, with real model hosts. */
export async function openTestGateway(options: GatewayOptions = {}): Promise<OpenedGateway> {
  const control = options.control ?? openControlPlane()
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'plimsoll-gateway-'))
  const segments = join(directory, 'segments')
  const settings: GatewaySettings = {
    ...GATEWAY_DEFAULTS,
    host: '127.0.0.1',
    port: 0,
    publicHosts: [],
    directory,
    controlUrl: '',
    controlToken: '',
    snapshotKey: control.key.publicKey,
    ...options.settings,
  }
  const pool = await openModelPool({ name: 'test', ...options.pool })
  const log = openPredictionLog({ ...settings, directory: segments, clock: realClock, log: silentLog })
  const gateway = openGateway('gateway', {
    ...settings,
    link: control,
    files: openModelFiles(join(directory, 'models'), control, {
      budgetBytes: settings.modelFilesBytesMax,
      clock: realClock,
    }),
    pool,
    clock: realClock,
    log: silentLog,
    openFeatures: () => {
      throw new PlimsollError('unsupported', 'serving.no_feature_lookup', 'No features here')
    },
    onChange: () => loops?.wakeStatus(),
  })
  const { metrics, observe } = openGatewayMetrics(log, realClock)
  let loops: GatewayLoops | undefined
  await gateway.restore()
  const common = { gateway, pool, log, clock: realClock, settings }
  const server = await openGatewayServer({
    ...common,
    clock: options.clock ?? realClock,
    logger: options.logger ?? silentLog,
    observe: options.observe ?? observe,
    metrics: () => metrics.text(),
  })
  if (options.withLoops) {
    loops = openGatewayLoops({
      ...common,
      link: control,
      logger: silentLog,
      pollMs: 100,
      rotateMs: options.rotateMs ?? 20,
      isDraining: () => false,
      latency: () => ({}),
    })
  }
  return {
    url: `http://127.0.0.1:${server.port}`,
    directory,
    control,
    gateway,
    pool,
    log,
    server,
    loops,
    records: () => segmentRecords(segments),
    async close(keep) {
      await server.drain()
      if (loops) await loops.close(1_000)
      else log.close()
      gateway.close()
      await pool.close()
      if (keep === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}
