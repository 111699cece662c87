import type { BlobStore, IdentityProvider } from '@plimsoll/sdk/seams'
import type { FastifyRequest } from 'fastify'
import { MIGRATIONS } from '../../migrations/all.ts'
import {
  auditEndpoints,
  authEndpoints,
  createOperatorToken,
  isOperatorTokenLive,
  openAuthoriser,
  openOidcProvider,
  openSshProvider,
  openTokenProvider,
} from '../kernel/auth/index.ts'
import { openOidcVerifier } from '../kernel/auth/verify/index.ts'
import { realClock } from '../kernel/clock.ts'
import type { Config } from '../kernel/config/index.ts'
import { type Context, migrate, openContext, openDatabase, type SqlBackend } from '../kernel/db/index.ts'
import { observeDeadLetters } from '../kernel/dead-letters/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { type Authoriser, drainHttp, listenHttp, mountEndpoints, openHttp } from '../kernel/http/index.ts'
import { observeLedger } from '../kernel/ledger/index.ts'
import { type Logger, openLog } from '../kernel/log.ts'
import { type Metrics, openMetrics } from '../kernel/telemetry/index.ts'
import { openLabelJoin } from '../monitoring/index.ts'
import { mlflowRegistryEndpoints, versionMount } from '../registry/index.ts'
import { mlflowTrackingEndpoints, registerMlflowSurface } from '../tracking/index.ts'
import { openBackground } from './background.ts'
import { openBlobs } from './blob-store.ts'
import { registerConsole } from './console-files.ts'
import {
  dataPaths,
  findOperatorToken,
  openDataDirectory,
  openDirectoryClock,
  openSigningKey,
  writeWhole,
} from './data-directory.ts'
import { type Domains, LEDGER_CHECKS, openDomains } from './domains.ts'
import { platformEndpoints } from './platform-endpoints.ts'
import { openRetention } from './retention.ts'
import { type Opened, runSupervised, type StartMessage } from './supervised.ts'

const DAY_MS = 86_400_000
const RENEW_MS = 7 * DAY_MS

async function openBackend(config: Config, directory: string): Promise<SqlBackend> {
  if (config.database.kind === 'pglite') {
    const { openPglite } = await import('../adapters/pglite/backend.ts')
    return openPglite(directory)
  }
  const { url, poolSize, statementTimeoutMs } = config.database
  if (url === undefined)
    throw new PlimsollError('invalid', 'config.invalid', 'Cannot use PostgreSQL: database.url is not set')
  const { openPostgres } = await import('../adapters/postgres/index.ts')
  return openPostgres({ url, poolSize, statementTimeoutMs })
}

/** An open control plane, with what it stands on: for who shares its process. */
export interface ControlPlane extends Opened {
  readonly ctx: Context
  readonly blobs: BlobStore
}

/** The composition root of the control plane: everything it is made of, opened in order and closed in reverse. */
export async function openControlPlane(start: StartMessage): Promise<ControlPlane> {
  const { config } = start
  const log = openLog({ level: config.log.level, name: 'control-plane' })
  await using stack = new AsyncDisposableStack()
  const paths = await openDataDirectory(config.dataDir)
  const { clock, replay } = await openDirectoryClock(config.dataDir, start.replay)
  const backend = await openBackend(config, paths.database)
  const db = openDatabase(backend)
  stack.defer(() => db.destroy())
  const applied = await migrate(db, backend, MIGRATIONS)
  if (applied.length > 0) log.info({ migrations: applied.length }, 'the schema was brought forward')
  let wake = () => {}
  const ctx = openContext({ db, backend, clock, log, onEvents: () => wake() })
  await keepOperatorToken(ctx, config)
  const metrics = openMetrics('control-plane')
  observeDeadLetters(ctx, metrics)
  observeLedger(ctx, metrics)
  const blobs = await openBlobs(config.blob, { directory: paths.blobs, scratchDirectory: paths.uploads })
  stack.defer(() => blobs.close())
  const domains = openDomains({ config, ctx, blobs, signingKey: await openSigningKey(config.dataDir), replay, paths })
  stack.defer(() => domains.close())
  const warnings = domains.warnings()
  const app = await openControlHttp({ config, ctx, log, metrics, domains, blobs, replayRate: replay?.rate })
  const { url, port } = await listenHttp(app, config.server.host, start.ports.api ?? config.server.port)
  await domains.start(url)
  const retention = openRetention({
    settings: config.retention,
    blobs,
    runsDir: paths.runs,
    onlineStore: async () => {
      const { openLmdbOnlineStore } = await import('../adapters/lmdb/index.ts')
      return openLmdbOnlineStore({ directory: paths.online })
    },
  })
  const labelJoin = openLabelJoin(blobs)
  const background = await openBackground(ctx, config, {
    consumers: [],
    handlers: [...retention.handlers, ...labelJoin.handlers],
    schedules: [...retention.schedules, ...labelJoin.schedules],
    journalPath: paths.ledgerJournal,
  })
  wake = background.wake
  stack.defer(() => background.close())
  log.info({ url }, 'the control plane serves')
  const rest = stack.move()
  return {
    ctx,
    blobs,
    ready: { ports: { api: port }, urls: { api: url }, warnings: await warnings },
    async close(drainMs) {
      await drainHttp(app, drainMs)
      await rest.disposeAsync()
      log.info({}, 'the control plane has closed')
    },
  }
}

async function openControlHttp(parts: {
  config: Config
  ctx: Context
  log: Logger
  metrics: Metrics
  domains: Domains
  blobs: BlobStore
  replayRate: number | undefined
}) {
  const { config, ctx, log, metrics } = parts
  const app = openHttp({
    http: config.http,
    host: config.server.host,
    publicHosts: config.server.publicHosts,
    behindProxy: config.server.behindProxy,
    clock: ctx.clock,
    log,
    onAnswer: metrics.answered,
  })
  const endpoints = [
    ...authEndpoints(config.auth),
    ...auditEndpoints(dataPaths(config.dataDir).ledgerJournal, LEDGER_CHECKS),
    ...parts.domains.endpoints,
  ]
  const authoriser = openAuthoriser({
    ctx,
    requireToken: config.auth.requireToken,
    providers: [openTokenProvider(ctx), ...parts.domains.providers, ...openProviders(ctx, config.auth)],
  })
  mountEndpoints(
    app,
    [...platformEndpoints({ endpoints, metrics, replayRate: parts.replayRate }), ...endpoints],
    authoriser,
  )
  await registerConsole(app)
  await registerMlflowSurface(app, {
    endpoints: [
      ...mlflowTrackingEndpoints({
        blobs: parts.blobs,
        artifactMaxBytes: config.http.artifactBodyLimitBytes,
        mounts: [versionMount],
      }),
      ...mlflowRegistryEndpoints({ blobs: parts.blobs }),
    ],
    contextOf: (request) => mlflowContext(authoriser, request),
    clock: ctx.clock,
    log,
  })
  return app
}

/** Logins of named people: their SSH keys, and tokens of an OIDC issuer when one is configured. */
function openProviders(ctx: Context, auth: Config['auth']): IdentityProvider[] {
  const { oidcIssuer: issuer, oidcAudience: audience } = auth
  const ssh = openSshProvider(ctx, auth.signatureWindowMs)
  if (issuer === undefined || audience === undefined) return [ssh]
  const verifier = openOidcVerifier({
    issuer,
    audience,
    jwksUrl: auth.oidcJwksUrl,
    principalClaim: auth.oidcPrincipalClaim,
    nowMs: realClock.nowMs,
  })
  return [ssh, openOidcProvider(ctx, issuer, verifier)]
}

/** Who may see the project may read; a run's own token may write, and tracking holds it to its own run. */
export async function mlflowContext(authoriser: Authoriser, request: FastifyRequest): Promise<Context> {
  const own = await authoriser.authorise(request, 'viewer')
  return own.principal.kind === 'run' ? own.as({ principal: { ...own.principal, role: 'editor' } }) : own
}

/** The operator's token, in a file that only the owner of the data directory reads; renewed a week before it ends. */
async function keepOperatorToken(ctx: Context, config: Config): Promise<void> {
  const stored = await findOperatorToken(config.dataDir)
  if (stored !== undefined && (await isOperatorTokenLive(ctx, stored, RENEW_MS))) return
  const { token } = await createOperatorToken(ctx, config.auth.tokenDays * DAY_MS)
  await writeWhole(dataPaths(config.dataDir).operatorToken, `${token}\n`)
}

if (import.meta.main) await runSupervised(openControlPlane)
