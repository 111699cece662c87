import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BlobStore, StepExecutor } from '@plimsoll/sdk/seams'
import { type CodeBundle, isProcessKind, ownParamsOf } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Context } from '../kernel/db/index.ts'
import type { Digest } from '../kernel/digest.ts'
import { PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import { member } from '../kernel/own-member.ts'
import type { OutputType, StepInputFiles } from '../kernel/step-kind.ts'
import type { AttemptTokens } from './attempt-token.ts'
import type { CacheComponents } from './cache.ts'
import { ownPlaces } from './own-places.ts'
import { outputsOf, type StepKinds } from './pipeline.ts'
import type { PreparedStep } from './prepare.ts'
import { InstallerFailure, type PythonEnvironments } from './python-environment.ts'
import type { StepSecrets } from './step-secrets.ts'
import type { ClaimedStep } from './store.ts'
import type { Bundles, NamedOutputs } from './tables.ts'
import { trackedRunOf } from './tracked-run.ts'
import { placeBundle, placeInputs, readBlobText } from './work-files.ts'

export interface AttemptLimits {
  /** Of a log, what is kept. */
  readonly logBytes: number
  /** Of all outputs together. */
  readonly outputBytes: number
}

export interface LaunchDeps {
  readonly blobs: BlobStore
  readonly executor: StepExecutor
  readonly kinds: StepKinds
  readonly python: PythonEnvironments
  readonly clock: Clock
  /** Directory of all work directories. */
  readonly runsDir: string
  readonly limits: AttemptLimits
  /** Our own node, and the entry that runs contributed kinds. */
  readonly node: string
  readonly launcher: string
  /** Arguments of that entry: where things of this installation are. */
  readonly launcherArgs?: readonly string[]
  /** Variables of that entry alone. */
  readonly launcherEnvironment?: Readonly<Record<string, string>>
  /** Directory that holds `plimsoll_step.py`. */
  readonly pythonPath: string
  /** Variables of our environment that steps may see (PATH, HOME, LANG, TZ, package index settings). */
  readonly environment: Readonly<Record<string, string>>
  /** Address of the control plane, once it listens. */
  readonly controlUrl: () => string
  readonly tokenOf: AttemptTokens['tokenOf']
  readonly secrets: StepSecrets
}

/** What finishing an attempt needs. */
export interface AttemptPlan {
  readonly prepared: { spec: Json; components: CacheComponents; isCacheable: boolean }
  readonly inputs: NamedOutputs
  readonly outputs: Readonly<Record<string, OutputType>>
}

/** How an attempt is started; without its token and its secrets, which must not lie about, and the tracked run that the token makes. */
export interface AttemptLaunch {
  readonly cwd: string
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** Kept in the step's contract for a later incarnation of ours, and for `step debug`. */
export interface AttemptFile {
  readonly plan: AttemptPlan
  readonly launch: AttemptLaunch
  /** Digest of the values of its secrets, keyed; undefined when it has none. */
  readonly secrets?: string | undefined
}

/** A step reports to nobody on its own: what its libraries would send to their makers is turned off. */
const NO_TELEMETRY = { DO_NOT_TRACK: 'true', MLFLOW_DISABLE_TELEMETRY: 'true', ORT_DISABLE_TELEMETRY: '1' }

/** What a step is given, and what the platform keeps of the attempt; named by `PLIMSOLL_STEP`. */
export const CONTRACT_FILE = 'step.json'

export function workDirOf(runsDir: string, step: { run: string; fence: bigint }): string {
  return join(runsDir, step.run, String(step.fence))
}

function texts(value: Json | undefined, what: string): string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' || typeof item === 'number')) {
    throw new PlimsollError('invalid', 'pipelines.bad_argv', `Cannot start the step: ${what} must be a list of texts`)
  }
  return value.map(String)
}

/** Before a process is started that could only say that there is nothing. */
function scriptOf(step: ClaimedStep, params: Readonly<Record<string, Json>>, bundle: CodeBundle | undefined): string {
  if (typeof params.script === 'string' && bundle?.files.some((file) => file.path === params.script))
    return params.script
  throw new PlimsollError(
    'invalid',
    'pipelines.file_not_in_bundle',
    `Cannot start step ${step.key}: its script "${String(params.script)}" is not among its files`,
    { action: 'Name it in the files of the step and apply again' },
  )
}

async function argvOf(
  deps: LaunchDeps,
  step: ClaimedStep,
  parts: {
    params: Readonly<Record<string, Json>>
    code: string
    bundle: CodeBundle | undefined
    report: (message: string) => void
  },
): Promise<string[]> {
  const { params, code, bundle, report } = parts
  const args = params.args === undefined ? [] : texts(params.args, 'args')
  switch (step.definition.kind) {
    case 'command':
      return texts(params.argv, 'argv')
    case 'typescript':
      return [deps.node, join(code, scriptOf(step, params, bundle)), ...args]
    case 'python': {
      const script = join(code, scriptOf(step, params, bundle))
      const lock = bundle?.files.find((file) => file.path === params.lock)
      const readLock = () => readBlobText(deps.blobs, lock!.digest)
      const python = await deps.python.require(lock?.digest as Digest | undefined, readLock, report) // checked at apply
      return [python, '-u', script, ...args]
    }
    default:
      return [deps.node, deps.launcher, ...(deps.launcherArgs ?? [])]
  }
}

function contractOf(
  step: ClaimedStep,
  launched: {
    workDir: string
    params: Readonly<Record<string, Json>>
    spec: Json
    inputs: Readonly<Record<string, StepInputFiles>>
    outputs: Readonly<Record<string, OutputType>>
  },
) {
  const { workDir } = launched
  return {
    version: 1,
    run: step.run,
    step: step.key,
    attempt: String(step.fence),
    kind: step.definition.kind,
    params: ownParamsOf(step.definition.kind, launched.params),
    spec: launched.spec,
    inputs: Object.fromEntries(
      Object.entries(launched.inputs).map(([name, input]) => [name, { ...input, files: [...input.files] }]),
    ),
    outputs: Object.fromEntries(
      Object.entries(launched.outputs).map(([name, type]) => [name, { path: join(workDir, 'out', name), type }]),
    ),
    checkpoint_dir: join(workDir, '..', `checkpoint-${step.key}`),
    events: join(workDir, 'events'),
    work_dir: workDir,
  }
}

/** What an attempt needs on disk: made before it counts as started, since it may take minutes. */
export interface PlacedAttempt {
  readonly workDir: string
  readonly argv: readonly string[]
  readonly cwd: string
  readonly code: string
  readonly inputs: Readonly<Record<string, StepInputFiles>>
  readonly outputs: Readonly<Record<string, OutputType>>
}

/** Places inputs and code, and makes the environment. Small files are written at once: a thread each costs more. */
export async function placeAttempt(
  ctx: Context,
  deps: LaunchDeps,
  step: ClaimedStep,
  parts: { prepared: PreparedStep; inputs: NamedOutputs; bundles: Bundles; report: (message: string) => void },
): Promise<PlacedAttempt> {
  const workDir = workDirOf(deps.runsDir, step)
  const code = join(workDir, 'code')
  const outputs = outputsOf(step.definition, deps.kinds)
  const trees = Object.entries(outputs).filter(([, type]) => type === 'dataset' || type === 'directory')
  const out = Object.keys(outputs).length > 0 ? ['out', ...trees.map(([name]) => `out/${name}`)] : []
  for (const directory of ['', ...out]) mkdirSync(join(workDir, directory), { recursive: true, mode: 0o700 })
  const inputs = await placeInputs(ctx, deps.blobs, parts.inputs, workDir, await ownPlaces(ctx, step, parts.inputs))
  const bundle = member(parts.bundles, step.key)
  if (bundle) await placeBundle(deps.blobs, bundle, code)
  const params = parts.prepared.params as Readonly<Record<string, Json>> // the wire schema makes it a record
  const argv = await argvOf(deps, step, { params, code, bundle, report: parts.report }).catch((thrown: unknown) => {
    // A step whose environment cannot be made has no other log.
    const { cause } = toPlimsollError(thrown)
    if (cause instanceof InstallerFailure) writeFileSync(join(workDir, 'log'), cause.output, { mode: 0o600 })
    throw thrown
  })
  return { workDir, argv, cwd: bundle ? code : workDir, code, inputs, outputs }
}

/** Writes what the program reads and what a later incarnation of ours needs. Returns the environment of the process. */
export function writeLaunch(
  deps: LaunchDeps,
  step: ClaimedStep,
  placed: PlacedAttempt,
  parts: { prepared: PreparedStep; inputs: NamedOutputs; secretsDigest: string | undefined },
): { environment: Record<string, string>; plan: AttemptPlan } {
  const { workDir, code, argv, cwd } = placed
  const { spec, components, isCacheable, params } = parts.prepared
  const shown: Record<string, string> = {
    ...NO_TELEMETRY,
    ...deps.environment,
    ...(isProcessKind(step.definition.kind) ? {} : deps.launcherEnvironment),
    TMPDIR: workDir,
    PLIMSOLL_STEP: join(workDir, CONTRACT_FILE),
    // The order of a set may end in what is written: equal trainings give equal bytes.
    PYTHONHASHSEED: '0',
    PYTHONPATH: [code, deps.pythonPath].join(':'),
    MLFLOW_TRACKING_URI: deps.controlUrl(),
    MLFLOW_EXPERIMENT_NAME: step.pipeline,
    // A control plane is back within seconds: ask soon, and for long (8 minutes). MLflow's own 2 and 7 wait minutes at the end.
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR: '1',
    MLFLOW_HTTP_REQUEST_MAX_RETRIES: '9',
    OMP_NUM_THREADS: String(Math.max(1, Math.ceil(step.definition.resources.cpu))),
    // Threads that spin while they wait take the cores from those they wait for: two trainings at once took ten times as long.
    OMP_WAIT_POLICY: 'PASSIVE',
  }
  const plan: AttemptPlan = {
    prepared: { spec, components, isCacheable },
    inputs: parts.inputs,
    outputs: placed.outputs,
  }
  const launch = { cwd, argv, environment: shown }
  const platform: AttemptFile = { plan, launch, secrets: parts.secretsDigest }
  const byName = params as Readonly<Record<string, Json>> // the wire schema makes it a record
  const contract = { ...contractOf(step, { ...placed, params: byName, spec }), platform }
  writeFileSync(join(workDir, CONTRACT_FILE), JSON.stringify(contract), { mode: 0o600 })
  // Kinds of ours need no token, and have no tracked run: the token makes it.
  const own = isProcessKind(step.definition.kind)
    ? { MLFLOW_RUN_ID: trackedRunOf(step), MLFLOW_TRACKING_TOKEN: deps.tokenOf(step) }
    : {}
  return { environment: { ...shown, ...own }, plan }
}
