import type { RunSummary, RunView, StepDetail, StepView } from '@plimsoll/sdk/wire'
import { type Selectable, sql } from 'kysely'
import { z } from 'zod'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import type { StepOutput } from '../kernel/step-kind.ts'
import { needsOf } from './graph.ts'
import { bindParams } from './params.ts'
import { requirePipelineVersion } from './pipeline.ts'
import { madeVersion } from './prepare.ts'
import { requireRun, requireStep } from './run.ts'
import type { AttemptRow, NamedOutputs, PipelineRunRow, StepRow } from './tables.ts'
import { stateWithoutPlan, unplannedStep } from './unplanned-step.ts'

function iso(at: Date | null): string | null {
  return at === null ? null : at.toISOString()
}

function outputsView(outputs: NamedOutputs | null) {
  return Object.entries(outputs ?? {}).map(([name, output]: [string, StepOutput]) => ({
    name,
    type: output.type,
    digest: output.digest,
    sizeBytes: output.sizeBytes,
  }))
}

type Counted = { total: number; done: number; cached: number; failed: number; running: number }

function summaryOf(run: Selectable<PipelineRunRow>, steps: Counted): RunSummary {
  return {
    id: run.id,
    pipeline: run.pipeline,
    pipelineDigest: run.pipeline_digest,
    state: run.state,
    reason: run.state === 'cancelled' ? null : run.reason, // of one that was queued it is why it waited
    actor: run.actor,
    createdAt: run.created_at.toISOString(),
    startedAt: iso(run.started_at),
    finishedAt: iso(run.finished_at),
    steps,
  }
}

function countSteps(rows: readonly { state: StepRow['state'] }[]): Counted {
  const of = (states: readonly string[]) => rows.filter((row) => states.includes(row.state)).length
  return {
    total: rows.length,
    // Neither what failed nor what a failure or a cancellation kept from starting.
    done: of(['succeeded', 'cached']),
    cached: of(['cached']),
    failed: of(['failed', 'upstream_failed']),
    running: of(['running']),
  }
}

const versionOfModel = z.object({ model: z.string(), version: z.int() })

/** Kinds that make a version return which. */
function madeBy({ result }: Selectable<StepRow>): Pick<StepView, 'made'> {
  const model = versionOfModel.safeParse(result).data
  if (model) return { made: { type: 'model', name: model.model, version: model.version } }
  const dataset = madeVersion.safeParse(result).data
  return dataset ? { made: { type: 'dataset', name: dataset.dataset, version: dataset.version } } : {}
}

function stepViewOf(row: Selectable<StepRow>): StepView {
  return {
    key: row.key,
    kind: row.kind,
    state: row.state,
    reason: row.reason,
    needs: needsOf(row.definition),
    attempts:
      row.attempts_used +
      row.infra_used +
      (row.state === 'running' || row.state === 'succeeded' || row.state === 'failed' ? 1 : 0),
    cache: row.cache_verdict,
    outputs: outputsView(row.outputs),
    progress: row.progress,
    trackedRun: row.tracked_run,
    ...(row.result === null ? {} : madeBy(row)),
    startedAt: iso(row.started_at),
    finishedAt: iso(row.finished_at),
  }
}

/** One run with its graph. One without a plan shows the steps of its pipeline: blocked, or what its end made of them. */
export async function readRun(ctx: Context, id: string): Promise<RunView> {
  const run = await requireRun(ctx, id)
  const planned = await ctx.db.selectFrom('step').selectAll().where('run', '=', id).orderBy('position').execute()
  const rows =
    planned.length > 0
      ? planned
      : (await requirePipelineVersion(ctx, run.pipeline_digest)).definition.steps.map((step, position) =>
          unplannedStep(run, step, position),
        )
  return {
    ...summaryOf(run, countSteps(rows)),
    params: run.params as RunView['params'],
    graph: rows.map(stepViewOf),
  } // stored as JSON
}

/** How many steps there are in the pipelines of runs without a plan, by digest. */
async function countDefined(ctx: Context, digests: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (digests.length === 0) return new Map()
  const found = await ctx.db
    .selectFrom('pipeline_version')
    .select(['digest', sql<number>`jsonb_array_length(definition -> 'steps')`.as('steps')])
    .where('project', '=', ctx.project)
    .where('digest', 'in', [...new Set(digests)])
    .execute()
  return new Map(found.map(({ digest, steps }) => [digest, steps]))
}

/** Runs, newest first; `before` is the id of the last one seen. */
export async function listRuns(
  ctx: Context,
  page: { before?: string | undefined; limit: number; pipeline?: string | undefined },
): Promise<RunSummary[]> {
  let query = ctx.db.selectFrom('pipeline_run').selectAll().where('project', '=', ctx.project)
  if (page.before !== undefined) query = query.where('id', '<', page.before)
  if (page.pipeline !== undefined) query = query.where('pipeline', '=', page.pipeline)
  const runs = await query.orderBy('id', 'desc').limit(page.limit).execute()
  if (runs.length === 0) return []
  const steps = await ctx.db
    .selectFrom('step')
    .select(['run', 'state'])
    .where(
      'run',
      'in',
      runs.map((run) => run.id),
    )
    .execute()
  const planned = Map.groupBy(steps, (step) => step.run)
  const unplanned = runs.filter((run) => !planned.has(run.id))
  const defined = await countDefined(
    ctx,
    unplanned.map((run) => run.pipeline_digest),
  )
  const stepsOf = (run: (typeof runs)[number]) =>
    planned.get(run.id) ??
    Array.from({ length: defined.get(run.pipeline_digest) ?? 0 }, () => ({ state: stateWithoutPlan(run.state) }))
  return runs.map((run) => summaryOf(run, countSteps(stepsOf(run))))
}

function attemptViewOf(row: Selectable<AttemptRow>): StepDetail['tries'][number] {
  return {
    fence: String(row.fence),
    number: row.number,
    state: row.state,
    startedAt: row.started_at.toISOString(),
    finishedAt: iso(row.finished_at),
    exitCode: row.exit_code,
    signal: row.signal,
    failureClass: row.failure_class,
    message: row.message,
    logBytes: row.log_bytes === null ? null : Number(row.log_bytes),
    usage: row.usage as StepDetail['tries'][number]['usage'], // stored as JSON
  }
}

export async function readStep(ctx: Context, run: string, key: string): Promise<StepDetail> {
  const row = await requireStep(ctx, run, key)
  const tries = await ctx.db
    .selectFrom('attempt')
    .selectAll()
    .where('run', '=', run)
    .where('key', '=', key)
    .orderBy('fence')
    .limit(100)
    .execute()
  const { params } = await requireRun(ctx, run)
  return {
    ...stepViewOf(row),
    definition: row.definition,
    params: bindParams(row.definition.params as Json, params) as StepDetail['params'], // of a record a record
    spec: row.spec as StepDetail['spec'],
    inputs: outputsView(row.inputs),
    result: row.result as StepDetail['result'],
    tries: tries.map(attemptViewOf),
  } // stored as JSON
}
