import { PlimsollError } from '../kernel/errors.ts'
import { encodeTexts } from './binary-tensor.ts'
import type { InferRequest, RequestedOutput } from './infer-request.ts'
import { bytesOf, type Tensor } from './tensor.ts'

export interface EncodeInput {
  readonly modelName: string
  readonly modelVersion?: string
  /** As it was decoded: FP16 is asked for as binary data only. */
  readonly request: Pick<InferRequest, 'id' | 'outputs'>
  /** The model's: above 0 the first dimension of every output is the rows. */
  readonly maxBatchSize: number
  /** The run's outputs, in any order. */
  readonly outputs: readonly Tensor[]
  /** Class labels by output name, for the classification extension. */
  readonly labels?: ReadonlyMap<string, readonly string[]>
}

export interface EncodedResponse {
  readonly body: Buffer
  /** `application/json` exactly (some clients compare with ==), or `application/octet-stream`. */
  readonly contentType: 'application/json' | 'application/octet-stream'
  /** Value of `Inference-Header-Content-Length`; absent for plain JSON. */
  readonly headerLength?: number
}

/** Encodes the outputs that the request asked for, in its order. NaN is `null`; ±Inf is `null` and marked `nonfinite`. */
export function encodeInferResponse(input: EncodeInput): EncodedResponse {
  const { modelName, modelVersion, request, maxBatchSize, outputs, labels } = input
  const hasRows = maxBatchSize > 0
  const chunks: Uint8Array[] = []
  const state = { hasInfinity: false }
  const printed = request.outputs.map((wanted) => {
    const found = outputs.find((output) => output.name === wanted.name)
    if (!found)
      throw new PlimsollError('internal', 'inference.output_missing', `The model gave no output "${wanted.name}"`)
    const tensor =
      wanted.classification > 0 ? classify(found, hasRows, wanted.classification, labels?.get(found.name)) : found
    return printOutput(tensor, wanted, chunks, state)
  })
  const head = [
    `"model_name":${JSON.stringify(modelName)}`,
    ...(modelVersion === undefined ? [] : [`"model_version":${JSON.stringify(modelVersion)}`]),
    ...(request.id === undefined ? [] : [`"id":${JSON.stringify(request.id)}`]),
    ...(state.hasInfinity ? ['"parameters":{"nonfinite":true}'] : []),
  ]
  const json = Buffer.from(`{${head.join(',')},"outputs":[${printed.join(',')}]}`)
  if (!chunks.some((chunk) => chunk.length > 0)) return { body: json, contentType: 'application/json' }
  return { body: Buffer.concat([json, ...chunks]), contentType: 'application/octet-stream', headerLength: json.length }
}

function printOutput(
  tensor: Tensor,
  wanted: RequestedOutput,
  chunks: Uint8Array[],
  state: { hasInfinity: boolean },
): string {
  const head = `{"name":${JSON.stringify(tensor.name)},"datatype":"${tensor.datatype}","shape":[${tensor.shape.join(',')}]`
  const { data } = tensor
  if (wanted.isBinary) {
    const bytes = Array.isArray(data) ? encodeTexts(data) : bytesOf(data)
    chunks.push(bytes)
    return `${head},"parameters":{"binary_data_size":${bytes.length}}}`
  }
  return `${head},"data":[${printData(tensor, state)}]}`
}

function printData(tensor: Tensor, state: { hasInfinity: boolean }): string {
  const { data, datatype } = tensor
  if (Array.isArray(data)) return data.map((text) => JSON.stringify(text)).join(',')
  if (datatype === 'BOOL') return Array.from(data as Uint8Array, (value) => (value === 0 ? 'false' : 'true')).join(',')
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return data.join(',')
  for (const value of data) {
    if (!Number.isFinite(value)) return printWithGaps(data, state)
  }
  return data.join(',')
}

function printWithGaps(data: Float32Array | Float64Array, state: { hasInfinity: boolean }): string {
  return Array.from(data, (value) => {
    if (Number.isFinite(value)) return String(value)
    if (!Number.isNaN(value)) state.hasInfinity = true
    return 'null'
  }).join(',')
}

/** The `k` largest entries of each row as `value:index[:label]`; six decimals for floats, as Triton prints them. */
function classify(tensor: Tensor, hasRows: boolean, k: number, labels: readonly string[] | undefined): Tensor {
  const data = tensor.data as Exclude<Tensor['data'], string[]> // BYTES was refused when the request was read
  const rows = hasRows ? (tensor.shape[0] ?? 0) : 1
  const width = rows === 0 ? 0 : data.length / rows
  const count = Math.min(k, width)
  const texts: string[] = []
  for (let row = 0; row < rows; row++) {
    const at = (index: number) => data[row * width + index] ?? 0
    const order = Array.from({ length: width }, (_, index) => index).sort((a, b) =>
      at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : a - b,
    )
    for (const index of order.slice(0, count)) {
      const value = at(index)
      const printed =
        data instanceof Float32Array || data instanceof Float64Array ? Number(value).toFixed(6) : String(value)
      const label = labels?.[index]
      texts.push(label === undefined ? `${printed}:${index}` : `${printed}:${index}:${label}`)
    }
  }
  return { name: tensor.name, datatype: 'BYTES', shape: hasRows ? [rows, count] : [count], data: texts }
}
