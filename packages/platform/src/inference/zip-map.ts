import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { type Digest, digestBytes } from '../kernel/digest.ts'
import { findZipMap, readModel, readNode } from './onnx-inspect.ts'
import { fieldsOf, refuseModel, textOf } from './onnx-wire.ts'

export interface StrippedModel {
  readonly bytes: Uint8Array
  /** Of the new bytes: what serves, and what approvals must bind. */
  readonly digest: Digest
  readonly parent: Digest
  /** The output that now is a tensor `[rows, classes]`. */
  readonly output: string
  /** Class labels in column order, for the passport. */
  readonly labels: readonly string[]
}

const FP32 = 1

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter()
  write(writer)
  return writer.finish()
}

const nested = (writer: BinaryWriter, no: number, bytes: Uint8Array) =>
  writer.tag(no, WireType.LengthDelimited).bytes(bytes)

function scoresInfo(name: string, classes: number): Uint8Array {
  const shape = message((writer) => {
    nested(
      writer,
      1,
      message((dim) => dim.tag(2, WireType.LengthDelimited).string('rows')),
    )
    nested(
      writer,
      1,
      message((dim) =>
        classes > 0
          ? dim.tag(1, WireType.Varint).int64(classes)
          : dim.tag(2, WireType.LengthDelimited).string('classes'),
      ),
    )
  })
  const tensor = message((writer) => {
    writer.tag(1, WireType.Varint).int32(FP32)
    nested(writer, 2, shape)
  })
  return message((writer) => {
    writer.tag(1, WireType.LengthDelimited).string(name)
    nested(
      writer,
      2,
      message((type) => nested(type, 1, tensor)),
    )
  })
}

/**
 * Takes a trailing ZipMap off a classifier: its input becomes the output. All other bytes stay as they are.
 * @throws invalid inference.onnx_malformed | inference.onnx_refused (also when there is no ZipMap)
 */
export function stripZipMap(bytes: Uint8Array): StrippedModel {
  const found = findZipMap(readModel(bytes).graph)
  if (!found) throw refuseModel('it has no trailing ZipMap')
  const { tensor, isTensorGiven } = found
  const stripGraph = (graph: Uint8Array) =>
    message((writer) => {
      for (const field of fieldsOf(graph)) {
        if (field.no === 1 && readNode(field.bytes).outputs.includes(found.output.name)) continue
        if (field.no !== 12 || nameOf(field.bytes) !== found.output.name) writer.raw(field.raw)
        else if (!isTensorGiven) nested(writer, 12, scoresInfo(tensor, found.labels.length))
      }
    })
  const stripped = message((writer) => {
    for (const field of fieldsOf(bytes)) {
      if (field.no === 7) nested(writer, 7, stripGraph(field.bytes))
      else writer.raw(field.raw)
    }
  })
  return {
    bytes: stripped,
    digest: digestBytes(stripped),
    parent: digestBytes(bytes),
    output: tensor,
    labels: found.labels,
  }
}

function nameOf(value: Uint8Array): string {
  for (const field of fieldsOf(value)) if (field.no === 1) return textOf(field.bytes)
  return ''
}
