import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore, StepExecutor } from '@plimsoll/sdk/seams'
import type { Json } from '../kernel/canonical.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Context } from '../kernel/db/index.ts'
import type { Digest } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { OutputType, StepInputFiles } from '../kernel/step-kind.ts'
import type { CacheComponents } from './cache.ts'
import { isProcessKind, outputsOf, requirePipelineVersion, type StepKinds } from './pipeline.ts'
import type { PreparedStep } from './prepare.ts'
import type { PythonEnvironments } from './python-environment.ts'
import type { ClaimedStep } from './store.ts'
import type { NamedOutputs } from './tables.ts'
import { placeBundle, placeInputs } from './work-files.ts'

export interface LaunchDeps {
  readonly blobs: BlobStore
  readonly executor: StepExecutor
  readonly kinds: StepKinds
  readonly python: PythonEnvironments
  readonly clock: Clock
  /** Directory of all work directories. */
  readonly runsDir: string
  /** Our own node, and the entry that runs contributed kinds. */
  readonly node: string
  readonly launcher: string
  /** Directory that holds `plimsoll_step.py`. */
  readonly pythonPath: string
  /** Variables of our environment that steps may see (PATH, HOME, LANG, TZ, package index settings). */
  readonly environment: Readonly<Record<string, string>>
  /** Address of the control plane, once it listens. */
  readonly controlUrl: () => string
  /** A short-lived token that may write the tracked run only. */
  readonly mintRunToken: (
    ctx: Context,
    grant: { trackedRun: string; run: string; step: string; ttlMs: number },
  ) => Promise<string>
}

export interface LaunchedStep {
  readonly workDir: string
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly cwd: string
  readonly outputs: Readonly<Record<string, OutputType>>
}

/** What an attempt needs to know after a restart of the control plane: kept beside its files. */
export interface AttemptPlan {
  readonly prepared: { spec: Json; components: CacheComponents; isCacheable: boolean }
  readonly inputs: NamedOutputs
  readonly trackedRun: string
  readonly outputs: Readonly<Record<string, OutputType>>
}

const TOKEN_SLACK_MS = 600_000

export function workDirOf(runsDir: string, step: { run: string; fence: bigint }): string {
  return join(runsDir, step.run, String(step.fence))
}

function texts(value: Json | undefined, what: string): string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' || typeof item === 'number')) {
    throw new PlimsollError('invalid', 'pipelines.bad_argv', `Cannot start the step: ${what} must be a list of texts`)
  }
  return value.map(String)
}

async function argvOf(
  deps: LaunchDeps,
  ctx: Context,
  step: ClaimedStep,
  params: Readonly<Record<string, Json>>,
  code: string,
  report: (message: string) => void,
): Promise<string[]> {
  const args = params['args'] === undefined ? [] : texts(params['args'], 'args')
  switch (step.definition.kind) {
    case 'command':
      return texts(params['argv'], 'argv')
    case 'typescript':
      return [deps.node, join(code, String(params['script'])), ...args]
    case 'python': {
      const { bundles } = await requirePipelineVersion(ctx, step.pipelineDigest)
      const lock = bundles[step.key]?.files.find((file) => file.path === params['lock'])
      const python = await deps.python.require(
        lock?.digest as Digest | undefined,
        () => readBlobText(deps.blobs, lock!.digest),
        report,
      )
      return [python, '-u', join(code, String(params['script'])), ...args]
    }
    default:
      return [deps.node, deps.launcher]
  }
}

async function readBlobText(blobs: BlobStore, digest: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blobs.get(digest)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function contractOf(
  step: ClaimedStep,
  launched: {
    workDir: string
    params: Json
    spec: Json
    inputs: Record<string, StepInputFiles>
    outputs: Readonly<Record<string, OutputType>>
  },
): Json {
  const { workDir } = launched
  return {
    version: 1,
    run: step.run,
    step: step.key,
    attempt: String(step.fence),
    kind: step.definition.kind,
    params: launched.params,
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

/** Makes everything that an attempt needs on disk, and says how to start it. */
export async function prepareLaunch(
  ctx: Context,
  deps: LaunchDeps,
  step: ClaimedStep,
  parts: { prepared: PreparedStep; inputs: NamedOutputs; trackedRun: string; report: (message: string) => void },
): Promise<LaunchedStep> {
  const workDir = workDirOf(deps.runsDir, step)
  const code = join(workDir, 'code')
  const outputs = outputsOf(step.definition, deps.kinds)
  for (const directory of ['out', 'in', 'tmp', 'code', `../checkpoint-${step.key}`])
    await mkdir(join(workDir, directory), { recursive: true, mode: 0o700 })
  const inputs = await placeInputs(ctx, deps.blobs, parts.inputs, workDir)
  const { bundles } = await requirePipelineVersion(ctx, step.pipelineDigest)
  const bundle = bundles[step.key]
  if (bundle) await placeBundle(deps.blobs, bundle, code)
  const params = parts.prepared.params as Readonly<Record<string, Json>> // the wire schema makes it a record
  const argv = await argvOf(deps, ctx, step, params, code, parts.report)
  for (const [name, type] of Object.entries(outputs))
    if (type === 'dataset' || type === 'directory')
      await mkdir(join(workDir, 'out', name), { recursive: true, mode: 0o700 })
  await writeFile(
    join(workDir, 'step.json'),
    JSON.stringify(contractOf(step, { workDir, params, spec: parts.prepared.spec, inputs, outputs })),
    { mode: 0o600 },
  )
  const { spec, components, isCacheable } = parts.prepared
  await writeFile(
    join(workDir, 'plan.json'),
    JSON.stringify({
      prepared: { spec, components, isCacheable },
      inputs: parts.inputs,
      trackedRun: parts.trackedRun,
      outputs,
    } satisfies AttemptPlan),
    { mode: 0o600 },
  )
  const token = isProcessKind(step.definition.kind)
    ? await deps.mintRunToken(ctx, {
        trackedRun: parts.trackedRun,
        run: step.run,
        step: step.key,
        ttlMs: step.definition.timeoutMs + TOKEN_SLACK_MS,
      })
    : undefined
  const environment: Record<string, string> = {
    ...deps.environment,
    TMPDIR: join(workDir, 'tmp'),
    PLIMSOLL_STEP: join(workDir, 'step.json'),
    PYTHONPATH: [code, deps.pythonPath].join(':'),
    PYTHONDONTWRITEBYTECODE: '1',
    MLFLOW_TRACKING_URI: deps.controlUrl(),
    MLFLOW_RUN_ID: parts.trackedRun,
    MLFLOW_EXPERIMENT_NAME: step.pipeline,
    OMP_NUM_THREADS: String(Math.max(1, Math.ceil(step.definition.resources.cpu))),
    ...(token === undefined ? {} : { MLFLOW_TRACKING_TOKEN: token }),
  }
  const cwd = bundle ? code : workDir
  // For `step debug`; without the token, which must not lie about.
  const { MLFLOW_TRACKING_TOKEN: _token, ...shown } = environment
  await writeFile(join(workDir, 'launch.json'), JSON.stringify({ cwd, argv, environment: shown }), { mode: 0o600 })
  return { workDir, argv, environment, cwd, outputs }
}
