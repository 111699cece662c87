import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import { readBinaryData, readText } from './binary-tensor.ts'
import type { DecodeInput, InferRequest, RequestedOutput } from './infer-request.ts'
import { parseInferJson } from './json-scan.ts'
import { convertData, flattenData, shown, TensorFault } from './json-tensor.ts'
import { countRows, names, shapeFits } from './model-interface.ts'
import { elementCount, type ModelInterface, type Tensor, type TensorSpec } from './tensor.ts'

export const BODY_BYTES_MAX = 64 * 1024 * 1024
const ID_LENGTH_MAX = 1024
const PARAMETERS_MAX = 64
const UNSUPPORTED = ['shared_memory_region', 'sequence_id', 'sequence_start', 'sequence_end'] as const

type Members = Record<string, unknown>

const isMembers = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const invalid = (detail: string, pointer = '') =>
  new PlimsollError('invalid', 'inference.request_invalid', `Cannot read the inference request: ${detail}`, {
    faults: [{ pointer, detail }],
  })

/**
 * Decodes and validates an Open Inference Protocol v2 request: JSON, JSON with binary tensors, or the raw bytes of one tensor.
 * Nothing is allocated before its size is checked.
 *
 * @throws invalid inference.request_invalid | inference.json_malformed | inference.json_too_deep | inference.rows_differ | inference.too_many_rows | inference.fp16_needs_binary
 * @throws unsupported inference.feature_unsupported for shared memory and sequences
 * @throws too_large inference.body_too_large
 */
export function decodeInferRequest({ model, body, headerLength }: DecodeInput): InferRequest {
  if (body.length > BODY_BYTES_MAX) {
    throw new PlimsollError(
      'too_large',
      'inference.body_too_large',
      `Cannot read the inference request: ${body.length} bytes, at most ${BODY_BYTES_MAX}`,
    )
  }
  const jsonBytes = readHeaderLength(headerLength, body.length)
  if (jsonBytes === 0 && headerLength !== undefined) return decodeRaw(model, body)
  const isExact = model.inputs.some((spec) => spec.datatype === 'INT64' || spec.datatype === 'UINT64')
  const parsed = parseInferJson(body.subarray(0, jsonBytes), isExact)
  if (!isMembers(parsed)) throw invalid('the body is not a JSON object')
  const parameters = readParameters(parsed.parameters, '/parameters')
  refuseUnsupported(parameters)
  const id = readId(parsed.id)
  const inputs = readInputs(model, parsed.inputs, body.subarray(jsonBytes))
  const outputs = readOutputs(model, parsed.outputs, parameters.binary_data_output === true)
  refuseTextHalves(model, outputs)
  const timeoutUs = readTimeout(parameters.timeout)
  const priority = parameters.priority
  return {
    ...(id === undefined ? {} : { id }),
    inputs,
    outputs,
    rows: countRows(model, inputs),
    ...(timeoutUs === undefined ? {} : { timeoutUs }),
    priority: typeof priority === 'number' && Number.isInteger(priority) && priority > 0 ? priority : 0,
    parameters,
  }
}

function readHeaderLength(text: string | undefined, bodyLength: number): number {
  if (text === undefined) return bodyLength
  const length = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(length <= bodyLength)) {
    throw invalid(`Inference-Header-Content-Length is "${text.slice(0, 40)}", the body has ${bodyLength} bytes`)
  }
  return length
}

function decodeRaw(model: ModelInterface, body: Uint8Array): InferRequest {
  const spec = model.inputs[0]
  if (!spec || model.inputs.length !== 1)
    throw invalid(`a raw request needs a model with one input, this one has ${model.inputs.length}`)
  const shape = spec.shape.map((dim, axis) => (axis === 0 && model.maxBatchSize > 0 ? 1 : dim))
  try {
    const data = spec.datatype === 'BYTES' ? [readText(body, '')] : readRawData(spec, shape, body)
    const dims = spec.datatype === 'BYTES' ? shape.map(() => 1) : shape
    if (!shapeFits(spec.shape, dims))
      throw new TensorFault(`a raw request carries one element, the shape is [${spec.shape}]`)
    const inputs: Tensor[] = [{ name: spec.name, datatype: spec.datatype, shape: dims, data }]
    const outputs = model.outputs.map(({ name }) => ({ name, isBinary: true, classification: 0 }))
    return { inputs, outputs, rows: 1, priority: 0, parameters: {} }
  } catch (thrown) {
    throw thrown instanceof TensorFault ? invalid(`input "${spec.name}" ${thrown.message}`) : thrown
  }
}

/** Resolves the one varying dimension of `shape` (in place) from the number of bytes. */
function readRawData(spec: TensorSpec, shape: number[], body: Uint8Array): Tensor['data'] {
  const free = shape.flatMap((dim, axis) => (dim === -1 ? [axis] : []))
  const [axis] = free
  if (free.length > 1) throw new TensorFault(`has ${free.length} varying dimensions, a raw request allows one`)
  if (axis !== undefined) {
    shape[axis] = 1
    const unit = (elementCount(shape) ?? 0) * (readWidth(spec) ?? 1)
    if (unit > 0) shape[axis] = Math.floor(body.length / unit)
  }
  return readBinaryData(spec.datatype, body, elementCount(shape) ?? Number.POSITIVE_INFINITY)
}

function readWidth(spec: TensorSpec): number | undefined {
  const widths: Record<string, number> = {
    BOOL: 1,
    UINT8: 1,
    INT8: 1,
    UINT16: 2,
    INT16: 2,
    FP16: 2,
    UINT32: 4,
    INT32: 4,
    FP32: 4,
  }
  return widths[spec.datatype] ?? 8
}

function readId(id: unknown): string | undefined {
  if (id === undefined || id === null) return undefined
  if (typeof id !== 'string' || id.length > ID_LENGTH_MAX || !id.isWellFormed()) {
    throw invalid(`id is not a string of at most ${ID_LENGTH_MAX} characters`, '/id')
  }
  return id
}

function readParameters(value: unknown, pointer: string): Record<string, string | number | boolean> {
  if (value === undefined || value === null) return {}
  if (!isMembers(value)) throw invalid('parameters is not an object', pointer)
  const keys = Object.keys(value)
  if (keys.length > PARAMETERS_MAX) throw invalid(`${keys.length} parameters, at most ${PARAMETERS_MAX}`, pointer)
  const read: Record<string, string | number | boolean> = Object.create(null)
  for (const key of keys) {
    const given = value[key]
    if (typeof given === 'string' || typeof given === 'number' || typeof given === 'boolean') read[key] = given
    else if (typeof given === 'bigint') read[key] = Number(given)
    else throw invalid(`parameter "${key.slice(0, 60)}" is not a string, a number or a boolean`, pointer)
  }
  return read
}

function refuseUnsupported(parameters: Members): void {
  for (const key of UNSUPPORTED) {
    if (key in parameters)
      throw new PlimsollError('unsupported', 'inference.feature_unsupported', `Cannot infer: "${key}" is not supported`)
  }
}

function readTimeout(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const timeout = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof timeout !== 'number' || !Number.isInteger(timeout) || timeout < 0) {
    throw invalid('timeout is not a whole number of microseconds', '/parameters/timeout')
  }
  return timeout === 0 ? undefined : timeout
}

function readInputs(model: ModelInterface, value: unknown, binary: Uint8Array): Tensor[] {
  if (!Array.isArray(value)) throw invalid('inputs is not a list', '/inputs')
  if (value.length > model.inputs.length + 16)
    throw invalid(`${value.length} inputs, the model takes ${model.inputs.length}: ${names(model.inputs)}`, '/inputs')
  const faults: Fault[] = []
  const found = new Map<string, Tensor>()
  let offset = 0
  for (const [index, given] of value.entries()) {
    const pointer = `/inputs/${index}`
    try {
      const { tensor, used } = readInput(model, given, binary.subarray(offset))
      offset += used
      if (found.has(tensor.name)) throw new TensorFault('is given twice')
      found.set(tensor.name, tensor)
    } catch (thrown) {
      if (!(thrown instanceof TensorFault)) throw thrown
      const name = isMembers(given) && typeof given.name === 'string' ? `"${given.name.slice(0, 128)}" ` : ''
      faults.push({ pointer, detail: `input ${name}${thrown.message}` })
    }
  }
  if (faults.length === 0) {
    for (const spec of model.inputs)
      if (!found.has(spec.name)) faults.push({ pointer: '/inputs', detail: `input "${spec.name}" is missing` })
    if (offset !== binary.length)
      faults.push({ pointer: '', detail: `unexpected additional input data: ${binary.length - offset} bytes` })
  }
  refuseFaults('inference.request_invalid', `Cannot read the inference request: ${faults[0]?.detail ?? ''}`, faults)
  return model.inputs.flatMap((spec) => found.get(spec.name) ?? [])
}

function readInput(model: ModelInterface, given: unknown, binary: Uint8Array): { tensor: Tensor; used: number } {
  if (!isMembers(given)) throw new TensorFault('is not an object')
  const spec = model.inputs.find((candidate) => candidate.name === given.name)
  if (!spec) throw new TensorFault(`is not among the model's inputs: ${names(model.inputs)}`)
  if (given.datatype !== spec.datatype)
    throw new TensorFault(`has datatype ${shown(given.datatype).slice(0, 40)}, the model has ${spec.datatype}`)
  const shape = given.shape
  if (!Array.isArray(shape) || shape.length > 32) throw new TensorFault('has no shape')
  const count = elementCount(shape)
  if (count === undefined)
    throw new TensorFault(
      `has shape [${shape.slice(0, 8).map(String)}], dimensions are whole numbers ≥ 0 with a product below 2^53`,
    )
  if (!shapeFits(spec.shape, shape))
    throw new TensorFault(`has shape [${shape}], the model has [${spec.shape}] (-1: any size)`)
  const parameters = readParameters(given.parameters, '/inputs')
  refuseUnsupported(parameters)
  const size = parameters.binary_data_size
  const { name, datatype } = spec
  if ((size === undefined) === (given.data === undefined))
    throw new TensorFault('needs exactly one of data and parameters.binary_data_size')
  if (size === undefined)
    return {
      tensor: { name, datatype, shape, data: convertData(datatype, flattenData(given.data, shape, count)) },
      used: 0,
    }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new TensorFault(`has binary_data_size ${JSON.stringify(size)?.slice(0, 80)}, it is a whole number ≥ 0`)
  if (size > binary.length) throw new TensorFault(`has binary_data_size ${size}, ${binary.length} bytes are left`)
  return {
    tensor: { name, datatype, shape, data: readBinaryData(datatype, binary.subarray(0, size), count) },
    used: size,
  }
}

/** Before the run, which is for nothing when its answer cannot be written. */
function refuseTextHalves(model: ModelInterface, outputs: readonly RequestedOutput[]): void {
  for (const { name, isBinary } of outputs) {
    if (isBinary || model.outputs.find((spec) => spec.name === name)?.datatype !== 'FP16') continue
    throw new PlimsollError(
      'invalid',
      'inference.fp16_needs_binary',
      `Cannot answer: output "${name}" is FP16, ask for it as binary data`,
    )
  }
}

function readOutputs(model: ModelInterface, value: unknown, isBinaryDefault: boolean): RequestedOutput[] {
  const all = () => model.outputs.map(({ name }) => ({ name, isBinary: isBinaryDefault, classification: 0 }))
  if (value === undefined || value === null) return all()
  if (!Array.isArray(value)) throw invalid('outputs is not a list', '/outputs')
  if (value.length === 0) return all()
  if (value.length > model.outputs.length)
    throw invalid(`${value.length} outputs, the model has ${model.outputs.length}: ${names(model.outputs)}`, '/outputs')
  const faults: Fault[] = []
  const seen = new Set<string>()
  const outputs = value.map((given, index): RequestedOutput => {
    const pointer = `/outputs/${index}`
    const name = isMembers(given) && typeof given.name === 'string' ? given.name : ''
    const spec = model.outputs.find((candidate) => candidate.name === name)
    if (!spec)
      faults.push({
        pointer,
        detail: `output "${name.slice(0, 128)}" is not among the model's: ${names(model.outputs)}`,
      })
    else if (seen.has(name)) faults.push({ pointer, detail: `output "${name}" is given twice` })
    seen.add(name)
    const parameters = isMembers(given) ? readParameters(given.parameters, `${pointer}/parameters`) : {}
    refuseUnsupported(parameters)
    const classification = parameters.classification ?? 0
    if (typeof classification !== 'number' || !Number.isInteger(classification) || classification < 0) {
      faults.push({ pointer, detail: `output "${name.slice(0, 128)}" has a classification that is not a whole number` })
    } else if (classification > 0 && spec && ['BYTES', 'FP16', 'BOOL'].includes(spec.datatype)) {
      faults.push({ pointer, detail: `output "${name}" of datatype ${spec.datatype} cannot be classified` })
    }
    const binary = parameters.binary_data
    return {
      name,
      isBinary: typeof binary === 'boolean' ? binary : isBinaryDefault,
      classification: Number(classification),
    }
  })
  refuseFaults('inference.request_invalid', `Cannot read the inference request: ${faults[0]?.detail ?? ''}`, faults)
  return outputs
}
