import type { BlobStore } from '@plimsoll/sdk/seams'
import { type CacheVerdict, isProcessKind, type PipelineStep, type StepState } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { pinBlobs } from '../kernel/blob/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { type Context, type DatabaseClock, databaseClock, givenRows, type Tx } from '../kernel/db/index.ts'
import { type PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import { type CacheHit, type FoundEntries, findEntries, forcedSteps, lookUp, type WantedStep } from './cache.ts'
import { inOrder, needsOf } from './graph.ts'
import { digestsOfOutputs, runOwner } from './pins.ts'
import { type PipelineVersion, requirePipelineVersion, type StepKinds } from './pipeline.ts'
import {
  datasetInputs,
  type PreparedIn,
  type PreparedStep,
  type PythonIdentity,
  prepareStep,
  stepInputs,
} from './prepare.ts'
import type { NamedOutputs } from './tables.ts'
import { nextOfRun } from './transition.ts'
import './events.ts'

export interface PlanDeps {
  readonly kinds: StepKinds
  readonly blobs: BlobStore
  readonly python: () => Promise<PythonIdentity>
  /** Of when a step may start; a test binds its own. */
  readonly databaseClock?: DatabaseClock
}

interface PlannedStep {
  state: StepState
  waiting: number
  spec: Json | null
  inputs: NamedOutputs | null
  verdict: CacheVerdict | null
  outputs: NamedOutputs | null
  result: Json | null
}

const INSERT_BATCH = 500
const REASON_CHARS_MAX = 4_000

/**
 * Plans a queued run: walks the graph in order, resolves from the cache what can be resolved, and inserts all steps in
 * one transaction. A fault that the plan meets (a dataset without a passing version) fails the run with its reason.
 */
export async function planRun(
  ctx: Context,
  deps: PlanDeps,
  run: {
    id: string
    pipeline_digest: string
    params: Record<string, Json>
    options: Parameters<typeof forcedSteps>[1]
  },
): Promise<void> {
  try {
    const planned = await walk(ctx, deps, run)
    await ctx.transaction((tx) => insertSteps(tx, deps, run.id, planned))
  } catch (thrown) {
    const error = toPlimsollError(thrown)
    if (error.kind === 'unavailable' || error.code === 'blob.collected') throw error
    if (error.kind === 'internal')
      ctx.log.error({ run: run.id, error: String(error.cause ?? error) }, 'a run could not be planned')
    await ctx.transaction(async (tx) => {
      const failed = await tx.db
        .updateTable('pipeline_run')
        .set({
          state: 'failed',
          reason: reasonOf(error),
          started_at: databaseClock(),
          finished_at: databaseClock(),
        })
        .where('id', '=', run.id)
        .where('state', '=', 'queued')
        .executeTakeFirst()
      if (failed.numUpdatedRows === 0n) return // cancelled meanwhile
      await tx.emit({ type: 'pipelines.run_finished', subject: run.id, data: { state: 'failed', code: error.code } })
    })
  }
}

/** What keeps a run from a plan, and what to do. */
export function reasonOf({ kind, message, details }: PlimsollError): string {
  if (kind === 'internal') return 'The control plane met a fault of its own, which its log tells'
  return `${message}${details.action ? `. ${details.action}` : ''}`.slice(0, REASON_CHARS_MAX)
}

interface Planned {
  rows: ReturnType<typeof toRow>[]
  edges: { src: string; dst: string }[]
  /** Blobs that steps take from the cache. */
  taken: string[]
}

type PlannedRun = Parameters<typeof planRun>[2]

/** How steps of this run are asked for in the cache. */
function wantedOf(pipeline: PipelineVersion, run: PlannedRun) {
  const forced = forcedSteps(pipeline.definition.steps, run.options)
  return (step: PipelineStep, prepared: PreparedStep): WantedStep => ({
    pipeline: pipeline.name,
    step: step.key,
    kind: step.kind,
    components: prepared.components,
    spec: prepared.spec,
    isForced: forced.has(step.key),
    isDisabled: !run.options.cache || !prepared.isCacheable,
  })
}

interface Early {
  readonly prepared: PreparedStep
  /** What the cache has of it, where it is asked. */
  readonly found: FoundEntries
}

/**
 * Process steps that take nothing from other steps, wherever they stand: all that their results depend on is known, and
 * the cache is asked for all of them at once.
 */
async function prepareEarly(
  ctx: Context,
  deps: PlanDeps,
  steps: readonly PipelineStep[],
  preparedIn: PreparedIn,
  datasets: ReadonlyMap<string, NamedOutputs>,
  toWanted: ReturnType<typeof wantedOf>,
): Promise<Map<string, Early>> {
  const prepared = new Map<string, PreparedStep>()
  const asked: WantedStep[] = []
  for (const step of steps) {
    if (!isProcessKind(step.kind) || Object.values(step.inputs).some((input) => input.from === 'step')) continue
    const ready = await prepareStep(ctx, deps, step, preparedIn, datasets.get(step.key)!)
    prepared.set(step.key, ready)
    const wanted = toWanted(step, ready)
    if (!wanted.isForced && !wanted.isDisabled) asked.push(wanted)
  }
  const found = asked.length > 0 ? await findEntries(ctx, asked[0]!.pipeline, asked) : new Map()
  return new Map([...prepared].map(([key, ready]) => [key, { prepared: ready, found: found.get(key) ?? {} }]))
}

function withHit(
  plan: PlannedStep,
  prepared: Pick<PlannedStep, 'spec' | 'inputs'>,
  { verdict, outputs, result }: CacheHit,
): PlannedStep {
  const found = { ...plan, ...prepared, verdict }
  if (plan.waiting === 0)
    return { ...found, state: outputs ? 'cached' : 'ready', outputs: outputs ?? null, result: result ?? null }
  // What the cache has now is taken when the step's turn comes.
  return outputs ? plan : found
}

/**
 * What another step of this run made has failed its expectations, which the step's own attempt will find and fail by: no
 * step beside it is the worse for it.
 */
function unlessRefused(thrown: unknown): undefined {
  if (toPlimsollError(thrown).code !== 'datasets.version_failed_expectations') throw thrown
}

async function walk(ctx: Context, deps: PlanDeps, run: PlannedRun): Promise<Planned> {
  const pipeline = await requirePipelineVersion(ctx, run.pipeline_digest)
  const { steps } = pipeline.definition
  const toWanted = wantedOf(pipeline, run)
  const planned = new Map<string, PlannedStep>()
  const rows: Planned['rows'] = []
  const edges: Planned['edges'] = []
  const taken: string[] = []
  const positions = new Map(steps.map((step, index) => [step.key, index]))
  const preparedIn: PreparedIn = {
    params: run.params,
    bundles: pipeline.bundles,
    origin: pipeline.origin,
    keyOf: (key) => planned.get(key)?.verdict?.key,
    resultOf: (key) => planned.get(key)?.result,
  }
  const datasets = new Map<string, NamedOutputs>()
  for (const step of steps) datasets.set(step.key, await datasetInputs(ctx, step))
  const early = await prepareEarly(ctx, deps, steps, preparedIn, datasets, toWanted)
  for (const step of inOrder(steps)) {
    const needs = needsOf(step)
    for (const src of needs) edges.push({ src, dst: step.key })
    const waiting = needs.filter((need) => planned.get(need)!.state !== 'cached').length
    const known = early.get(step.key)
    let plan: PlannedStep = { ...BLOCKED, waiting, inputs: datasets.get(step.key)! }
    if (waiting === 0 || known) {
      const inputs = stepInputs(step, datasets.get(step.key)!, (key) => planned.get(key)?.outputs)
      const prepared = known?.prepared ?? (await prepareStep(ctx, deps, step, preparedIn, inputs).catch(unlessRefused))
      if (prepared) {
        const hit = await lookUp(ctx, deps, toWanted(step, prepared), known?.found)
        plan = withHit(plan, { spec: prepared.spec, inputs }, hit)
      } else plan = { ...plan, state: 'ready' }
    }
    planned.set(step.key, plan)
    taken.push(...digestsOfOutputs(plan.outputs ?? {}))
    rows.push(toRow(step, positions.get(step.key)!, plan))
  }
  return { rows, edges, taken }
}

const BLOCKED: PlannedStep = {
  state: 'blocked',
  waiting: 0,
  spec: null,
  inputs: null,
  verdict: null,
  outputs: null,
  result: null,
}

const STEP_COLUMNS = {
  key: 'text',
  kind: 'text',
  definition: 'jsonb',
  position: 'int4',
  state: 'text',
  waiting: 'int4',
  spec: 'jsonb',
  inputs: 'jsonb',
  cache_key: 'text',
  cache_verdict: 'jsonb',
  outputs: 'jsonb',
  result: 'jsonb',
} as const
const EDGE_COLUMNS = { src: 'text', dst: 'text' } as const

function toRow(step: PipelineStep, position: number, { verdict, ...plan }: PlannedStep) {
  return {
    ...plan,
    key: step.key,
    kind: step.kind,
    definition: step,
    position,
    cache_key: verdict?.key ?? null,
    cache_verdict: verdict,
  }
}

async function insertSteps(tx: Tx, deps: PlanDeps, run: string, { rows, edges, taken }: Planned): Promise<void> {
  const claimed = await tx.db
    .selectFrom('pipeline_run')
    .select('state')
    .where('id', '=', run)
    .forUpdate()
    .executeTakeFirst()
  if (claimed?.state !== 'queued') return
  await pinBlobs(tx, deps.blobs, { owner: runOwner(run), digests: taken })
  const now = (deps.databaseClock ?? databaseClock)()
  const columns = sql.join(Object.keys(STEP_COLUMNS).map((column) => sql.id(column)))
  for (let start = 0; start < rows.length; start += INSERT_BATCH) {
    const given = givenRows('d', STEP_COLUMNS, rows.slice(start, start + INSERT_BATCH))
    await sql`insert into step (project, run, eligible_at, started_at, finished_at, ${columns})
      select ${tx.project}, ${run}, ${now}, d.at, d.at, ${columns} from (
        select *, case when state = 'cached' then ${now} end as at from ${given}) d`.execute(tx.db)
  }
  for (let start = 0; start < edges.length; start += INSERT_BATCH) {
    const given = givenRows('d', EDGE_COLUMNS, edges.slice(start, start + INSERT_BATCH))
    await sql`insert into edge (project, run, src, dst) select ${tx.project}, ${run}, src, dst from ${given}`.execute(
      tx.db,
    )
  }
  const hits = rows.flatMap((row) => (row.state === 'cached' && row.cache_key !== null ? [row.cache_key] : []))
  for (let start = 0; start < hits.length; start += INSERT_BATCH) {
    await tx.db
      .updateTable('cache_entry')
      .set((eb) => ({ hits: eb('hits', '+', 1), last_hit_at: databaseClock() }))
      .where('project', '=', tx.project)
      .where('key', 'in', hits.slice(start, start + INSERT_BATCH))
      .execute()
  }
  const open = rows.filter((row) => row.state !== 'cached').length
  const state = nextOfRun(open, 0, false)
  await tx.db
    .updateTable('pipeline_run')
    .set({
      state,
      reason: null, // of why it waited
      open,
      started_at: databaseClock(),
      ...(open === 0 ? { finished_at: databaseClock() } : {}),
    })
    .where('id', '=', run)
    .execute()
  const counts = { steps: rows.length, cached: rows.length - open }
  await tx.emit(
    open === 0
      ? { type: 'pipelines.run_finished', subject: run, data: { state: 'succeeded', ...counts } }
      : { type: 'pipelines.run_started', subject: run, data: { state: 'running', ...counts } },
  )
}
