export { type ContentCoding, chooseCoding, compressBody, expandBody } from './content-coding.ts'
export { BODY_BYTES_MAX, decodeInferRequest } from './infer-decode.ts'
export { type EncodedResponse, type EncodeInput, encodeInferResponse } from './infer-encode.ts'
export type { DecodeInput, InferRequest, RequestedOutput } from './infer-request.ts'
export { replaceNonFinite } from './json-scan.ts'
export { textFault } from './json-tensor.ts'
export { readModelFile } from './model-file.ts'
export {
  countRows,
  isMatrixOf,
  REQUEST_ROWS_MAX,
  rowBounds,
  rowsFault,
  shapeFits,
  validateAgainst,
} from './model-interface.ts'
export { inspectOnnx } from './onnx-inspect.ts'
export type { OnnxReport } from './onnx-report.ts'
export { openModelPool, POOL_DEFAULTS } from './pool.ts'
export type { ModelPoolOptions } from './pool-options.ts'
export type {
  HostStats,
  ModelPool,
  ModelState,
  ModelStats,
  PoolRequest,
  PoolResult,
  PoolStats,
} from './pool-stats.ts'
export {
  allocateData,
  bytesOf,
  DATATYPES,
  type Datatype,
  ELEMENT_BYTES,
  elementCount,
  halfBits,
  halvesOf,
  type ModelInterface,
  type Tensor,
  type TensorData,
  type TensorSpec,
  viewData,
} from './tensor.ts'
export { type StrippedModel, stripZipMap } from './zip-map.ts'
