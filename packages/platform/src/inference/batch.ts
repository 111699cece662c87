import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { encodeTensorFrame, OPERATIONS, type TensorPart } from './frame.ts'
import type { Entry } from './request-queue.ts'
import { allocateData, canBatch, type ModelInterface, type Tensor, type TensorData } from './tensor.ts'

/** Positions of the outputs that any of the entries wants, ascending. */
function unionOutputs(entries: readonly Entry[]): readonly number[] {
  const first = entries[0]?.outputs ?? []
  if (entries.every((entry) => entry.outputs === first)) return first
  return [...new Set(entries.flatMap((entry) => entry.outputs))].sort((a, b) => a - b)
}

function partsOf(model: ModelInterface, entries: readonly Entry[]): TensorPart[] {
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
  return parts
}

/**
 * One frame for several requests: one run with the inputs of all laid end to end along the first dimension, or, of a model
 * that takes one request a run, their runs one after the other.
 */
export function encodeBatch(batch: {
  request: number
  session: number
  model: ModelInterface
  entries: readonly Entry[]
}): Buffer {
  const { request, session, model, entries } = batch
  const parts = canBatch(model) ? partsOf(model, entries) : entries.flatMap((entry) => partsOf(model, [entry]))
  return encodeTensorFrame({ request, session, operation: OPERATIONS.run, micros: 0 }, parts)
}

/** Rows from `start` up to `end` of a tensor whose first dimension is the batch. Numbers are a view, not a copy. */
function rowsBetween(tensor: Tensor, start: number, end: number): Tensor {
  const { data, shape } = tensor
  const rows = shape[0] ?? 0
  const width = rows === 0 ? 0 : data.length / rows
  const [from, to] = [start * width, end * width]
  return {
    ...tensor,
    shape: [end - start, ...shape.slice(1)],
    data: Array.isArray(data) ? data.slice(from, to) : data.subarray(from, to),
  }
}

function rowsLost(output: Tensor, rows: number): PlimsollError {
  return new PlimsollError(
    'internal',
    'inference.rows_lost',
    `The model gave [${output.shape}] of "${output.name}" for ${countText(rows, 'row')}`,
  )
}

/**
 * The outputs of each entry, cut out of the batch's: of the first ones where a model that takes one request a run did not
 * run all.
 * @throws internal inference.rows_lost when an output does not have the batch's number of rows, or outputs are missing
 */
export function splitBatch(model: ModelInterface, entries: readonly Entry[], outputs: readonly Tensor[]): Tensor[][] {
  if (!canBatch(model)) return splitRuns(entries, outputs)
  const byName = new Map(outputs.map((output) => [output.name, output]))
  const pick = (entry: Entry) => entry.outputs.flatMap((index) => byName.get(model.outputs[index]?.name ?? '') ?? [])
  const only = entries[0]
  if (only && entries.length === 1) return [pick(only)]
  const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
  for (const output of outputs) if (output.shape[0] !== rows) throw rowsLost(output, rows)
  let row = 0
  return entries.map((entry) => {
    const start = row
    row += entry.rows
    return pick(entry).map((output) => rowsBetween(output, start, row))
  })
}

/** Outputs of runs one after the other: each gave what its entry asked for, in that order. The last may not have run. */
function splitRuns(entries: readonly Entry[], outputs: readonly Tensor[]): Tensor[][] {
  const split: Tensor[][] = []
  let end = 0
  for (const entry of entries) {
    if (end === outputs.length && split.length > 0) break
    split.push(outputs.slice(end, end + entry.outputs.length))
    end += entry.outputs.length
  }
  if (end !== outputs.length)
    throw new PlimsollError(
      'internal',
      'inference.rows_lost',
      `The model host gave ${countText(outputs.length, 'output')} for the ${end} that were asked for`,
    )
  return split
}

/** Inputs of one request, or a part of its rows. */
export interface Piece {
  readonly inputs: readonly Tensor[]
  readonly rows: number
}

/** A request cut into pieces of at most `rowsMax` rows, in order. */
export function cutRows({ inputs, rows }: Piece, rowsMax: number): Piece[] {
  return Array.from({ length: Math.ceil(rows / rowsMax) }, (_, index) => {
    const start = index * rowsMax
    const end = Math.min(rows, start + rowsMax)
    return { inputs: inputs.map((input) => rowsBetween(input, start, end)), rows: end - start }
  })
}

/**
 * The outputs of all pieces laid end to end along the first dimension.
 * @throws internal inference.rows_lost when an output does not have its piece's number of rows, or rows of another shape
 */
export function joinRows(pieces: readonly Piece[], outputs: readonly (readonly Tensor[])[]): Tensor[] {
  const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0)
  return (outputs[0] ?? []).map((first, position) => {
    const row = first.shape.slice(1)
    const parts = pieces.map((piece, index) => {
      const part = outputs[index]?.[position] ?? first
      if (String(part.shape) !== String([piece.rows, ...row])) throw rowsLost(part, piece.rows)
      return part.data
    })
    return { ...first, shape: [rows, ...row], data: joinData(first, parts) }
  })
}

function joinData({ datatype }: Tensor, parts: readonly TensorData[]): TensorData {
  const joined = allocateData(
    datatype,
    parts.reduce((sum, part) => sum + part.length, 0),
  )
  let offset = 0
  for (const part of parts) {
    if (Array.isArray(joined)) {
      for (let index = 0; index < part.length; index++) joined[offset + index] = part[index] as string // BYTES is text
    } else (joined as Uint8Array).set(part as Uint8Array, offset) // one datatype, so one kind of array
    offset += part.length
  }
  return joined
}
