import { readFile, stat, writeFile } from 'node:fs/promises'
import { outputSpec } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { inspectOnnx, openModelPool, readModelFile, stripZipMap } from '../inference/index.ts'
import { canonicalJson } from '../kernel/canonical.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand, StepInputFiles } from '../kernel/step-kind.ts'

const NAME_CHARS_MAX = 250
export const columnNames = z.array(z.string().min(1).max(130)).min(1).max(10_000)

/**
 * Loads the model in a host of its own, as serving will, and probes it: the signature is what running showed. Leaves what
 * was run: the file as it is, or of a classifier with a trailing ZipMap the graph without it.
 */
export async function runRegisterCommand(step: StepCommand): Promise<void> {
  const model = modelIn(step.inputs['model'])
  const metrics = await metricsIn(step.inputs['metrics'])
  const { columns, labels, ...served } = await layOut(model, step.outputs['model']!)
  step.progress(0.1, 'loading the model in a host of its own')
  const pool = await openModelPool({ name: 'register', hosts: 1, log: step.log })
  try {
    const { inputs, maxBatchSize, ...found } = await pool.load(served)
    step.progress(0.9, 'the model has been run')
    const outputs = found.outputs.map((output) => ({ ...output, labels: labels.get(output.name) }))
    for (const { labels, shape } of outputs) if (labels) refuseMisfit(labels, shape.at(-1))
    await writeFile(step.outputs['signature']!, canonicalJson({ inputs, outputs, maxBatchSize, columns }))
    await writeFile(step.outputs['metrics']!, canonicalJson(metrics))
  } finally {
    await pool.close()
  }
}

/** @throws invalid registry.no_model_input */
function modelIn(input: StepInputFiles | undefined): StepInputFiles {
  if (input && input.type !== 'directory' && input.type !== 'dataset') return input
  throw new PlimsollError(
    'invalid',
    'registry.no_model_input',
    input
      ? `Cannot register: the input "model" is of type ${input.type}, expected an ONNX file`
      : 'Cannot register: the step has no input named "model"',
  )
}

/** Writes what shall serve to `path`. */
async function layOut(model: StepInputFiles, path: string) {
  const bytes = await readModelFile(model)
  const { metadata, zipMap } = inspectOnnx(bytes)
  const columns = columnsOf(metadata)
  const stripped = zipMap && stripZipMap(bytes)
  const labels = new Map(stripped && stripped.labels.length > 0 ? [[stripped.output, labelsOf(stripped.labels)]] : [])
  await writeFile(path, stripped?.bytes ?? bytes)
  return { path, digest: stripped?.digest ?? model.digest, columns, labels }
}

/** Classes are in the snapshot of what serves, which every gateway reads. */
const LABELS_CHARS_MAX = 1 << 16

function badLabels(why: string): PlimsollError {
  return new PlimsollError(
    'invalid',
    'registry.bad_labels',
    `Cannot register: a passport cannot take the classes that the model's ZipMap names: ${why}`,
    { action: "Export it without, of scikit-learn with options={'zipmap': False}" },
  )
}

/** @throws invalid registry.bad_labels */
function labelsOf(labels: readonly string[]): readonly string[] {
  const read = outputSpec.shape.labels.safeParse(labels)
  if (!read.success) throw badLabels(read.error.issues[0]!.message)
  const chars = labels.reduce((sum, label) => sum + label.length, 0)
  if (chars > LABELS_CHARS_MAX) throw badLabels(`they have ${chars} characters together, more than ${LABELS_CHARS_MAX}`)
  const twice = labels.find((label, index) => labels.indexOf(label) !== index)
  if (twice !== undefined) throw badLabels(`"${twice}" is there twice`)
  return labels
}

/** What running showed decides how many classes there are. @throws invalid registry.bad_labels */
function refuseMisfit(labels: readonly string[], columns: number | undefined): void {
  if (columns !== labels.length)
    throw badLabels(
      `there are ${labels.length}, and its tensor has ${columns === -1 ? 'another number of' : columns} columns`,
    )
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
function columnsOf(metadata: Readonly<Record<string, string>>): string[] | undefined {
  const stated = metadata['columns']
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
