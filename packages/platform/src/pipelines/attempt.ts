import type { StepExit } from '@plimsoll/sdk/seams'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { type PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import type { Redactor } from '../kernel/redaction.ts'
import { type Adopted, adoptCached } from './adopt.ts'
import { endOf, LOST, NOT_STARTED, type SeenEnd } from './attempt-end.ts'
import { dropLog, faultText, readAttempt, readProgress, shipLog } from './attempt-files.ts'
import { openBatcher } from './batcher.ts'
import { type CacheHit, lookUp } from './cache.ts'
import { failureReason } from './failure-reason.ts'
import { type Finished, type FinishedAttempt, finishAttempts } from './finish.ts'
import { type AttemptPlan, type LaunchDeps, placeAttempt, workDirOf, writeLaunch } from './launch.ts'
import { type PreparedStep, prepareStep, stepInputs } from './prepare.ts'
import { openRunFacts, type RunFacts } from './run-facts.ts'
import { type Claimant, type ClaimedStep, claimingSteps, recordVerdicts, setProgress, type Wanted } from './store.ts'
import type { NamedOutputs } from './tables.ts'
import { type CollectedOutputs, collectOutputs } from './work-files.ts'

/** A step that this scheduler follows. */
export interface Running {
  readonly step: ClaimedStep
  handle: string | undefined
  isCancelled: boolean
}

/** Runs the transaction that ends these attempts; what it claims for their slots is followed after its commit. */
export type Replace = (
  fences: readonly bigint[],
  work: (wanted: Wanted) => Promise<Finished>,
) => Promise<readonly boolean[]>

export interface AttemptRunner {
  /** Takes a claimed step through its attempt, to its commit. */
  run(entry: Running): Promise<void>
  /** Follows an attempt that an earlier incarnation started. */
  follow(entry: Running): Promise<void>
}

interface Runner {
  readonly ctx: Context
  readonly deps: LaunchDeps
  readonly factsOf: (ctx: Context, run: string) => Promise<RunFacts>
  /** Records the verdict that was not known when the step was claimed. */
  readonly record: (item: { readonly step: ClaimedStep }) => Promise<void>
  readonly finish: (item: FinishedAttempt) => Promise<boolean>
  readonly adopt: (item: Adopted) => Promise<boolean>
}

/** Starts and ends that gather while a transaction is at work share the next one. */
const BATCH_MAX = 64
/** Failure class of what is wrong with outputs, by the code of the fault. */
const OUTPUT_FAULTS: Readonly<Record<string, string>> = {
  'pipelines.output_missing': 'output_missing',
  'pipelines.output_too_large': 'output_too_large',
  'disk.full': 'disk_full',
}
const NO_OUTPUTS: CollectedOutputs = { outputs: {}, parts: new Map(), json: {}, locations: [] }

export function openAttemptRunner(
  ctx: Context,
  deps: LaunchDeps,
  { claimant, replace }: { readonly claimant: Claimant; readonly replace: Replace },
): AttemptRunner {
  const batch = <Item extends { step: ClaimedStep }, Result>(
    work: (items: readonly Item[]) => Promise<readonly Result[]>,
  ) => openBatcher<Item, Result>({ limit: BATCH_MAX, groupOf: (item) => item.step.project, work })
  const stepsOf = (items: readonly { step: ClaimedStep }[]) => items.map(({ step }) => step)
  const runner: Runner = {
    ctx,
    deps,
    factsOf: openRunFacts(),
    record: batch(async (items: readonly { step: ClaimedStep }[]) => {
      await recordVerdicts(ctx, stepsOf(items))
      return items.map(() => undefined)
    }),
    finish: batch((items: readonly FinishedAttempt[]) =>
      replace(
        stepsOf(items).map(({ fence }) => fence),
        (wanted) => finishAttempts(ctx, deps.blobs, items, claimingSteps(claimant, wanted), claimant.clock),
      ),
    ),
    adopt: batch((items: readonly Adopted[]) => adoptCached(ctx, deps.blobs, items, claimant.clock)),
  }
  return { run: (entry) => runAttempt(runner, entry), follow: (entry) => followAttempt(runner, entry) }
}

async function runAttempt(runner: Runner, entry: Running): Promise<void> {
  const { deps } = runner
  const { step } = entry
  const ctx = runner.ctx.as({ project: step.project })
  let launched: { plan: AttemptPlan; step: ClaimedStep; handle: string | undefined } | undefined
  try {
    launched = await launch(runner, ctx, step)
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    if (error.code === 'executor.closed') throw error // the next incarnation finds no process and tries again
    const redactor = deps.secrets.redactorOfGiven(step)
    const message = redactor.hideText(sayingOf(error))
    ctx.log.warn({ run: step.run, step: step.key, code: error.code, reason: message }, 'a step could not start')
    await commit(runner, step, { ...failureOf(error), message }, { redactor })
    return
  }
  if (!launched) return
  entry.handle = launched.handle
  const exit =
    launched.handle === undefined
      ? ({ state: 'exited', exitCode: 0 } as const)
      : await deps.executor.wait(launched.handle)
  await finish(runner, launched.step, exit, launched.plan)
}

/** A fault that says nothing of the step: what is tried later may well succeed. */
function isPassing({ kind, code }: PlimsollError): boolean {
  return kind === 'unavailable' || kind === 'deadline' || kind === 'full' || code === 'blob.collected'
}

/** A fault of ours or of the database is no fault of the step: it is tried again outside its budget. */
function failureOf(error: PlimsollError): SeenEnd {
  const isOurs =
    error.kind === 'internal' ||
    error.code.startsWith('db.') ||
    (error.code.startsWith('executor.') && error.kind !== 'invalid') ||
    error.code === 'blob.collected'
  const failureClass = error.code === 'disk.full' ? 'disk_full' : isOurs ? 'lost' : 'config'
  return { outcome: 'failed', failureClass, exitCode: undefined, message: sayingOf(error) }
}

function sayingOf({ message, details }: PlimsollError): string {
  return details.action ? `${message}. ${details.action}` : message
}

/** Resolves, places and starts. Undefined when the cache knew the step; without a handle when it needs no process. */
async function launch(runner: Runner, ctx: Context, claimed: ClaimedStep) {
  const { deps } = runner
  const resolved = await resolve(runner, ctx, claimed)
  if (!resolved) return undefined
  const { prepared, inputs, facts, step } = resolved
  const report = (message: string) => void setProgress(ctx, step, { fraction: 0, message }).catch(() => {})
  const { environment: secrets, digest: secretsDigest } = await deps.secrets.give(step)
  const placed = await placeAttempt(ctx, deps, step, { prepared, inputs, bundles: facts.pipeline.bundles, report })
  if (claimed.verdict === null) await runner.record({ step })
  const { environment, plan } = writeLaunch(deps, step, placed, { prepared, inputs, secretsDigest })
  const kind = deps.kinds.get(step.definition.kind)
  if (kind && kind.command === undefined) return { plan, step, handle: undefined }
  const { argv, cwd, workDir } = placed
  const { timeoutMs, resources } = step.definition
  const limits = resources.memoryBytes === undefined ? {} : { memoryBytes: resources.memoryBytes }
  const { handle } = await deps.executor.submit({
    attempt: String(step.fence),
    argv,
    // Here and nowhere else: what the launch wrote has none of them.
    environment: { ...secrets, ...environment },
    cwd,
    workDir,
    timeoutMs,
    ...limits,
  })
  return { plan, step, handle }
}

/** Names everything that a claimed step depends on; undefined when it was taken from the cache. */
async function resolve(
  runner: Runner,
  ctx: Context,
  step: ClaimedStep,
): Promise<{ prepared: PreparedStep; inputs: NamedOutputs; facts: RunFacts; step: ClaimedStep } | undefined> {
  const { deps } = runner
  const facts = await runner.factsOf(ctx, step.run)
  const upstream = await upstreamSteps(ctx, step)
  const inputs = stepInputs(step.definition, step.inputs ?? {}, (key) => upstream.get(key)?.outputs)
  const interpreter = { kinds: deps.kinds, python: () => deps.python.interpreter() }
  const run = {
    params: facts.params,
    bundles: facts.pipeline.bundles,
    origin: facts.pipeline.origin,
    keyOf: (key: string) => upstream.get(key)?.cacheKey,
    resultOf: (key: string) => upstream.get(key)?.result,
  }
  const prepared = await prepareStep(ctx, interpreter, step.definition, run, inputs)
  if (step.verdict !== null) return { prepared, inputs, facts, step }
  const hit: CacheHit = await lookUp(ctx, deps, {
    pipeline: step.pipeline,
    step: step.key,
    kind: step.definition.kind,
    components: prepared.components,
    spec: prepared.spec,
    isForced: facts.forced.has(step.key),
    isDisabled: !facts.options.cache || !prepared.isCacheable,
  })
  if (!hit.outputs) return { prepared, inputs, facts, step: { ...step, verdict: hit.verdict } }
  await runner.adopt({
    step,
    verdict: hit.verdict,
    outputs: hit.outputs,
    result: hit.result,
    spec: prepared.spec,
    inputs,
  })
  return undefined
}

interface Upstream {
  readonly outputs: NamedOutputs
  readonly cacheKey: string | null
  readonly result: Json | null
}

async function upstreamSteps(ctx: Context, step: ClaimedStep): Promise<Map<string, Upstream>> {
  const keys = Object.values(step.definition.inputs).flatMap((input) => (input.from === 'step' ? [input.step] : []))
  if (keys.length === 0) return new Map()
  const rows = await ctx.db
    .selectFrom('step')
    .select(['key', 'outputs', 'cache_key', 'result'])
    .where('run', '=', step.run)
    .where('key', 'in', keys)
    .execute()
  return new Map(
    rows.map((row) => [row.key, { outputs: row.outputs ?? {}, cacheKey: row.cache_key, result: row.result }]),
  )
}

async function followAttempt(runner: Runner, entry: Running): Promise<void> {
  const { deps, ctx } = runner
  const { step } = entry
  const workDir = workDirOf(deps.runsDir, step)
  const { timeoutMs, resources } = step.definition
  const plan = (await readAttempt(workDir))?.plan
  const kind = deps.kinds.get(step.definition.kind)
  if (plan && kind && kind.command === undefined) return finish(runner, step, { state: 'exited', exitCode: 0 }, plan)
  const limits = resources.memoryBytes === undefined ? {} : { memoryBytes: resources.memoryBytes }
  const found = await deps.executor.find({ attempt: String(step.fence), workDir, timeoutMs, ...limits })
  if (!found) return commit(runner, step, NOT_STARTED, { plan, redactor: await keepRedactor(runner, step) })
  entry.handle = found.handle
  // From now on: a secret that changes while the step goes on is hidden as the step has it.
  await keepRedactor(runner, step)
  ctx.log.info({ run: step.run, step: step.key }, 'a running step was adopted')
  await finish(runner, step, await deps.executor.wait(found.handle), plan)
}

/** Undefined when a secret of the step has changed or cannot be read any more: what it wrote cannot be shown. */
async function keepRedactor({ deps, ctx }: Runner, step: ClaimedStep): Promise<Redactor | undefined> {
  try {
    return await deps.secrets.keep(step)
  } catch (thrown) {
    const { code, message } = toPlimsollError(thrown)
    ctx.log.warn({ run: step.run, step: step.key, code, reason: message }, 'secrets of a step could not be read')
    return undefined
  }
}

/** After the attempt's end: its outputs are stored first, then the fenced transaction names them. */
async function finish(runner: Runner, step: ClaimedStep, exit: StepExit, plan: AttemptPlan | undefined): Promise<void> {
  const workDir = workDirOf(runner.deps.runsDir, step)
  const { timeoutMs, resources } = step.definition
  let end = endOf(exit, { memoryBytes: resources.memoryBytes, timeoutMs })
  let collected = NO_OUTPUTS
  const redactor = await keepRedactor(runner, step)
  // What a step says right before its end was not looked at yet.
  const said = redactor && (await readProgress(workDir, redactor).catch(() => undefined))
  if (said) await setProgress(runner.ctx, step, said).catch(() => {})
  if (end.outcome === 'succeeded' && !plan) end = { ...LOST, message: 'The files of the attempt are gone' }
  else if (end.outcome === 'succeeded' && plan) {
    try {
      collected = await collectOutputs(runner.deps, step.definition, plan.outputs, workDir)
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      end = {
        outcome: 'failed',
        failureClass: OUTPUT_FAULTS[error.code] ?? 'lost',
        exitCode: exit.exitCode,
        message: faultText(sayingOf(error), redactor),
      }
    }
  }
  if (end.failureClass === 'user_error')
    end = { ...end, message: await failureReason(step.definition, end, workDir, redactor) }
  await commit(runner, step, end, { plan, redactor, collected, usage: exit.usage as Json | undefined }) // plain numbers
}

/** What an attempt left, beside how it ended. */
interface Left {
  readonly plan?: AttemptPlan | undefined
  readonly redactor: Redactor | undefined
  readonly collected?: CollectedOutputs
  readonly usage?: Json | undefined
}

async function commit(
  runner: Runner,
  step: ClaimedStep,
  end: SeenEnd,
  { plan, redactor, collected = NO_OUTPUTS, usage }: Left,
): Promise<void> {
  const { ctx, deps } = runner
  const done: FinishedAttempt = {
    step,
    end,
    usage,
    log: await shipLog(deps.blobs, workDirOf(deps.runsDir, step), deps.limits.logBytes, redactor),
    ...collected,
    components: plan?.prepared.components,
    isCacheable: plan?.prepared.isCacheable ?? false,
    kind: deps.kinds.get(step.definition.kind),
    spec: plan?.prepared.spec ?? null,
    inputs: plan?.inputs ?? {},
  }
  try {
    if (!(await runner.finish(done))) {
      ctx.log.info({ run: step.run, step: step.key }, 'an attempt had lost its fence; its outputs are not used')
    }
  } catch (thrown) {
    // The kind's own commit refused what the step left: the attempt fails with that reason. A blob that a collection took
    // meanwhile is stored again when the attempt is followed again.
    const error = toPlimsollError(thrown)
    if (end.outcome !== 'succeeded' || isPassing(error)) throw thrown
    ctx.log.warn(
      { run: step.run, step: step.key, code: error.code, reason: error.message, cause: String(error.cause) },
      'a step could not be committed',
    )
    await runner.finish({
      ...done,
      ...NO_OUTPUTS,
      end: { outcome: 'failed', failureClass: 'config', exitCode: end.exitCode, message: error.message },
    })
  }
  deps.secrets.forget(step.fence)
  // What was cut is longer than the limit, by the line that says so.
  if (done.log && done.log.sizeBytes > deps.limits.logBytes) dropLog(workDirOf(deps.runsDir, step))
}
