import { crc32 } from 'node:zlib'

export const FRAME_BYTES_MAX = 1 << 20
export const HEADER_BYTES = 8

/** Frame: u32 length, u32 CRC-32 of the payload, payload; little-endian. */
export function frame(payload: Uint8Array | string): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
  const framed = Buffer.allocUnsafe(HEADER_BYTES + length)
  if (typeof payload === 'string') framed.write(payload, HEADER_BYTES)
  else framed.set(payload, HEADER_BYTES)
  framed.writeUInt32LE(length, 0)
  framed.writeUInt32LE(crc32(framed.subarray(HEADER_BYTES)), 4)
  return framed
}

/** The payload of the whole frame that begins at `offset`, if there is one. */
function payloadAt(buffer: Buffer, offset: number): Buffer | undefined {
  if (offset + HEADER_BYTES > buffer.length) return undefined
  const length = buffer.readUInt32LE(offset)
  const end = offset + HEADER_BYTES + length
  if (length > FRAME_BYTES_MAX || end > buffer.length) return undefined
  const payload = buffer.subarray(offset + HEADER_BYTES, end)
  return crc32(payload) === buffer.readUInt32LE(offset + 4) ? payload : undefined
}

const bufferOf = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Payloads of all whole frames, and the length up to which the bytes are whole. A torn or damaged frame ends the reading. */
export function readFrames(bytes: Uint8Array): { payloads: Buffer[]; wholeBytes: number } {
  const buffer = bufferOf(bytes)
  const payloads: Buffer[] = []
  let offset = 0
  for (;;) {
    const payload = payloadAt(buffer, offset)
    if (payload === undefined) return { payloads, wholeBytes: offset }
    payloads.push(payload)
    offset += HEADER_BYTES + payload.length
  }
}

export interface Salvaged {
  readonly payloads: readonly Buffer[]
  /** Bytes that are no whole frame, without those of a torn end, and in how many places: each held a record or more. */
  readonly damagedBytes: number
  readonly damagedPlaces: number
  /** Bytes of a last frame that was not written to its end. */
  readonly tornBytes: number
}

/**
 * Every frame with a record that is whole, also behind damage. The next one after damage is found by its check sum: no
 * record, being JSON text, holds the zero byte that ends each length.
 */
export function salvageFrames(bytes: Uint8Array): Salvaged {
  const buffer = bufferOf(bytes)
  const payloads: Buffer[] = []
  let damagedBytes = 0
  let damagedPlaces = 0
  for (let offset = 0; offset < buffer.length; ) {
    let at = offset
    let payload: Buffer | undefined
    for (; at < buffer.length; at++) {
      payload = payloadAt(buffer, at)
      if (payload !== undefined && payload.length > 0) break // zeros are a frame of nothing
    }
    if (at === buffer.length && isTorn(buffer, offset))
      return { payloads, damagedBytes, damagedPlaces, tornBytes: at - offset }
    if (at > offset) {
      damagedBytes += at - offset
      damagedPlaces++
    }
    if (payload !== undefined && at < buffer.length) payloads.push(payload)
    offset = at + HEADER_BYTES + (payload?.length ?? 0)
  }
  return { payloads, damagedBytes, damagedPlaces, tornBytes: 0 }
}

/** Whether the bytes end within the frame that begins at `offset`. */
function isTorn(buffer: Buffer, offset: number): boolean {
  if (offset + HEADER_BYTES > buffer.length) return true
  const length = buffer.readUInt32LE(offset)
  return length <= FRAME_BYTES_MAX && offset + HEADER_BYTES + length > buffer.length
}
