import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  cancelledRun,
  finishedRun,
  isTerminalRun,
  pipelineList,
  pipelineVersion,
  runList,
  runView,
  type StepState,
  startedRun,
  startRunBody,
  stepDebugView,
  stepDetail,
  wholeText,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import { readAttempt } from './attempt-files.ts'
import { readLog } from './log.ts'
import { listPipelines, requirePipeline, type StepKinds } from './pipeline.ts'
import { cancelRun, requireRun, requireStep, startNamedRun, startStep } from './run.ts'
import type { StepSecrets } from './step-secrets.ts'
import { listRuns, readRun, readStep } from './view.ts'

export interface PipelineEndpointDeps {
  readonly blobs: BlobStore
  readonly kinds: StepKinds
  readonly onStarted: () => void
  /** Hides in logs what steps were given. */
  readonly secrets: StepSecrets
}

const runParams = z.strictObject({ run: z.string().max(80) })
const stepParams = z.strictObject({ run: z.string().max(80), step: z.string().max(63) })

/**
 * A step that stands alone and that its kind refuses from the start is refused at once, not by a run that stays in the
 * list. What else is wrong is said where it is looked for; a key may name a run that was started when all was well.
 */
async function refuseAlone(ctx: Context, { kinds }: PipelineEndpointDeps, body: z.output<typeof startRunBody>) {
  if ('pipeline' in body || body.idempotencyKey !== undefined || Object.keys(body.step.inputs).length > 0) return
  const kind = kinds.get(body.step.kind)
  const params = kind?.params.safeParse(body.step.params)
  if (params?.success !== true) return
  await kind?.resolve?.(ctx, { params: body.step.params as Json, inputs: {} }).catch((thrown: unknown) => {
    if (toPlimsollError(thrown).kind === 'invalid') throw thrown
  })
}

async function start(ctx: Context, deps: PipelineEndpointDeps, body: z.output<typeof startRunBody>) {
  await refuseAlone(ctx, deps, body)
  const started = await ctx.transaction((tx) =>
    'pipeline' in body
      ? startNamedRun(tx, {
          pipeline: body.pipeline,
          params: body.params as Record<string, Json>,
          options: body.options,
          idempotencyKey: body.idempotencyKey,
        })
      : startStep(tx, {
          step: body.step,
          bundles: body.bundle ? { [body.step.key]: body.bundle } : {},
          options: body.options,
          kinds: deps.kinds,
          blobs: deps.blobs,
          idempotencyKey: body.idempotencyKey,
        }),
  )
  deps.onStarted()
  return started
}

const REASON_CHARS_MAX = 1_000
const NOT_STARTED: Partial<Record<StepState, string>> = {
  blocked: 'it waits for other steps',
  upstream_failed: 'a step that it needs has failed',
  not_run: 'its run has not come to it',
}

/** Why a step left no files here, and what to do. `attempt` is its newest. */
function whereFilesAre(
  { state, reason, cache_verdict }: Awaited<ReturnType<typeof requireStep>>,
  attempt: { failure_class: string | null; exit_code: number | null } | undefined,
): string {
  const source = state === 'cached' ? cache_verdict?.source : undefined
  if (source) return `It came from the cache. See what made it: plimsoll step debug ${source.run}/${source.step}`
  const why = reason === null ? '' : `: ${reason.slice(0, REASON_CHARS_MAX)}`
  if (attempt === undefined) return `It has not been started: ${NOT_STARTED[state] ?? `it is ${state}`}${why}`
  if (attempt.failure_class === 'config' && attempt.exit_code === null)
    return `It failed before its program was started${why}`
  return 'They are removed after a while, and there are none before the program is started; run it again with --force'
}

/** Where an attempt ran: only on this host, and only while its files are there. */
async function debugOf(ctx: Context, run: string, key: string) {
  const step = await requireStep(ctx, run, key)
  const attempt = await ctx.db
    .selectFrom('attempt')
    .select(['work_dir', 'failure_class', 'exit_code'])
    .where('run', '=', run)
    .where('key', '=', key)
    .where('work_dir', 'is not', null)
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst()
  const workDir = attempt?.work_dir
  const left = workDir == null ? undefined : await readAttempt(workDir)
  if (workDir == null || left === undefined) {
    throw new PlimsollError(
      'not_found',
      'pipelines.attempt_gone',
      `Cannot open step ${key} of run ${run}: it left no files here`,
      { action: whereFilesAre(step, attempt) },
    )
  }
  const { cwd, argv, environment } = left.launch
  // Only a step that tracked something has the run: a shell without it makes one of its own.
  const named = step.tracked_run === null ? {} : { MLFLOW_RUN_ID: step.tracked_run }
  return {
    workDir,
    cwd,
    argv: [...argv],
    environment: { ...environment, ...named },
    secrets: step.definition.secrets ?? {},
  }
}

function runEndpoints(deps: PipelineEndpointDeps): AnyEndpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/api/v1/runs',
      scope: 'editor',
      summary: 'Start a run of a pipeline, or of one step',
      body: startRunBody,
      response: startedRun,
      handler: async ({ ctx, body }) => start(ctx, deps, body),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/runs',
      scope: 'viewer',
      summary: 'Runs, newest first',
      query: z.strictObject({
        before: z.string().max(80).optional(),
        pipeline: z.string().max(63).optional(),
        limit: wholeText({ min: 1, max: 500 }).default(50),
      }),
      response: runList,
      handler: async ({ ctx, query }) => ({ runs: await listRuns(ctx, query) }),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/runs/:run',
      scope: 'viewer',
      summary: 'One run with its graph',
      params: runParams,
      response: runView,
      handler: async ({ ctx, params }) => readRun(ctx, params.run),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/runs/:run/cancel',
      scope: 'editor',
      summary: 'Cancel a run',
      params: runParams,
      response: cancelledRun,
      handler: async ({ ctx, params }) => {
        const state = await ctx.transaction((tx) => cancelRun(tx, params.run))
        deps.onStarted()
        return { state }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/runs/:run/finished',
      scope: 'viewer',
      summary: '404 while the run goes on, 200 with its state once it has ended; an unknown run has ended as `unknown`',
      params: runParams,
      response: finishedRun,
      handler: async ({ ctx, params }) => {
        const run = await requireRun(ctx, params.run).catch((error: PlimsollError) => {
          if (error.kind === 'not_found') return { state: 'unknown' as const }
          throw error
        })
        if (run.state !== 'unknown' && !isTerminalRun(run.state))
          throw new PlimsollError('not_found', 'pipelines.not_finished', `Run ${params.run} is ${run.state}`)
        return { state: run.state }
      },
    }),
  ]
}

function stepEndpoints(deps: PipelineEndpointDeps): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/runs/:run/steps/:step',
      scope: 'viewer',
      summary: 'One step with its attempts',
      params: stepParams,
      response: stepDetail,
      handler: async ({ ctx, params }) => readStep(ctx, params.run, params.step),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/runs/:run/steps/:step/log',
      scope: 'viewer',
      summary: 'A part of a step’s log; X-Plimsoll-Next-Offset and X-Plimsoll-End say how to go on',
      params: stepParams,
      query: z.strictObject({ offset: wholeText({ min: 0, max: Number.MAX_SAFE_INTEGER }).default(0) }),
      response: 'text/plain; charset=utf-8',
      handler: async ({ ctx, params, query, reply }) => {
        const chunk = await readLog(ctx, deps, params.run, params.step, query.offset)
        return reply
          .headers({
            'x-plimsoll-next-offset': String(chunk.nextOffset),
            'x-plimsoll-end': chunk.isEnd ? '1' : '0',
            'x-content-type-options': 'nosniff',
          })
          .send(chunk.bytes)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/runs/:run/steps/:step/debug',
      scope: 'editor',
      summary: 'Where and how the newest attempt ran',
      params: stepParams,
      response: stepDebugView,
      handler: async ({ ctx, params }) => debugOf(ctx, params.run, params.step),
    }),
  ]
}

/** Pipelines, runs, steps. */
export function pipelineEndpoints(deps: PipelineEndpointDeps): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/pipelines',
      scope: 'viewer',
      summary: 'Every pipeline of the project',
      response: pipelineList,
      handler: async ({ ctx }) => ({ pipelines: await listPipelines(ctx) }),
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/pipelines/:pipeline',
      scope: 'viewer',
      summary: 'One pipeline',
      params: z.strictObject({ pipeline: z.string().max(63) }),
      response: pipelineVersion,
      handler: async ({ ctx, params }) => requirePipeline(ctx, params.pipeline),
    }),
    ...runEndpoints(deps),
    ...stepEndpoints(deps),
  ]
}
