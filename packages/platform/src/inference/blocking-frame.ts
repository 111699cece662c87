import { readSync, writeSync } from 'node:fs'
import { checkFrameLength } from './frame.ts'

const SCRATCH_BYTES = 65_536
const LENGTH_BYTES = 4

/**
 * Frames of a descriptor that blocks, one at a time: a frame is valid until the next is asked for. Undefined when the
 * other end has closed. At most one frame may be under way.
 * @throws internal inference.frame_malformed
 */
export function openBlockingReader(fd: number): () => Buffer | undefined {
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  const fill = (target: Buffer, from: number, until: number): number => {
    let filled = from
    while (filled < until) {
      const count = readSync(fd, target, filled, target.length - filled, null)
      if (count === 0) return 0
      filled += count
    }
    return filled
  }
  return () => {
    const filled = fill(scratch, 0, LENGTH_BYTES)
    if (filled === 0) return undefined
    const length = checkFrameLength(scratch.readUInt32LE(0), filled)
    if (length <= SCRATCH_BYTES) return fill(scratch, filled, length) === 0 ? undefined : scratch.subarray(0, length)
    const frame = Buffer.allocUnsafeSlow(length)
    scratch.copy(frame, 0, 0, filled)
    return fill(frame, filled, length) === 0 ? undefined : frame
  }
}

export function writeWhole(fd: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
}
