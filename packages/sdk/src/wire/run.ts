import { z } from 'zod'
import { definitionName, fieldName } from './definition/name.ts'
import { codeBundle, pipelineStep, stepKey } from './definition/pipeline.ts'

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)

export const RUN_STATES = ['queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'] as const
export type RunState = (typeof RUN_STATES)[number]

export const STEP_STATES = [
  'blocked',
  'ready',
  'running',
  'succeeded',
  'cached',
  'failed',
  'upstream_failed',
  'cancelled',
] as const
export type StepState = (typeof STEP_STATES)[number]

export const ATTEMPT_STATES = ['running', 'succeeded', 'failed', 'lost', 'cancelled', 'superseded'] as const
export type AttemptState = (typeof ATTEMPT_STATES)[number]

/** Why a step was taken from the cache, or not: every component that differs, the first cause first. */
export const CACHE_REASONS = [
  'hit',
  'first-run',
  'code-changed',
  'param-changed',
  'input-changed',
  'env-changed',
  'kind-changed',
  'outputs-missing',
  'result-gone',
  'tainted',
  'forced',
  'disabled',
] as const

export const cacheVerdict = z.strictObject({
  hit: z.boolean(),
  reason: z.enum(CACHE_REASONS),
  key: z.string().nullable(),
  source: z.strictObject({ run: z.string(), step: z.string() }).nullable(),
  diff: z.array(
    z.strictObject({ part: z.string(), name: z.string(), old: z.string().nullable(), new: z.string().nullable() }),
  ),
})
export type CacheVerdict = z.output<typeof cacheVerdict>

export const stepOutputView = z.strictObject({
  name: z.string(),
  type: z.enum(['file', 'json', 'directory', 'onnx', 'dataset']),
  digest,
  sizeBytes: z.int(),
})

/** One try of a step. */
export const attemptView = z.strictObject({
  fence: z.string(),
  number: z.int(),
  state: z.enum(ATTEMPT_STATES),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  failureClass: z.string().nullable(),
  message: z.string().nullable(),
  logBytes: z.int().nullable(),
  usage: z.json().nullable(),
})
export type AttemptView = z.output<typeof attemptView>

export const stepView = z.strictObject({
  key: stepKey,
  kind: z.string(),
  state: z.enum(STEP_STATES),
  reason: z.string().nullable(),
  needs: z.array(stepKey),
  attempts: z.int(),
  cache: cacheVerdict.nullable(),
  outputs: z.array(stepOutputView),
  progress: z.strictObject({ fraction: z.number(), message: z.string() }).nullable(),
  trackedRun: z.string().nullable(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
})
export type StepView = z.output<typeof stepView>

export const runSummary = z.strictObject({
  id: z.string(),
  pipeline: z.string().nullable(),
  pipelineDigest: digest,
  state: z.enum(RUN_STATES),
  reason: z.string().nullable(),
  actor: z.string(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  steps: z.strictObject({ total: z.int(), done: z.int(), cached: z.int(), failed: z.int(), running: z.int() }),
})
export type RunSummary = z.output<typeof runSummary>

export const runView = runSummary.extend({ params: z.record(z.string(), z.json()), graph: z.array(stepView) })
export type RunView = z.output<typeof runView>

export const stepDetail = stepView.extend({
  definition: pipelineStep,
  /** As the run filled them in. */
  params: z.record(z.string(), z.json()),
  spec: z.json().nullable(),
  inputs: z.array(stepOutputView),
  result: z.json().nullable(),
  tries: z.array(attemptView),
})
export type StepDetail = z.output<typeof stepDetail>

/** `force`: steps that must run though the cache knows them. `forceFrom`: these and all that depend on them. */
export const runOptions = z.strictObject({
  cache: z.boolean().default(true),
  force: z.array(stepKey).max(1_000).default([]),
  forceFrom: z.array(stepKey).max(1_000).default([]),
})
export type RunOptions = z.output<typeof runOptions>

/** Starts a run of a declared pipeline, or of one step that stands alone. Repeats with one idempotency key give one run. */
export const startRunBody = z.union([
  z.strictObject({
    pipeline: definitionName,
    params: z.record(fieldName, z.json()).default({}),
    options: runOptions.default({ cache: true, force: [], forceFrom: [] }),
    idempotencyKey: z.string().min(1).max(200).optional(),
  }),
  z.strictObject({
    step: pipelineStep,
    bundle: codeBundle.optional(),
    options: runOptions.default({ cache: true, force: [], forceFrom: [] }),
    idempotencyKey: z.string().min(1).max(200).optional(),
  }),
])
export type StartRunBody = z.output<typeof startRunBody>

/** What `step debug` needs to open a shell where an attempt ran. */
export const stepDebugView = z.strictObject({
  workDir: z.string(),
  cwd: z.string(),
  argv: z.array(z.string()),
  environment: z.record(z.string(), z.string()),
})
export type StepDebugView = z.output<typeof stepDebugView>
