import { ONNX_DATATYPES } from '@plimsoll/sdk/seams'
import { fieldsOf, refuseModel, textOf } from './onnx-wire.ts'
import type { Datatype } from './tensor.ts'

/** An input or output of a graph. */
export type Value =
  | { readonly kind: 'tensor'; readonly name: string; readonly datatype: Datatype; readonly shape: number[] }
  | { readonly kind: 'other'; readonly name: string; readonly what: string }

const WHAT = new Map([
  [4, 'a sequence'],
  [5, 'a map'],
  [8, 'a sparse tensor'],
  [9, 'an optional'],
])
const RANK_MAX = 32
const DIM_MAX = 2n ** 31n - 1n

/** Reads a ValueInfoProto; dimensions without a value are −1. */
export function readValue(bytes: Uint8Array): Value {
  let name = ''
  let type: Uint8Array | undefined
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) name = textOf(field.bytes)
    else if (field.no === 2) type = field.bytes
  }
  if (!type) return { kind: 'other', name, what: 'of no declared type' }
  for (const field of fieldsOf(type)) {
    if (field.no === 1) return readTensorType(name, field.bytes)
    const what = WHAT.get(field.no)
    if (what) return { kind: 'other', name, what }
  }
  return { kind: 'other', name, what: 'of no declared type' }
}

function readTensorType(name: string, bytes: Uint8Array): Value {
  let code = 0
  const shape: number[] = []
  for (const field of fieldsOf(bytes)) {
    if (field.no === 1) code = Number(field.value)
    else if (field.no === 2)
      for (const dim of fieldsOf(field.bytes)) if (dim.no === 1) shape.push(readDim(name, dim.bytes))
  }
  const datatype = ONNX_DATATYPES[code]
  if (!datatype) return { kind: 'other', name, what: `a tensor of the unsupported type ${code}` }
  if (shape.length > RANK_MAX)
    throw refuseModel(`"${name.slice(0, 128)}" has ${shape.length} dimensions, at most ${RANK_MAX}`)
  return { kind: 'tensor', name, datatype, shape }
}

/** Exporters write a dimension that varies as none, or as a negative one. */
function readDim(name: string, bytes: Uint8Array): number {
  for (const field of fieldsOf(bytes)) {
    if (field.no !== 1) continue
    const size = BigInt.asIntN(64, field.value)
    if (size > DIM_MAX) throw refuseModel(`"${name.slice(0, 128)}" has a dimension of ${size}, at most ${DIM_MAX}`)
    return size < 0n ? -1 : Number(size)
  }
  return -1
}
