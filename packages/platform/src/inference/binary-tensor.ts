import { TensorFault, textFault } from './json-tensor.ts'
import { type Datatype, ELEMENT_BYTES, type TensorData, viewData } from './tensor.ts'

/** Data of a tensor from its raw bytes; the size must be exactly that of `count` elements. @throws TensorFault */
export function readBinaryData(datatype: Datatype, bytes: Uint8Array, count: number): TensorData {
  const width = ELEMENT_BYTES[datatype]
  if (datatype === 'BYTES' || width === undefined) return readTexts(bytes, count)
  if (count * width !== bytes.length)
    throw new TensorFault(`has ${bytes.length} bytes, its shape needs ${count * width}`)
  const data = viewData(datatype, bytes)
  if (datatype === 'BOOL' && bytes.some((byte) => byte > 1))
    throw new TensorFault('holds a byte other than 0 and 1, BOOL takes no other')
  return data
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** One text from its bytes. @throws TensorFault that begins with `what` */
export function readText(bytes: Uint8Array, what: string): string {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    throw new TensorFault(`${what}is not UTF-8`)
  }
  const fault = textFault(text)
  if (fault !== undefined) throw new TensorFault(`${what}is a string ${fault}`)
  return text
}

function readTexts(bytes: Uint8Array, count: number): string[] {
  if (count * 4 > bytes.length) throw new TensorFault(`has ${bytes.length} bytes, too few for ${count} elements`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const texts: string[] = []
  let offset = 0
  for (let index = 0; index < count; index++) {
    if (offset + 4 > bytes.length) throw new TensorFault(`ends within the length of element ${index}`)
    const size = view.getUint32(offset, true)
    offset += 4
    if (offset + size > bytes.length) throw new TensorFault(`ends within element ${index}`)
    texts.push(readText(bytes.subarray(offset, offset + size), `element ${index} `))
    offset += size
  }
  if (offset !== bytes.length) throw new TensorFault(`has ${bytes.length - offset} bytes after its last element`)
  return texts
}

/** Texts as BYTES elements: u32 length, then UTF-8. */
export function encodeTexts(texts: readonly string[]): Buffer {
  let size = 0
  for (const text of texts) size += 4 + Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(size)
  let offset = 0
  for (const text of texts) {
    const length = bytes.write(text, offset + 4)
    bytes.writeUInt32LE(length, offset)
    offset += 4 + length
  }
  return bytes
}
