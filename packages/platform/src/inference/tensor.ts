/** Datatypes of the Open Inference Protocol that a local model host can carry. BF16 is refused: the runtime cannot load it. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const

export type Datatype = (typeof DATATYPES)[number]

/** Name, datatype and shape of one input or output; −1 marks a dimension that varies. */
export interface TensorSpec {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
}

/** Row-major elements. BOOL is bytes of 0 and 1, FP16 is the raw 16 bits, BYTES is text. */
export type TensorData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | string[]

export interface Tensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly data: TensorData
}

/**
 * What a model takes and gives. With `maxBatchSize` above 0 the first dimension of every input and output is the batch,
 * a run takes at most that many rows, and rows do not influence each other (shown by probing). 0: never batched.
 */
export interface ModelInterface {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  readonly maxBatchSize: number
}

/** Whether requests may share a run. */
export const canBatch = (model: Pick<ModelInterface, 'maxBatchSize'>): boolean => model.maxBatchSize > 0

/** Bytes per element; undefined for BYTES, whose elements vary. */
export const ELEMENT_BYTES: Readonly<Record<Datatype, number | undefined>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
}

type NumericData = Exclude<TensorData, string[]>

/** A zeroed array of `length` elements; text for BYTES is an array of empty strings. */
export function allocateData(datatype: Datatype, length: number): TensorData {
  switch (datatype) {
    case 'BOOL':
    case 'UINT8':
      return new Uint8Array(length)
    case 'UINT16':
    case 'FP16':
      return new Uint16Array(length)
    case 'UINT32':
      return new Uint32Array(length)
    case 'UINT64':
      return new BigUint64Array(length)
    case 'INT8':
      return new Int8Array(length)
    case 'INT16':
      return new Int16Array(length)
    case 'INT32':
      return new Int32Array(length)
    case 'INT64':
      return new BigInt64Array(length)
    case 'FP32':
      return new Float32Array(length)
    case 'FP64':
      return new Float64Array(length)
    case 'BYTES':
      return new Array<string>(length).fill('')
  }
}

/**
 * Number of elements of a shape; 1 for a scalar, 0 when a dimension is 0.
 * @returns undefined when a dimension is no integer ≥ 0, or the product passes 2^53
 */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1
  let isEmpty = false
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) return undefined
    if (dim === 0) isEmpty = true
    else {
      count *= dim
      if (count > Number.MAX_SAFE_INTEGER) return undefined
    }
  }
  return isEmpty ? 0 : count
}

/** The raw bits of a number in half precision. */
export function halfBits(value: number): number {
  return new Uint16Array(Float16Array.of(value).buffer)[0]! // one half is 16 bits
}

/** The numbers of FP16 data, without a copy. */
export function halvesOf(bits: Uint16Array): Float16Array {
  return new Float16Array(bits.buffer, bits.byteOffset, bits.length)
}

/** The bytes of a numeric tensor's data, without a copy. */
export function bytesOf(data: NumericData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** Numeric data over `bytes`: a view when they are aligned, else one copy. `bytes.length` must be a whole number of elements. */
export function viewData(datatype: Exclude<Datatype, 'BYTES'>, bytes: Uint8Array): NumericData {
  const width = ELEMENT_BYTES[datatype] ?? 1
  const source = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  const { buffer, byteOffset } = source
  const length = source.byteLength / width
  switch (datatype) {
    case 'BOOL':
    case 'UINT8':
      return new Uint8Array(buffer, byteOffset, length)
    case 'UINT16':
    case 'FP16':
      return new Uint16Array(buffer, byteOffset, length)
    case 'UINT32':
      return new Uint32Array(buffer, byteOffset, length)
    case 'UINT64':
      return new BigUint64Array(buffer, byteOffset, length)
    case 'INT8':
      return new Int8Array(buffer, byteOffset, length)
    case 'INT16':
      return new Int16Array(buffer, byteOffset, length)
    case 'INT32':
      return new Int32Array(buffer, byteOffset, length)
    case 'INT64':
      return new BigInt64Array(buffer, byteOffset, length)
    case 'FP32':
      return new Float32Array(buffer, byteOffset, length)
    case 'FP64':
      return new Float64Array(buffer, byteOffset, length)
  }
}
