import { countText } from '../kernel/count-text.ts'
import { type Fault, refuseFaults } from '../kernel/errors.ts'
import { elementCount, type ModelInterface, type Tensor, type TensorSpec } from './tensor.ts'

/** Rows of one request, at most; a model whose batches are smaller runs them in pieces. */
export const REQUEST_ROWS_MAX = 10_000

interface Shapes {
  readonly inputs: readonly { readonly shape: readonly number[] }[]
}

/**
 * How many rows one request may have: exactly those of a fixed first dimension, else 1 to REQUEST_ROWS_MAX. Where the model
 * takes more than that at a time, the most is below the least: no request fits.
 */
export function rowBounds({ inputs }: Shapes): { min: number; max: number } {
  const fixed = inputs.map(({ shape }) => shape[0] ?? -1).find((first) => first > 0)
  return fixed === undefined
    ? { min: 1, max: REQUEST_ROWS_MAX }
    : { min: fixed, max: Math.min(fixed, REQUEST_ROWS_MAX) }
}

/** Why no request of rows fits a model, as what it does; undefined where one does. */
export function rowsFault(model: Shapes): string | undefined {
  const { min, max } = rowBounds(model)
  return min > max ? `takes ${min} rows at a time, and a request has at most ${max}` : undefined
}

/** True when every known dimension of `spec` equals that of `shape`. */
export function shapeFits(spec: readonly number[], shape: readonly number[]): boolean {
  if (spec.length !== shape.length) return false
  for (let index = 0; index < spec.length; index++) {
    const wanted = spec[index]
    if (wanted !== -1 && wanted !== shape[index]) return false
  }
  return true
}

/** True when one matrix input takes all of so many columns; otherwise each input takes the column of its name. */
export function isMatrixOf(inputs: readonly { readonly shape: readonly number[] }[], columns: number): boolean {
  const [only] = inputs
  if (inputs.length !== 1 || only?.shape.length !== 2) return false
  return only.shape[1] === columns || (only.shape[1] === -1 && columns > 0)
}

function tensorFaults(spec: TensorSpec, tensor: Tensor, pointer: string): Fault[] {
  if (tensor.datatype !== spec.datatype) {
    return [{ pointer, detail: `"${spec.name}" has datatype ${tensor.datatype}, the model has ${spec.datatype}` }]
  }
  if (!shapeFits(spec.shape, tensor.shape)) {
    return [
      { pointer, detail: `"${spec.name}" has shape [${tensor.shape}], the model has [${spec.shape}] (-1: any size)` },
    ]
  }
  const count = elementCount(tensor.shape)
  if (count !== tensor.data.length) {
    return [
      {
        pointer,
        detail: `"${spec.name}" has ${tensor.data.length} elements, its shape needs ${count ?? 'more than 2^53'}`,
      },
    ]
  }
  return []
}

function listFaults(specs: readonly TensorSpec[], tensors: readonly Tensor[], where: string): Fault[] {
  const faults: Fault[] = []
  const seen = new Set<string>()
  for (const [index, tensor] of tensors.entries()) {
    const pointer = `/${where}/${index}`
    const spec = specs.find((candidate) => candidate.name === tensor.name)
    if (!spec) faults.push({ pointer, detail: `"${tensor.name}" is not among the model's ${where}: ${names(specs)}` })
    else if (seen.has(tensor.name)) faults.push({ pointer, detail: `"${tensor.name}" is given twice` })
    else faults.push(...tensorFaults(spec, tensor, pointer))
    seen.add(tensor.name)
  }
  for (const spec of specs) {
    if (!seen.has(spec.name)) faults.push({ pointer: `/${where}`, detail: `"${spec.name}" is missing` })
  }
  return faults
}

export function names(specs: readonly TensorSpec[]): string {
  return specs.length > 20 ? `${specs.length} names` : specs.map((spec) => `"${spec.name}"`).join(', ')
}

/**
 * Rows that the inputs carry: their common first dimension when the model batches, else 1.
 * @throws invalid inference.rows_differ | inference.too_many_rows
 */
export function countRows(model: ModelInterface, inputs: readonly Tensor[]): number {
  if (model.maxBatchSize === 0) return 1
  const rows = inputs[0]?.shape[0] ?? 1
  const faults: Fault[] = []
  for (const [index, input] of inputs.entries()) {
    if (input.shape[0] !== rows) {
      faults.push({
        pointer: `/inputs/${index}/shape/0`,
        detail: `is ${input.shape[0]}, "${inputs[0]?.name}" has ${rows}`,
      })
    }
  }
  refuseFaults('inference.rows_differ', 'Cannot infer: the inputs have different numbers of rows', faults)
  const rowsMax = Math.max(REQUEST_ROWS_MAX, model.maxBatchSize)
  if (rows > rowsMax) {
    const detail = `${countText(rows, 'row')}, at most ${rowsMax} are allowed`
    refuseFaults('inference.too_many_rows', `Cannot infer: ${detail}`, [{ pointer: '/inputs/0/shape/0', detail }])
  }
  return rows
}

/**
 * Checks inputs (and outputs, when given) against an interface; all faults at once.
 * @returns the number of rows
 * @throws invalid inference.signature_mismatch | inference.rows_differ | inference.too_many_rows
 */
export function validateAgainst(model: ModelInterface, inputs: readonly Tensor[], outputs?: readonly Tensor[]): number {
  const faults = listFaults(model.inputs, inputs, 'inputs')
  if (outputs) faults.push(...listFaults(model.outputs, outputs, 'outputs'))
  refuseFaults('inference.signature_mismatch', 'Cannot infer: the tensors do not fit the model', faults)
  return countRows(model, inputs)
}
