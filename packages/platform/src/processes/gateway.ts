import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openOnlineReader } from '../features/online/index.ts'
import { type ModelPool, openModelPool } from '../inference/index.ts'
import { realClock } from '../kernel/clock.ts'
import { lockDirectory } from '../kernel/directory-lock.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { formatServerUrl } from '../kernel/http/server-url.ts'
import { type Logger, openLog } from '../kernel/log.ts'
import {
  GATEWAY_DEFAULTS,
  type GatewaySettings,
  openControlLink,
  openGateway,
  openGatewayLoops,
  openGatewayMetrics,
  openGatewayServer,
  openModelFiles,
  openPredictionLog,
} from '../serving/gateway/index.ts'
import { dataPaths, findOperatorToken, openSigningKey } from './data-directory.ts'
import { drainDelayMs, type Opened, runSupervised, type StartMessage } from './supervised.ts'

const SHIP_GRACE_MS = 2_000

/** Address of the control plane. @throws internal serving.no_control_url */
function requireControlUrl({ api }: StartMessage): string {
  if (api !== undefined) return api
  throw new PlimsollError(
    'internal',
    'serving.no_control_url',
    'The gateway was started without the address of the control plane',
  )
}

/** Bounds and addresses, from the start message. */
async function settingsOf({ config, ports }: StartMessage, controlUrl: string): Promise<GatewaySettings> {
  return {
    ...GATEWAY_DEFAULTS,
    host: config.server.host,
    port: ports['gateway'] ?? config.server.gatewayPort,
    publicHosts: config.server.publicHosts,
    requireToken: config.auth.requireToken,
    directory: dataPaths(config.dataDir).gateway,
    controlUrl,
    controlToken: (await findOperatorToken(config.dataDir)) ?? '',
    snapshotKey: (await openSigningKey(config.dataDir)).publicKey,
    connectionsMax: config.http.maxConnections,
    bodyBytesMax: config.http.inferenceBodyLimitBytes,
    headerBytesMax: config.http.maxHeaderBytes,
    requestTimeoutMs: config.http.requestTimeoutMs,
    headersTimeoutMs: config.http.headersTimeoutMs,
    keepAliveTimeoutMs: config.http.keepAliveTimeoutMs,
    spoolBytesMax: config.gateway.spoolLimitBytes,
    modelFilesBytesMax: config.gateway.cacheLimitBytes,
    drainMs: config.server.drainMs,
  }
}

function openRealtimePool({ gateway }: StartMessage['config'], log: Logger): Promise<ModelPool> {
  return openModelPool({
    name: 'realtime',
    hosts: gateway.modelHosts,
    queueRequestsMax: gateway.queueMax,
    hostMemoryMiB: Math.floor(gateway.modelMemoryBytes / 2 ** 20),
    log,
  })
}

/** The composition root of the gateway. Nothing here, nor anything it imports, reaches the database. */
export async function openGatewayProcess(start: StartMessage): Promise<Opened> {
  const controlUrl = requireControlUrl(start)
  const { config } = start
  const log = openLog({ level: config.log.level, name: 'gateway' })
  await using stack = new AsyncDisposableStack()
  const settings = await settingsOf(start, controlUrl)
  const { directory } = settings
  // A gateway that its supervisor left behind may still write segments here: recovering them would lose its last records.
  await mkdir(directory, { recursive: true, mode: 0o700 })
  stack.defer(await lockDirectory(directory, 'serving.directory_in_use'))
  const link = openControlLink(settings.controlUrl, settings.controlToken)
  const pool = await openRealtimePool(config, log)
  stack.defer(() => pool.close())
  const { openLmdbOnlineStore } = await import('../adapters/lmdb/index.ts')
  const online = openLmdbOnlineStore({ directory: dataPaths(config.dataDir).online, isReadOnly: true })
  stack.defer(() => online.close())
  const predictions = openPredictionLog({ ...settings, directory: join(directory, 'segments'), clock: realClock, log })
  const { metrics, epoch, latency, observe } = openGatewayMetrics(predictions, realClock)
  let wake = () => {}
  const gateway = openGateway('gateway', {
    ...settings,
    link,
    files: openModelFiles(join(directory, 'models'), link, {
      budgetBytes: settings.modelFilesBytesMax,
      clock: realClock,
    }),
    pool,
    clock: realClock,
    log,
    openFeatures: (spec) => openOnlineReader({ store: online, spec }),
    onChange: () => {
      epoch.set(gateway.live()?.snapshot.epoch ?? 0)
      wake()
    },
  })
  stack.defer(() => gateway.close())
  await gateway.restore()
  const server = await openGatewayServer({
    gateway,
    pool,
    log: predictions,
    logger: log,
    clock: realClock,
    settings,
    observe,
    metrics: () => metrics.text(),
  })
  let isDraining = false
  const loops = openGatewayLoops({
    gateway,
    link,
    log: predictions,
    clock: realClock,
    logger: log,
    pollMs: config.gateway.snapshotPollMs,
    rotateMs: settings.segmentAgeMs,
    isDraining: () => isDraining,
    latency: () => latency.read(),
  })
  wake = () => loops.wakeStatus()
  const url = formatServerUrl(config.server.host, server.port)
  log.info({ url, epoch: gateway.live()?.snapshot.epoch ?? null }, 'the gateway serves')
  const rest = stack.move()
  return {
    ready: { ports: { gateway: server.port }, urls: { gateway: url } },
    async close(drainMs, isHurried = false) {
      isDraining = true
      loops.wakeStatus()
      await server.drain({ delayMs: isHurried ? 0 : drainDelayMs(config), drainMs })
      await loops.close(SHIP_GRACE_MS)
      await rest.disposeAsync()
      log.info({}, 'the gateway has closed')
    },
  }
}

if (import.meta.main) await runSupervised(openGatewayProcess)
