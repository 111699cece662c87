import { outputSpec, tensorSpec } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import type { Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { StepKind, StepResult } from '../kernel/step-kind.ts'
import { requirePipelineVersion } from '../pipelines/index.ts'
import { requireTrackedRun } from '../tracking/index.ts'
import { provenanceOf } from './provenance.ts'
import { columnNames, runRegisterCommand } from './register-command.ts'
import { findModelVersion, registerModelVersion } from './version.ts'

const params = z.strictObject({ model: z.string().min(1).max(250), description: z.string().max(2_000).default('') })
const metricsJson = z.record(z.string(), z.number())
const interfaceJson = z.object({
  inputs: z.array(tensorSpec),
  outputs: z.array(outputSpec),
  maxBatchSize: z.int(),
  columns: columnNames.optional(),
})

/** Which step left the model: its code, data and environment are the passport's. */
async function producerOf(
  tx: Tx,
  result: StepResult,
): Promise<{ producer: string; trackedRun: string | null; inputSteps: Record<string, string> }> {
  const own = await tx.db
    .selectFrom('step')
    .select('definition')
    .where('run', '=', result.run)
    .where('key', '=', result.step)
    .executeTakeFirstOrThrow()
  const inputSteps = Object.fromEntries(
    Object.entries(own.definition.inputs).flatMap(([name, input]) =>
      input.from === 'step' ? [[name, input.step]] : [],
    ),
  )
  const producer = inputSteps['model'] ?? result.step
  const row = await tx.db
    .selectFrom('step')
    .select(['tracked_run', 'cache_verdict'])
    .where('run', '=', result.run)
    .where('key', '=', producer)
    .executeTakeFirstOrThrow()
  if (row.tracked_run !== null || !row.cache_verdict?.hit || row.cache_verdict.source === null)
    return { producer, trackedRun: row.tracked_run, inputSteps }
  const { run, step } = row.cache_verdict.source
  const source = await tx.db
    .selectFrom('step')
    .select('tracked_run')
    .where('run', '=', run)
    .where('key', '=', step)
    .executeTakeFirst()
  return { producer, trackedRun: source?.tracked_run ?? null, inputSteps }
}

async function metricsOf(tx: Tx, trackedRun: string | null): Promise<Record<string, number>> {
  if (trackedRun === null) return {}
  const { metrics } = await requireTrackedRun(tx, trackedRun)
  return Object.fromEntries(
    metrics
      .filter((metric) => !metric.is_nan && Number.isFinite(metric.value))
      .map((metric) => [metric.key, metric.value]),
  )
}

async function commit(tx: Tx, result: StepResult): Promise<Json> {
  const wanted = params.parse(result.spec)
  const model = result.inputs['model']!
  const served = result.outputs['model'] ?? model // an attempt of an earlier release left none
  const { producer, trackedRun } = await producerOf(tx, result)
  const run = await tx.db
    .selectFrom('pipeline_run')
    .select(['pipeline', 'pipeline_digest'])
    .where('id', '=', result.run)
    .executeTakeFirstOrThrow()
  const pipeline = await requirePipelineVersion(tx, run.pipeline_digest)
  const components = await tx.db
    .selectFrom('cache_entry')
    .innerJoin('step', 'step.cache_key', 'cache_entry.key')
    .select('cache_entry.components')
    .where('step.run', '=', result.run)
    .where('step.key', '=', producer)
    .executeTakeFirst()
  const env = components?.components['env']
  const provenance = await provenanceOf(
    tx,
    result.run,
    producer,
    env?.['python'] === undefined ? null : { version: env['python'], platform: env['platform'] ?? '' },
  )
  const registered = await registerModelVersion(tx, {
    model: wanted.model,
    description: wanted.description,
    source: `plimsoll:${result.run}/${producer}`,
    bound: {
      v: 1,
      artifact: { digest: served.digest, sizeBytes: served.sizeBytes, format: 'onnx' },
      ...provenance,
      signature: interfaceJson.parse(result.json['signature']),
      // what the step left has a digest; what it logged may be logged again
      metrics: { ...(await metricsOf(tx, trackedRun)), ...metricsJson.parse(result.json['metrics'] ?? {}) },
      origin: { pipeline: pipeline.name, pipelineDigest: pipeline.digest, run: result.run, step: producer, trackedRun },
      parents: served.digest === model.digest ? [] : [model.digest],
    },
  })
  return { model: registered.model, version: registered.version, passport: registered.passport }
}

const made = z.object({ model: z.string(), version: z.int(), passport: z.string() })

/** A version may be deleted, and its number given to no other. */
async function reuse(ctx: Context, result: Json): Promise<boolean> {
  const known = made.safeParse(result)
  if (!known.success) return false
  const version = await findModelVersion(ctx, known.data)
  return version?.passport === known.data.passport
}

/** Registers an ONNX file as a model version, with what the run knows of it in its passport. Its output `model` is what serves. */
export const stepKinds: readonly StepKind[] = [
  {
    kind: 'register',
    outputs: { signature: 'json', metrics: 'json', model: 'onnx' },
    params,
    cacheable: true,
    bindsProvenance: true,
    command: runRegisterCommand,
    commit,
    reuse,
  },
]
