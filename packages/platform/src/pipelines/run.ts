import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  choiceText,
  isTerminalRun,
  type PipelineStep,
  paramValueFault,
  type RunOptions,
  type RunState,
} from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { missingBlobs } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import { type Context, databaseClock, type Tx } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import { endTrackedRuns } from '../tracking/index.ts'
import {
  type PipelineVersion,
  requirePipeline,
  requirePipelineVersion,
  type StepKinds,
  storePipelineVersion,
} from './pipeline.ts'
import type { Bundles } from './tables.ts'
import { unplannedStep } from './unplanned-step.ts'
import './events.ts'

export interface StartRun {
  readonly pipeline: PipelineVersion
  readonly params: Readonly<Record<string, Json>>
  readonly options: RunOptions
  readonly idempotencyKey?: string | undefined
}

function resolveParams(pipeline: PipelineVersion, given: Readonly<Record<string, Json>>): Record<string, Json> {
  const declared = pipeline.definition.params
  const faults: Fault[] = []
  const resolved: Record<string, Json> = {}
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(declared, name))
      faults.push({
        pointer: `/params/${name}`,
        detail: `there is no param ${name}; ${choiceText(Object.keys(declared)) ?? 'the pipeline takes none'}`,
      })
  }
  for (const [name, param] of Object.entries(declared)) {
    const value = Object.hasOwn(given, name) ? given[name]! : (param.default as Json | undefined)
    const pointer = `/params/${name}`
    const fault = value === undefined ? undefined : paramValueFault(param.type, value)
    if (value === undefined) faults.push({ pointer, detail: `is missing: expected ${param.type}` })
    else if (fault !== undefined) faults.push({ pointer, detail: fault })
    else resolved[name] = value
  }
  refuseFaults('pipelines.bad_params', `Cannot start pipeline "${pipeline.name}"`, faults)
  return resolved
}

function checkForced(pipeline: PipelineVersion, options: RunOptions): void {
  const keys = new Set(pipeline.definition.steps.map((step) => step.key))
  const faults = (['force', 'forceFrom'] as const).flatMap((option) =>
    options[option]
      .filter((key) => !keys.has(key))
      .map((key) => ({
        pointer: `/options/${option}`,
        detail: `there is no step ${key}; ${choiceText([...keys])}`,
      })),
  )
  refuseFaults('pipelines.unknown_step', `Cannot start pipeline "${pipeline.name}"`, faults)
}

/** The run that the key has started already. */
async function findByKey(tx: Tx, key: string | undefined, bodyDigest: string): Promise<string | undefined> {
  if (key === undefined) return undefined
  const before = await tx.db
    .selectFrom('pipeline_run')
    .select(['id', 'body_digest'])
    .where('project', '=', tx.project)
    .where('idempotency_key', '=', key)
    .executeTakeFirst()
  if (before && before.body_digest !== bodyDigest)
    throw new PlimsollError(
      'conflict',
      'pipelines.idempotency_key_reused',
      `Cannot start the run: key "${key}" was used for another request`,
      { run: before.id },
    )
  return before?.id
}

/**
 * Queues a run; the scheduler plans it. With an idempotency key, the same request gives the same run.
 * @throws invalid pipelines.bad_params · pipelines.unknown_step · conflict pipelines.idempotency_key_reused
 */
export async function startRun(tx: Tx, request: StartRun): Promise<{ id: string; isNew: boolean }> {
  const { pipeline, options } = request
  const params = resolveParams(pipeline, request.params)
  checkForced(pipeline, options)
  const bodyDigest = digestValue({ pipeline: pipeline.digest, params, options })
  const before = await findByKey(tx, request.idempotencyKey, bodyDigest)
  if (before !== undefined) return { id: before, isNew: false }
  const id = newId('run', tx.clock)
  const written = await tx.db
    .insertInto('pipeline_run')
    .values({
      id,
      project: tx.project,
      pipeline: pipeline.name,
      pipeline_digest: pipeline.digest,
      params: JSON.stringify(params),
      options: JSON.stringify(options),
      state: 'queued',
      reason: null,
      actor: tx.principal.id,
      idempotency_key: request.idempotencyKey ?? null,
      body_digest: bodyDigest,
      cancel_requested_at: null,
      started_at: null,
      finished_at: null,
    })
    .onConflict((conflict) => conflict.columns(['project', 'idempotency_key']).doNothing())
    .executeTakeFirst()
  // Another start with this key was committed since it was looked for.
  if (written.numInsertedOrUpdatedRows === 0n)
    return { id: (await findByKey(tx, request.idempotencyKey, bodyDigest))!, isNew: false }
  await tx.emit({
    type: 'pipelines.run_queued',
    subject: id,
    data: { pipeline: pipeline.name, digest: pipeline.digest },
  })
  await tx.audit({
    action: 'run.start',
    subject: id,
    data: { pipeline: pipeline.name, digest: pipeline.digest, params },
  })
  return { id, isNew: true }
}

/** Queues a run of one step that stands alone. @throws precondition pipelines.code_missing */
export async function startStep(
  tx: Tx,
  request: {
    step: PipelineStep
    bundles: Bundles
    options: RunOptions
    kinds: StepKinds
    blobs: BlobStore
    idempotencyKey?: string | undefined
  },
): Promise<{ id: string; isNew: boolean }> {
  const definition = {
    kind: 'pipeline' as const,
    name: `step-${request.step.key}`.slice(0, 63),
    params: {},
    steps: [request.step],
  }
  const files = Object.values(request.bundles).flatMap((bundle) => bundle.files.map((file) => file.digest))
  // Looked at before they are named, told after what else is wrong with them.
  const missing = await missingBlobs(tx, request.blobs, files)
  const origin = { source: 'ad-hoc', commit: null, isDirty: false }
  const digest = await storePipelineVersion(tx, definition, { ...request, origin })
  if (missing.length > 0)
    throw new PlimsollError(
      'precondition',
      'pipelines.code_missing',
      `Cannot run step ${request.step.key}: ${countText(missing.length, 'code file has', 'code files have')} not been uploaded`,
      { missing: missing.slice(0, 10), action: 'Upload them to this project first' },
    )
  return startRun(tx, {
    pipeline: { digest, name: definition.name, definition, bundles: request.bundles, origin },
    params: {},
    options: request.options,
    idempotencyKey: request.idempotencyKey,
  })
}

export async function startNamedRun(
  tx: Tx,
  request: {
    pipeline: string
    params: Readonly<Record<string, Json>>
    options: RunOptions
    idempotencyKey?: string | undefined
  },
): Promise<{ id: string; isNew: boolean }> {
  return startRun(tx, { ...request, pipeline: await requirePipeline(tx, request.pipeline) })
}

function noRun(id: string): PlimsollError {
  return new PlimsollError('not_found', 'pipelines.run_not_found', `Cannot find run "${id.slice(0, 80)}"`, {
    action: 'List them with plimsoll run list',
  })
}

/** @throws not_found pipelines.run_not_found */
export async function requireRun(ctx: Context, id: string) {
  const row = await ctx.db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw noRun(id)
  return row
}

/** A step, also of a run without a plan. @throws not_found pipelines.run_not_found · not_found pipelines.step_not_found */
export async function requireStep(ctx: Context, run: string, key: string) {
  const row = await ctx.db
    .selectFrom('step')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('run', '=', run)
    .where('key', '=', key)
    .executeTakeFirst()
  if (row) return row
  const of = await requireRun(ctx, run)
  const { steps } = (await requirePipelineVersion(ctx, of.pipeline_digest)).definition
  const position = steps.findIndex((step) => step.key === key)
  if (position >= 0) return unplannedStep(of, steps[position]!, position)
  throw new PlimsollError('not_found', 'pipelines.step_not_found', `Cannot find step "${key}" of run ${run}`)
}

/**
 * Asks a run to end: steps that have not started are cancelled at once, running ones are ended by the scheduler.
 * Repeating it is free; a finished run stays as it is.
 */
export async function cancelRun(tx: Tx, id: string): Promise<RunState> {
  const run = await tx.db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('project', '=', tx.project)
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  if (!run) throw noRun(id)
  if (isTerminalRun(run.state)) return run.state
  const cancelled = await tx.db
    .updateTable('step')
    .set({ state: 'cancelled', reason: 'run cancelled', finished_at: databaseClock() })
    .where('run', '=', id)
    .where('state', 'in', ['blocked', 'ready'])
    .returning('tracked_run')
    .execute()
  // Of steps that waited for their next try.
  await endTrackedRuns(
    tx,
    cancelled.flatMap((step) => (step.tracked_run === null ? [] : { id: step.tracked_run, status: 'KILLED' as const })),
  )
  const open = run.open - cancelled.length
  const state = run.state === 'queued' || open === 0 ? 'cancelled' : 'cancelling'
  await tx.db
    .updateTable('pipeline_run')
    .set({
      state,
      open,
      cancel_requested_at: sql<Date>`coalesce(cancel_requested_at, ${databaseClock()})`,
      ...(state === 'cancelled' ? { finished_at: databaseClock() } : {}),
    })
    .where('id', '=', id)
    .execute()
  await tx.emit({ type: 'pipelines.run_cancelling', subject: id, data: { state } })
  if (state === 'cancelled') await tx.emit({ type: 'pipelines.run_finished', subject: id, data: { state } })
  await tx.audit({ action: 'run.cancel', subject: id })
  return state
}
