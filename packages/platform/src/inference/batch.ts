import { PlimsollError } from '../kernel/errors.ts'
import { encodeTensorFrame, OPERATIONS, type TensorPart } from './frame.ts'
import type { Entry } from './request-queue.ts'
import type { ModelInterface, Tensor, TensorData } from './tensor.ts'

/** Positions of the outputs that any of the entries wants, ascending. */
function unionOutputs(entries: readonly Entry[]): readonly number[] {
  const first = entries[0]?.outputs ?? []
  if (entries.every((entry) => entry.outputs === first)) return first
  return [...new Set(entries.flatMap((entry) => entry.outputs))].sort((a, b) => a - b)
}

/** One frame for a batch: the inputs of all entries laid end to end along the first dimension. */
export function encodeBatch(batch: {
  request: number
  session: number
  model: ModelInterface
  entries: readonly Entry[]
}): Buffer {
  const { request, session, model, entries } = batch
  const outputs = unionOutputs(entries)
  const parts: TensorPart[] = [
    { datatype: 'UINT16', index: 0, shape: [outputs.length], chunks: [Uint16Array.from(outputs)] },
  ]
  let rows = 0
  for (const entry of entries) rows += entry.rows
  for (let index = 0; index < model.inputs.length; index++) {
    const first = entries[0]?.inputs[index]
    if (!first) continue
    const shape = entries.length === 1 ? first.shape : [rows, ...first.shape.slice(1)]
    const chunks = entries.map((entry) => entry.inputs[index]?.data ?? [])
    parts.push({ datatype: first.datatype, index: index + 1, shape, chunks })
  }
  return encodeTensorFrame({ request, session, operation: OPERATIONS.run, micros: 0 }, parts)
}

function sliceRows(data: TensorData, start: number, end: number): TensorData {
  return Array.isArray(data) ? data.slice(start, end) : data.subarray(start, end)
}

/**
 * The outputs of each entry, cut out of the batch's.
 * @throws internal inference.rows_lost when an output does not have the batch's number of rows
 */
export function splitBatch(model: ModelInterface, entries: readonly Entry[], outputs: readonly Tensor[]): Tensor[][] {
  const byName = new Map(outputs.map((output) => [output.name, output]))
  const pick = (entry: Entry) => entry.outputs.flatMap((index) => byName.get(model.outputs[index]?.name ?? '') ?? [])
  const only = entries[0]
  if (only && entries.length === 1) return [pick(only)]
  const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
  for (const output of outputs) {
    if (output.shape[0] !== rows) {
      throw new PlimsollError(
        'internal',
        'inference.rows_lost',
        `The model gave ${output.shape[0]} rows of "${output.name}" for ${rows}`,
      )
    }
  }
  let row = 0
  return entries.map((entry) => {
    const start = row
    row += entry.rows
    return pick(entry).map((output) => {
      const width = rows === 0 ? 0 : output.data.length / rows
      const shape = [entry.rows, ...output.shape.slice(1)]
      return { ...output, shape, data: sliceRows(output.data, start * width, row * width) }
    })
  })
}
