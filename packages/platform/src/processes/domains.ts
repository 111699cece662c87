import { fileURLToPath } from 'node:url'
import type { BlobStore, IdentityProvider } from '@plimsoll/sdk/seams'
import { endpoints as datasetEndpoints } from '../datasets/index.ts'
import { definitionEndpoints } from '../definitions/index.ts'
import {
  deliveryEndpoints,
  findUnrecordedRelease,
  findUnreleasedAssignment,
  listEnvironments,
} from '../delivery/index.ts'
import { endpoints as featureEndpoints } from '../features/index.ts'
import type { SigningKey } from '../kernel/auth/verify/index.ts'
import { blobEndpoints } from '../kernel/blob/routes.ts'
import { type ReplayClockSettings, realClock } from '../kernel/clock.ts'
import { type Config, readEnvironment } from '../kernel/config/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { deadLetterEndpoints } from '../kernel/dead-letters/index.ts'
import { toPlimsollError } from '../kernel/errors.ts'
import type { AnyEndpoint } from '../kernel/http/index.ts'
import type { LedgerCheck } from '../kernel/ledger/index.ts'
import { siblingModule } from '../kernel/sibling-module.ts'
import { lineageEndpoints } from '../lineage/index.ts'
import { monitoringEndpoints } from '../monitoring/index.ts'
import {
  openAttemptTokens,
  openPythonEnvironments,
  openScheduler,
  openStepSecrets,
  pipelineEndpoints,
  reasonOf,
  type Scheduler,
  type SchedulerDeps,
} from '../pipelines/index.ts'
import {
  findUnrecordedApproval,
  findUnrecordedNotes,
  findUnrecordedRegistry,
  registryEndpoints,
} from '../registry/index.ts'
import { servingEndpoints } from '../serving/index.ts'
import { openInstallationSecrets } from './secrets.ts'
import { openStepKinds } from './step-kinds.ts'

/** A log may grow to so many times what is kept of it. */
const LOG_GROWTH = 16
const CANCEL_GRACE_MS = 10_000
/** Variables of ours that a step may see. Everything else stays here. */
export const STEP_VARIABLES = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_CONFIG_FILE',
  'PIP_CERT',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NO_PROXY',
]

/** What `audit verify` compares beyond the ledger itself. */
export const LEDGER_CHECKS: readonly LedgerCheck[] = [
  findUnrecordedRegistry,
  findUnrecordedNotes,
  findUnrecordedApproval,
  findUnrecordedRelease,
  findUnreleasedAssignment,
]

export interface DomainParts {
  readonly config: Config
  readonly ctx: Context
  readonly blobs: BlobStore
  readonly signingKey: SigningKey
  readonly replay: ReplayClockSettings | undefined
  readonly paths: {
    readonly runs: string
    readonly environments: string
    readonly online: string
    readonly secrets: string
  }
}

const HOUR_MS = 3_600_000

export interface Domains {
  /** Identities that domains give. */
  readonly providers: readonly IdentityProvider[]
  readonly endpoints: readonly AnyEndpoint[]
  /** Starts what runs in the background, once the address is known. */
  start(controlUrl: string): Promise<void>
  /** What will not work as things are, for who started the platform. */
  warnings(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Variables of ours that are set, to hand on. */
function ownVariables(names: readonly string[]): Record<string, string> {
  const own = readEnvironment()
  return Object.fromEntries(names.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]]])))
}

/** Joins the domains with what they need: their endpoints, and the scheduler of steps. */
export function openDomains(parts: DomainParts): Domains {
  const { config, ctx, blobs } = parts
  let scheduler: Scheduler | undefined
  const kinds = openStepKinds(config.retention.rollbackHours * HOUR_MS)
  const wake = () => scheduler?.wake()
  const environment = ownVariables(STEP_VARIABLES)
  const python = openPythonEnvironments(parts.paths.environments, environment, realClock)
  const attemptTokens = openAttemptTokens(ctx, parts.signingKey.privateKey)
  const secrets = openStepSecrets(openInstallationSecrets(parts.paths.secrets), {
    secret: parts.signingKey.privateKey,
    runsDir: parts.paths.runs,
    tokenOf: attemptTokens.tokenOf,
    clock: realClock,
  })
  const schedulerDeps = async (controlUrl: string): Promise<SchedulerDeps> => {
    const { openLocalProcessExecutor } = await import('../adapters/local-process/step-executor.ts')
    return {
      blobs,
      kinds,
      executor: openLocalProcessExecutor({
        logBytesMax: LOG_GROWTH * config.steps.logLimitBytes,
        processesMax: config.steps.processLimit,
      }),
      python,
      clock: realClock,
      runsDir: parts.paths.runs,
      limits: { logBytes: config.steps.logLimitBytes, outputBytes: config.steps.outputLimitBytes },
      node: process.execPath,
      launcher: fileURLToPath(siblingModule(import.meta.url, './step-launcher')),
      launcherArgs: ['--online', parts.paths.online],
      launcherEnvironment: ownVariables(['NODE_COMPILE_CACHE']),
      pythonPath: fileURLToPath(new URL('../../python', import.meta.url)),
      environment,
      controlUrl: () => controlUrl,
      tokenOf: attemptTokens.tokenOf,
      secrets,
      slots: config.steps.slots,
      cancelGraceMs: CANCEL_GRACE_MS,
    }
  }
  return {
    providers: [attemptTokens.provider],
    endpoints: [
      ...blobEndpoints({ blobs }),
      ...deadLetterEndpoints,
      ...datasetEndpoints,
      ...featureEndpoints,
      ...pipelineEndpoints({ blobs, kinds, secrets, onStarted: wake }),
      ...registryEndpoints({ environments: listEnvironments }),
      ...deliveryEndpoints({ blobs }),
      ...servingEndpoints({
        blobs,
        signingKey: parts.signingKey,
        replay: parts.replay,
        requireToken: config.auth.requireToken,
        inflightMax: config.gateway.routeInflightMax,
        payloadRate: config.gateway.payloadRate,
      }),
      ...monitoringEndpoints({ blobs }),
      ...lineageEndpoints({ blobs }),
      ...definitionEndpoints({ blobs, kinds }),
    ],
    async start(controlUrl) {
      scheduler = openScheduler(ctx, await schedulerDeps(controlUrl))
    },
    warnings: () =>
      python.interpreter().then(
        () => [],
        (error: unknown) => [reasonOf(toPlimsollError(error))],
      ),
    async close() {
      await scheduler?.close()
    },
  }
}
