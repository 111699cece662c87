import type { RuntimeDatatype } from './model-runtime.ts'

/**
 * Datatypes by their number in the ONNX format (TensorProto.DataType); undefined where the protocol has none, or none that
 * is served (complex, bfloat16, 8- and 4-bit floats).
 * @source onnx.proto3
 */
export const ONNX_DATATYPES: readonly (RuntimeDatatype | undefined)[] = [
  undefined,
  'FP32',
  'UINT8',
  'INT8',
  'UINT16',
  'INT16',
  'INT32',
  'INT64',
  'BYTES',
  'BOOL',
  'FP16',
  'FP64',
  'UINT32',
  'UINT64',
]
