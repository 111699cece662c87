import { z } from 'zod'
import { definitionName, fieldName } from './definition/name.ts'
import { codeBundle, pipelineStep, stepKey } from './definition/pipeline.ts'
import { digest } from './digest.ts'
import { json } from './json.ts'
import { loosely } from './loosely.ts'

/** States of a run; the last three are final. */
export const RUN_STATES = ['queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled'] as const
/** One of `RUN_STATES`. */
export type RunState = (typeof RUN_STATES)[number]
/** The final ones of `RUN_STATES`. */
export const TERMINAL_RUNS: readonly RunState[] = ['succeeded', 'failed', 'cancelled']

/** True once a run changes no more. */
export function isTerminalRun(state: RunState): boolean {
  return TERMINAL_RUNS.includes(state)
}

/**
 * States of a step; all after `running` are final. `upstream_failed`: it never ran, since one that it needs did not
 * succeed. `not_run`: it never ran, since its run failed before any step started.
 */
export const STEP_STATES = [
  'blocked',
  'ready',
  'running',
  'succeeded',
  'cached',
  'failed',
  'upstream_failed',
  'not_run',
  'cancelled',
] as const
/** One of `STEP_STATES`. */
export type StepState = (typeof STEP_STATES)[number]
/** The final ones of `STEP_STATES`. */
export const TERMINAL_STEPS: readonly StepState[] = STEP_STATES.slice(STEP_STATES.indexOf('running') + 1)

/** True once a step changes no more. */
export function isTerminalStep(state: StepState): boolean {
  return TERMINAL_STEPS.includes(state)
}

/**
 * States of an attempt; all after `running` are final. `lost`: nobody can say how it ended; `superseded`: another one
 * held the fence when it ended.
 */
export const ATTEMPT_STATES = ['running', 'succeeded', 'failed', 'lost', 'cancelled', 'superseded'] as const
/** One of `ATTEMPT_STATES`. */
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

/** What the cache said of a step, and from which run its outputs come on a hit; `diff` names each part that differs. */
export const cacheVerdict = z.object({
  hit: z.boolean(),
  reason: z.enum(CACHE_REASONS),
  key: z.string().nullable(),
  source: z.object({ run: z.string(), step: z.string() }).nullable(),
  diff: z.array(
    z.object({ part: z.string(), name: z.string(), old: z.string().nullable(), new: z.string().nullable() }),
  ),
})
/** The cache's verdict on one step. */
export type CacheVerdict = z.output<typeof cacheVerdict>

/** What differs, in words: `param trees`, `the lock`, `how its input model was made`. */
export function changedText({ part, name }: Pick<CacheVerdict['diff'][number], 'part' | 'name'>): string {
  if (part !== 'env') return `${part} ${name}`
  const input = /^making of (.+)$/s.exec(name)?.[1]
  return input === undefined ? `the ${name}` : `how its input ${input} was made`
}

/** One stored output of a step. */
export const stepOutputView = z.object({
  name: z.string(),
  type: z.enum(['file', 'json', 'directory', 'onnx', 'dataset']),
  digest,
  sizeBytes: z.int(),
})

/** One try of a step. */
export const attemptView = z.object({
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
/** One try of a step, and how it ended. */
export type AttemptView = z.output<typeof attemptView>

/** A version that a step made, or that was there before for the same content. */
export const madeVersion = z.object({ type: z.enum(['model', 'dataset']), name: z.string(), version: z.int() })

/** A step of a run: its state, and why; `fraction` of its progress is 0 to 1. */
export const stepView = z.object({
  key: stepKey,
  kind: z.string(),
  state: z.enum(STEP_STATES),
  reason: z.string().nullable(),
  needs: z.array(stepKey),
  attempts: z.int(),
  cache: cacheVerdict.nullable(),
  outputs: z.array(stepOutputView),
  progress: z.object({ fraction: z.number(), message: z.string() }).nullable(),
  trackedRun: z.string().nullable(),
  made: madeVersion.optional(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
})
/** A step as the graph of its run shows it. `trackedRun` is null until its program asks the control plane for something. */
export type StepView = z.output<typeof stepView>

/** A run in a list, with how many of its steps are where. `pipeline` is null for a step that was started alone. */
export const runSummary = z.object({
  id: z.string(),
  pipeline: z.string().nullable(),
  pipelineDigest: digest,
  state: z.enum(RUN_STATES),
  reason: z.string().nullable(),
  actor: z.string(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  steps: z.object({ total: z.int(), done: z.int(), cached: z.int(), failed: z.int(), running: z.int() }),
})
/** A run as lists show it. */
export type RunSummary = z.output<typeof runSummary>

/** Runs, newest first. */
export const runList = z.object({ runs: z.array(runSummary) })

/** A run with its params and the graph of its steps. */
export const runView = runSummary.extend({ params: z.record(z.string(), z.json()), graph: z.array(stepView) })
/** A run as its page shows it. */
export type RunView = z.output<typeof runView>

/** A step with its definition, what it was given, what it returned and every try of it. */
export const stepDetail = stepView.extend({
  definition: loosely(pipelineStep),
  /** As the run filled them in. */
  params: z.record(z.string(), z.json()),
  spec: z.json().nullable(),
  inputs: z.array(stepOutputView),
  result: z.json().nullable(),
  tries: z.array(attemptView),
})
/** A step as its panel shows it. */
export type StepDetail = z.output<typeof stepDetail>

/** `force`: steps that must run though the cache knows them. `forceFrom`: these and all that depend on them. */
export const runOptions = z.strictObject({
  cache: z.boolean().default(true),
  force: z.array(stepKey).max(1_000).default([]),
  forceFrom: z.array(stepKey).max(1_000).default([]),
})
/** How a run uses the cache. */
export type RunOptions = z.output<typeof runOptions>

/** Starts a run of a declared pipeline, or of one step that stands alone. Repeats with one idempotency key give one run. */
export const startRunBody = z.union([
  z.strictObject({
    pipeline: definitionName,
    params: z.record(fieldName, json).default({}),
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
/** What a run is started with. */
export type StartRunBody = z.output<typeof startRunBody>

/** A run that was started; `isNew` is false where its idempotency key was known: `id` is then that of the earlier one. */
export const startedRun = z.object({ id: z.string(), isNew: z.boolean() })

/** The state of a run that was asked to end: `cancelling` while steps of it still do. */
export const cancelledRun = z.object({ state: z.enum(RUN_STATES) })

/** The final state of a run; `unknown` for one that is not there. */
export const finishedRun = z.object({ state: z.enum([...RUN_STATES, 'unknown']) })

/** What `step debug` needs to open a shell where an attempt ran. */
export const stepDebugView = z.object({
  workDir: z.string(),
  cwd: z.string(),
  argv: z.array(z.string()),
  environment: z.record(z.string(), z.string()),
  /** Secrets that the attempt was given besides, by variable their names. Their values stay with the platform. */
  secrets: z.record(z.string(), z.string()).default({}),
})
/** Where and how an attempt ran. */
export type StepDebugView = z.output<typeof stepDebugView>
