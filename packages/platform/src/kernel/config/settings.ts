import { z } from 'zod'
import { logLevel } from '../log-level.ts'

const MIB = 1024 * 1024
const port = z.int().min(0).max(65_535)
const milliseconds = (defaultMs: number, max = 3_600_000) => z.int().min(1).max(max).default(defaultMs)
const bytes = (defaultBytes: number, max = 64 * 1024 * MIB) => z.int().min(1).max(max).default(defaultBytes)
const count = (defaultCount: number, max: number) => z.int().min(1).max(max).default(defaultCount)
const hostName = z
  .string()
  .regex(
    /^(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?$/i,
    'must be a host name, with a port if it is not the default one',
  )

/** Where the processes listen, and to whom. Port 0 picks a free one. */
const server = z.strictObject({
  host: z
    .string()
    .regex(/^[\w.:%-]{1,253}$/, 'expected the name or the address of an interface')
    .default('127.0.0.1'),
  port: port.default(7440),
  gatewayPort: port.default(7441),
  /** Kept for gRPC, which is not served yet: nothing listens there. */
  grpcPort: port.default(7442),
  /** Names under which clients reach us, beyond the bound one: the allow-list of the Host header. */
  publicHosts: z.array(hostName).max(64).default([]),
  /** TLS ends at a proxy in front; its origins are https. */
  behindProxy: z.boolean().default(false),
  acceptPgliteLoss: z.boolean().default(false),
  drainMs: milliseconds(10_000, 600_000),
})

const http = z.strictObject({
  bodyLimitBytes: bytes(MIB),
  inferenceBodyLimitBytes: bytes(64 * MIB),
  /** Of one file that is logged to a run or a model. */
  artifactBodyLimitBytes: bytes(16 * 1024 * MIB),
  jsonDepth: z.int().min(1).max(64).default(64),
  requestTimeoutMs: milliseconds(60_000),
  headersTimeoutMs: milliseconds(10_000),
  keepAliveTimeoutMs: milliseconds(72_000),
  /** Of the control plane, and as many of the gateway. */
  maxConnections: count(1_024, 100_000),
  maxHeaderBytes: bytes(16 * 1024, MIB),
  maxParamLength: count(1_024, 8_192),
})

const database = z.strictObject({
  kind: z.enum(['pglite', 'postgres']).default('pglite'),
  url: z.string().max(2_048).optional().meta({ secret: true }),
  poolSize: count(10, 500),
  statementTimeoutMs: milliseconds(30_000),
})

const blob = z.strictObject({
  kind: z.enum(['files', 's3']).default('files'),
  endpoint: z
    .url()
    .refine((address) => !address.includes('@'), 'has a user or a password in it: give accessKeyId and secretAccessKey')
    .optional(),
  bucket: z.string().min(1).max(63).optional(),
  region: z.string().min(1).max(64).default('us-east-1'),
  prefix: z
    .string()
    .max(256)
    .regex(/^(?:[\w.-]+\/)*$/, 'must be empty or end in /, for example plimsoll/')
    .default(''),
  /** The bucket in the path of a request, not in the host name; true with an endpoint of one's own. */
  forcePathStyle: z.boolean().optional(),
  /** Without keys the SDK looks where it always does: environment, shared files, the role of the machine. */
  accessKeyId: z.string().max(256).optional().meta({ secret: true }),
  secretAccessKey: z.string().max(256).optional().meta({ secret: true }),
})

const auth = z.strictObject({
  requireToken: z.boolean().default(false),
  tokenDays: count(90, 3_650),
  signatureWindowMs: milliseconds(300_000),
  oidcIssuer: z.url().optional(),
  oidcAudience: z.string().min(1).max(256).optional(),
  oidcJwksUrl: z.url().optional(),
  oidcPrincipalClaim: z
    .string()
    .regex(/^[a-z_]{1,64}$/)
    .default('email'),
})

const steps = z.strictObject({
  slots: count(2, 1_024),
  /** What is kept of an attempt's log, its beginning and its end; one that grows to 16 times as much ends the attempt. */
  logLimitBytes: bytes(64 * MIB),
  /** Processes that an attempt may have at one time, looked at every second; one that has more is ended. */
  processLimit: count(1_024, 65_536),
  /** All that a step hands on; beyond it the step fails. */
  outputLimitBytes: bytes(16 * 1024 * MIB),
})

const gateway = z.strictObject({
  queueMax: count(1_024, 1_000_000),
  /**
   * How long a gateway that is told to stop still serves while its readiness says 503, so that what balances in front has
   * looked; 5,000 behind a proxy and else 0 where it is not set. Beside server.drainMs, which begins after it.
   */
  drainDelayMs: z.int().min(0).max(600_000).optional(),
  modelHosts: count(1, 256),
  modelMemoryBytes: bytes(1_024 * MIB),
  cacheLimitBytes: bytes(8 * 1024 * MIB),
  spoolLimitBytes: bytes(1_024 * MIB),
  snapshotPollMs: milliseconds(25_000),
  /** Requests of one route that wait or run at once; beyond it, 503. */
  routeInflightMax: count(1_024, 1_000_000),
  /** Share of predictions whose inputs and features are kept, where a route does not say. */
  payloadRate: z.number().min(0).max(1).default(0.1),
})

const jobs = z.strictObject({
  concurrency: count(4, 256),
  pollMs: milliseconds(500),
  sealMs: milliseconds(1_000),
})

/** How long rows and bytes are kept that would grow for ever. What is not named here is kept until somebody deletes it. */
const retention = z.strictObject({
  eventDays: count(30, 3_650),
  jobDays: count(30, 3_650),
  /** After its expiry, so that its last use can still be looked up. */
  tokenDays: count(30, 3_650),
  /** After the end; runs that a model version or a cache entry came from stay. */
  runDays: count(365, 36_500),
  workDirectoryDays: count(7, 3_650),
  /** After the last use. */
  cacheDays: count(90, 3_650),
  predictionDays: count(400, 36_500),
  /** What is online of a view's older meaning, after nothing serves by it any more. */
  generationDays: count(30, 3_650),
  /** How long the features of what a route no longer serves are still filled, so that a rollback finds them fresh. */
  rollbackHours: count(24, 8_760),
  /** How old a blob must be before a collection may take it: longer than anything takes from storing it to naming it. */
  blobGraceHours: count(168, 8_760),
  collectHours: count(24, 8_760),
})

const log = z.strictObject({ level: logLevel.default('info') })

/** Every setting and every bound of the platform: one schema for the file, the environment and the flags. */
export const settings = z.strictObject({
  dataDir: z.string().min(1).max(4_096).default('.plimsoll'),
  server: server.prefault({}),
  http: http.prefault({}),
  database: database.prefault({}),
  blob: blob.prefault({}),
  auth: auth.prefault({}),
  steps: steps.prefault({}),
  gateway: gateway.prefault({}),
  jobs: jobs.prefault({}),
  retention: retention.prefault({}),
  log: log.prefault({}),
})

export type Config = z.output<typeof settings>

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1', '[::1]'])

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host)
}

/** Rules between settings: what one schema field cannot say. */
export function settingsFaults(config: Config): { pointer: string; detail: string }[] {
  const faults: { pointer: string; detail: string }[] = []
  const add = (pointer: string, detail: string) => faults.push({ pointer, detail })
  if (config.database.kind === 'postgres' && config.database.url === undefined)
    add('/database/url', 'is needed with kind postgres')
  if (config.blob.kind === 's3' && config.blob.bucket === undefined) add('/blob/bucket', 'is needed with kind s3')
  if ((config.blob.accessKeyId === undefined) !== (config.blob.secretAccessKey === undefined)) {
    add('/blob/secretAccessKey', 'accessKeyId and secretAccessKey go together')
  }
  if ((config.auth.oidcIssuer === undefined) !== (config.auth.oidcAudience === undefined)) {
    add('/auth/oidcAudience', 'oidcIssuer and oidcAudience go together')
  }
  const { port, gatewayPort } = config.server
  if (port !== 0 && port === gatewayPort) add('/server/port', 'port and gatewayPort must differ')
  if (!isLoopback(config.server.host)) {
    if (!config.auth.requireToken)
      add('/auth/requireToken', `must be true to listen on ${config.server.host}: only loopback works without tokens`)
    if (!config.server.behindProxy)
      add(
        '/server/behindProxy',
        `must be true to listen on ${config.server.host}: tokens need TLS, which a proxy in front ends`,
      )
    if (config.database.kind === 'pglite' && !config.server.acceptPgliteLoss) {
      add(
        '/server/acceptPgliteLoss',
        `must be true to listen on ${config.server.host} with the embedded database, which does not survive a loss of power; or use PostgreSQL`,
      )
    }
  }
  return faults
}
