import { readFile, stat, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import { inspectOnnx, openModelPool } from '../inference/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand, StepInputFiles } from '../kernel/step-kind.ts'

const NAME_CHARS_MAX = 250
export const columnNames = z.array(z.string().min(1).max(130)).min(1).max(10_000)

/** Loads the model in a host of its own, as serving will, and probes it: the signature is what running showed. */
export async function runRegisterCommand(step: StepCommand): Promise<void> {
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
