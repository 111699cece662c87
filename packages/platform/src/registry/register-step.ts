import { readFile, stat, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { inspectOnnx, openModelPool } from '../inference/index.ts'
import { canonicalJson, type Json } from '../kernel/canonical.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand, StepInputFiles, StepKind, StepResult } from '../kernel/step-kind.ts'
import { requirePipelineVersion } from '../pipelines/index.ts'
import { requireTrackedRun } from '../tracking/index.ts'
import { provenanceOf } from './provenance.ts'
import { findModelVersion, registerModelVersion } from './version.ts'

const params = z.strictObject({ model: z.string().min(1).max(250), description: z.string().max(2_000).default('') })
const NAME_CHARS_MAX = 250
const columnNames = z.array(z.string().min(1).max(130)).min(1).max(10_000)
const metricsJson = z.record(z.string(), z.number())
const interfaceJson = z.object({
  inputs: z.array(z.strictObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })),
  outputs: z.array(z.strictObject({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) })),
  maxBatchSize: z.int(),
  columns: columnNames.optional(),
})

/** Loads the model in a host of its own, as serving will, and probes it: the signature is what running showed. */
async function command(step: StepCommand): Promise<void> {
  const model = step.inputs['model']
  if (!model)
    throw new PlimsollError(
      'invalid',
      'registry.no_model_input',
      'Cannot register: the step has no input named "model"',
    )
  const metrics = await metricsIn(step.inputs['metrics'])
  step.progress(0.1, 'loading the model in a host of its own')
  const pool = await openModelPool({ name: 'register', executors: 1, log: step.log })
  try {
    const found = await pool.load({ digest: model.digest, path: model.path })
    step.progress(0.9, 'the model has been run')
    const columns = columnsOf(await readFile(model.path))
    await writeFile(
      step.outputs['signature']!,
      canonicalJson({ inputs: found.inputs, outputs: found.outputs, maxBatchSize: found.maxBatchSize, columns }),
    )
    await writeFile(step.outputs['metrics']!, canonicalJson(metrics))
  } finally {
    await pool.close()
  }
}

const METRICS_MAX = 1_000
const METRICS_BYTES_MAX = 1 << 20

/**
 * The numbers of a JSON object, by their names: what else it holds is not a metric.
 * @throws invalid registry.bad_metrics
 */
async function metricsIn(input: StepInputFiles | undefined): Promise<Record<string, number>> {
  if (!input) return {}
  const refuse = (found: string) =>
    new PlimsollError(
      'invalid',
      'registry.bad_metrics',
      `Cannot register: the input "metrics" is ${found}, expected a JSON object of numbers by name`,
    )
  if (input.type !== 'json') throw refuse(`of type ${input.type}`)
  if ((await stat(input.path)).size > METRICS_BYTES_MAX) throw refuse(`larger than ${METRICS_BYTES_MAX} bytes`)
  const read = z.record(z.string(), z.unknown()).safeParse(JSON.parse(await readFile(input.path, 'utf8'))) // a json output parses
  if (!read.success) throw refuse('no object')
  const named = Object.entries(read.data).flatMap(([name, value]) => {
    return typeof value === 'number' && Number.isFinite(value) ? [[name, value] as const] : []
  })
  if (named.length > METRICS_MAX) throw refuse(`${named.length} numbers, more than ${METRICS_MAX}`)
  if (named.some(([name]) => name === '' || name.length > NAME_CHARS_MAX))
    throw refuse(`with an empty name or one of more than ${NAME_CHARS_MAX} characters`)
  return Object.fromEntries(named)
}

/**
 * Names of the input's columns in order, where the exporter wrote them into the file's metadata as `columns`, a JSON list
 * of texts. A model that states them can only be fed by name.
 * @throws invalid registry.bad_columns
 */
function columnsOf(bytes: Uint8Array): string[] | undefined {
  const stated = inspectOnnx(bytes).metadata['columns']
  if (stated === undefined) return undefined
  try {
    return columnNames.parse(JSON.parse(stated))
  } catch {
    throw new PlimsollError(
      'invalid',
      'registry.bad_columns',
      `Cannot register: the metadata "columns" of the model is "${stated.slice(0, 80)}", expected a JSON list of names`,
    )
  }
}

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
  if (row.tracked_run !== null || row.cache_verdict?.source == null)
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
      artifact: { digest: model.digest, sizeBytes: model.sizeBytes, format: 'onnx' },
      ...provenance,
      signature: interfaceJson.parse(result.json['signature']),
      // what the step left has a digest; what it logged may be logged again
      metrics: { ...(await metricsOf(tx, trackedRun)), ...metricsJson.parse(result.json['metrics'] ?? {}) },
      origin: { pipeline: pipeline.name, pipelineDigest: pipeline.digest, run: result.run, step: producer, trackedRun },
      parents: [],
    },
  })
  return { model: registered.model, version: registered.version, passport: registered.passport }
}

const made = z.object({ model: z.string(), version: z.int(), passport: z.string() })

/** A version may be deleted, and its number given to no other. */
async function isCurrent(ctx: Context, result: Json): Promise<boolean> {
  const known = made.safeParse(result)
  if (!known.success) return false
  const version = await findModelVersion(ctx, known.data)
  return version?.passport === known.data.passport
}

/** Registers an ONNX file as a model version, with what the run knows of it in its passport. */
export const stepKinds: readonly StepKind[] = [
  {
    kind: 'register',
    outputs: { signature: 'json', metrics: 'json' },
    cacheable: true,
    bindsProvenance: true,
    command,
    commit,
    isCurrent,
  },
]
