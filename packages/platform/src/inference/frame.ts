import { PlimsollError } from '../kernel/errors.ts'
import {
  bytesOf,
  DATATYPES,
  ELEMENT_BYTES,
  elementCount,
  type Tensor,
  type TensorData,
  type TensorSpec,
  viewData,
} from './tensor.ts'

/**
 * Frames between a pool and its hosts, little-endian, every tensor's data on a multiple of 8 from the frame's start:
 * u32 total length · u32 request · u16 session · u8 operation · u8 0 · u32 microseconds of the run,
 * then JSON, or per tensor u8 datatype · u8 rank · u16 index · u32 data bytes · u32 dims…, the data, u32 number of tensors.
 */
export const OPERATIONS = { load: 1, unload: 2, run: 3, done: 4, failed: 5, hello: 6 } as const
export type Operation = (typeof OPERATIONS)[keyof typeof OPERATIONS]

export const HEADER_BYTES = 16
/**
 * A host's descriptors: frames come on one and answers leave on another, since whoever reads what a socket brought wakes
 * its writer, who would be waiting on it for the next frame.
 */
export const HOST_FDS = { frames: 3, answers: 4 } as const
export const FRAME_BYTES_MAX = 512 * 1024 * 1024
const RANK_MAX = 32
export const FRAME_TENSORS_MAX = 65_535

export interface FrameHeader {
  readonly request: number
  readonly session: number
  readonly operation: Operation
  /** Time of the run, in an answer. */
  readonly micros: number
}

/** One tensor to send; `chunks` are laid end to end, so a batch needs no concatenation before. */
export interface TensorPart {
  readonly datatype: Tensor['datatype']
  readonly index: number
  readonly shape: readonly number[]
  readonly chunks: readonly TensorData[]
}

const align = (offset: number) => (offset + 7) & ~7

function chunkBytes(chunk: TensorData): number {
  if (!Array.isArray(chunk)) return chunk.byteLength
  let total = 0
  for (const text of chunk) total += 4 + Buffer.byteLength(text)
  return total
}

function measure(parts: readonly TensorPart[]): { total: number; sizes: number[] } {
  let head = HEADER_BYTES
  for (const part of parts) head += 8 + part.shape.length * 4
  let total = head
  const sizes: number[] = []
  for (const part of parts) {
    let size = 0
    for (const chunk of part.chunks) size += chunkBytes(chunk)
    sizes.push(size)
    total = align(total) + size
  }
  return { total, sizes }
}

function writeHeader(frame: Buffer, header: FrameHeader): void {
  frame.writeUInt32LE(frame.length, 0)
  frame.writeUInt32LE(header.request, 4)
  frame.writeUInt16LE(header.session, 8)
  frame.writeUInt8(header.operation, 10)
  frame.writeUInt8(0, 11)
  frame.writeUInt32LE(Math.min(header.micros, 0xffff_ffff), 12)
}

/** @throws too_large inference.frame_too_large */
export function encodeTensorFrame(header: FrameHeader, parts: readonly TensorPart[]): Buffer {
  const { total, sizes } = measure(parts)
  const length = total + 4
  if (length > FRAME_BYTES_MAX) {
    throw new PlimsollError(
      'too_large',
      'inference.frame_too_large',
      `Cannot send ${length} bytes to a model host: at most ${FRAME_BYTES_MAX} are allowed`,
    )
  }
  const frame = Buffer.allocUnsafe(length)
  writeHeader(frame, header)
  frame.writeUInt32LE(parts.length, total)
  let head = HEADER_BYTES
  for (const [index, part] of parts.entries()) {
    frame.writeUInt8(DATATYPES.indexOf(part.datatype), head)
    frame.writeUInt8(part.shape.length, head + 1)
    frame.writeUInt16LE(part.index, head + 2)
    frame.writeUInt32LE(sizes[index] ?? 0, head + 4)
    head += 8
    for (const dim of part.shape) {
      frame.writeUInt32LE(dim, head)
      head += 4
    }
  }
  let offset = head
  for (const part of parts) {
    offset = align(offset)
    for (const chunk of part.chunks) offset = writeChunk(frame, chunk, offset)
  }
  return frame
}

function writeChunk(frame: Buffer, chunk: TensorData, start: number): number {
  let offset = start
  if (!Array.isArray(chunk)) {
    frame.set(bytesOf(chunk), offset)
    return offset + chunk.byteLength
  }
  for (const text of chunk) {
    const size = frame.write(text, offset + 4)
    frame.writeUInt32LE(size, offset)
    offset += 4 + size
  }
  return offset
}

export function encodeJsonFrame(header: FrameHeader, body: unknown): Buffer {
  const text = JSON.stringify(body)
  const size = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(HEADER_BYTES + size)
  writeHeader(frame, header)
  frame.write(text, HEADER_BYTES)
  return frame
}

export function readHeader(frame: Buffer): FrameHeader {
  return {
    request: frame.readUInt32LE(4),
    session: frame.readUInt16LE(8),
    operation: frame.readUInt8(10) as Operation, // unknown operations are refused by the reader's switch
    micros: frame.readUInt32LE(12),
  }
}

export function readJson(frame: Buffer): unknown {
  return JSON.parse(frame.toString('utf8', HEADER_BYTES))
}

const malformed = (why: string) =>
  new PlimsollError('internal', 'inference.frame_malformed', `Cannot read a frame: ${why}`)

/** The length that a frame declares, at least what has `arrived` of it. @throws internal inference.frame_malformed */
export function checkFrameLength(length: number, arrived = 0): number {
  if (length < HEADER_BYTES || length > FRAME_BYTES_MAX || length < arrived) throw malformed(`length ${length}`)
  return length
}

/** Tensors of a frame: views on its bytes where aligned. `specs` gives their names. */
export function decodeTensors(frame: Buffer, specs: readonly TensorSpec[]): Tensor[] {
  const count = frame.readUInt32LE(frame.length - 4)
  const end = frame.length - 4
  if (count > FRAME_TENSORS_MAX || HEADER_BYTES + count * 8 > end) throw malformed(`${count} tensors`)
  const heads: { spec: TensorSpec; datatype: Tensor['datatype']; shape: number[]; size: number }[] = []
  let head = HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const datatype = DATATYPES[frame.readUInt8(head)]
    const rank = frame.readUInt8(head + 1)
    const spec = specs[frame.readUInt16LE(head + 2)]
    const size = frame.readUInt32LE(head + 4)
    head += 8
    if (!datatype || !spec || rank > RANK_MAX || head + rank * 4 > end) throw malformed('a tensor head')
    const shape: number[] = []
    for (let dim = 0; dim < rank; dim++, head += 4) shape.push(frame.readUInt32LE(head))
    heads.push({ spec, datatype, shape, size })
  }
  let offset = head
  return heads.map(({ spec, datatype, shape, size }) => {
    offset = align(offset)
    const bytes = frame.subarray(offset, offset + size)
    const elements = elementCount(shape)
    const width = ELEMENT_BYTES[datatype]
    offset += size
    if (offset > end || elements === undefined || (width !== undefined && elements * width !== size))
      throw malformed('tensor sizes')
    const data = datatype === 'BYTES' ? readTexts(bytes, elements) : viewData(datatype, bytes)
    return { name: spec.name, datatype, shape, data }
  })
}

function readTexts(bytes: Buffer, count: number): string[] {
  if (count * 4 > bytes.length) throw malformed('too few texts')
  const texts: string[] = []
  let offset = 0
  for (let index = 0; index < count; index++) {
    const size = bytes.readUInt32LE(offset)
    texts.push(bytes.toString('utf8', offset + 4, offset + 4 + size))
    offset += 4 + size
  }
  if (offset !== bytes.length) throw malformed('text lengths')
  return texts
}

/** Cuts a byte stream into frames. A frame that arrives whole is not copied. */
export function openFrameReader(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let target: Buffer | undefined
  let filled = 0
  let head: Buffer = Buffer.alloc(0)
  return (chunk) => {
    let rest = chunk
    while (rest.length > 0) {
      if (target) {
        const taken = rest.copy(target, filled)
        filled += taken
        rest = rest.subarray(taken)
        if (filled < target.length) return
        const whole = target
        target = undefined
        onFrame(whole)
        continue
      }
      if (head.length > 0) {
        rest = Buffer.concat([head, rest])
        head = Buffer.alloc(0)
      }
      if (rest.length < 4) {
        head = rest
        return
      }
      const length = checkFrameLength(rest.readUInt32LE(0))
      if (rest.length >= length) {
        onFrame(rest.subarray(0, length))
        rest = rest.subarray(length)
      } else {
        target = Buffer.allocUnsafeSlow(length)
        filled = 0
      }
    }
  }
}
