import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { PlimsollError } from '../kernel/errors.ts'

export interface WireField {
  readonly no: number
  readonly type: WireType
  /** Payload of a length-delimited field; empty otherwise. */
  readonly bytes: Uint8Array
  /** Value of a varint field. */
  readonly value: bigint
  /** The field with its tag, to be copied as it is. */
  readonly raw: Uint8Array
}

export const refuseModel = (why: string, code = 'inference.onnx_refused', action?: string) =>
  new PlimsollError('invalid', code, `Cannot read the ONNX model: ${why}`, action === undefined ? {} : { action })

/** The fields of one protobuf message, in order. @throws invalid inference.onnx_malformed */
export function* fieldsOf(message: Uint8Array): Generator<WireField> {
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const start = reader.pos
    let no: number
    let type: WireType
    let bytes = message.subarray(0, 0)
    let value = 0n
    try {
      ;[no, type] = reader.tag()
      if (type === WireType.LengthDelimited) bytes = reader.bytes()
      else if (type === WireType.Varint) value = BigInt(reader.int64())
      else if (type === WireType.Bit32 || type === WireType.Bit64) reader.skip(type, no)
      else throw new RangeError('groups are not used by ONNX')
    } catch {
      throw refuseModel('it is not well-formed protobuf', 'inference.onnx_malformed')
    }
    yield { no, type, bytes, value, raw: message.subarray(start, reader.pos) }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const TEXT_BYTES_MAX = 64 * 1024

export function textOf(bytes: Uint8Array): string {
  if (bytes.length > TEXT_BYTES_MAX) throw refuseModel(`a name has ${bytes.length} bytes`)
  try {
    return decoder.decode(bytes)
  } catch {
    throw refuseModel('a name is not UTF-8', 'inference.onnx_malformed')
  }
}

/** Repeated int64, packed or not. */
export function integersOf(field: WireField): bigint[] {
  if (field.type === WireType.Varint) return [field.value]
  const reader = new BinaryReader(field.bytes)
  const values: bigint[] = []
  try {
    while (reader.pos < reader.len) values.push(BigInt(reader.int64()))
  } catch {
    throw refuseModel('it is not well-formed protobuf', 'inference.onnx_malformed')
  }
  return values
}
