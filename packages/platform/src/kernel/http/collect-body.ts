import type { Readable } from 'node:stream'
import { isPlimsollError, PlimsollError } from '../errors.ts'

const FIRST_BYTES = 16_384

/**
 * Bytes that grow. Chunks are copied together as they come: kept one by one, a body of chunks of one byte takes 500 times
 * its size.
 */
export function openBytes() {
  let bytes: Uint8Array = new Uint8Array(0)
  let size = 0
  return {
    append(chunk: Uint8Array): void {
      const end = size + chunk.length
      // Most bodies are one chunk, which is kept as it came.
      if (size === 0) bytes = chunk
      else {
        if (end > bytes.length) {
          const larger = new Uint8Array(Math.max(FIRST_BYTES, 2 * bytes.length, end))
          larger.set(bytes.subarray(0, size))
          bytes = larger
        }
        bytes.set(chunk, size)
      }
      size = end
    },
    taken: (): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, size),
    size: () => size,
  }
}

/** What to throw for a body that has no good end. */
export interface BodyFaults {
  tooLarge(): Error
  /** The connection closed, or the unpacking failed. */
  cut(cause: unknown): Error
}

/** For a body that fails as it is read: what its reader threw stands, all else is a client that left. */
export function bodyCut(cause: unknown): PlimsollError {
  return isPlimsollError(cause)
    ? cause
    : new PlimsollError('invalid', 'http.body_cut', 'Cannot read the body: it ended early', {}, cause)
}

/** A whole body of at most `limitBytes`. */
export function collectBody(stream: Readable, limitBytes: number, faults: BodyFaults): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const bytes = openBytes()
    const append = (chunk: Buffer) => {
      if (bytes.size() + chunk.length <= limitBytes) {
        bytes.append(chunk)
        return
      }
      stream.off('data', append)
      stream.resume()
      reject(faults.tooLarge())
    }
    let hasEnded = false // every stream closes after its end: an error made then would be for nobody, and is dear
    stream.on('data', append)
    stream.once('end', () => {
      hasEnded = true
      resolve(bytes.taken())
    })
    stream.once('error', (error) => reject(faults.cut(error)))
    stream.once('close', () => {
      if (!hasEnded) reject(faults.cut(undefined))
    })
  })
}
