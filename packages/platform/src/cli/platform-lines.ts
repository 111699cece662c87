import { readLogLine } from '@plimsoll/sdk/wire'

/** How a line that the platform wrote begins, and no longer than this is waited for its end. */
const BEGIN = Buffer.from('{"level":')
const HELD_BYTES_MAX = 1 << 16
const LINE_END = 10

/** What a log goes through piece by piece, as people read it. */
export interface LogFilter {
  push(piece: Uint8Array): Buffer
  /** What is left of a line without an end. */
  end(): Buffer
}

function isBegun(line: Buffer): boolean {
  const length = Math.min(line.length, BEGIN.length)
  return line.length <= HELD_BYTES_MAX && line.subarray(0, length).equals(BEGIN.subarray(0, length))
}

function readable(line: Buffer): Buffer {
  const own = isBegun(line) ? readLogLine(line.toString('utf8')) : undefined
  if (own === undefined) return line
  return Buffer.from(`${own.at === undefined ? '' : `${own.at} `}${own.level ? `${own.level}: ` : ''}${own.text}`)
}

/** Lines that the platform wrote in words, what the step wrote byte by byte. */
export function openPlatformLines(): LogFilter {
  let held = Buffer.alloc(0)
  let isInLine = false
  return {
    push(piece) {
      const bytes = Buffer.concat([held, piece])
      held = Buffer.alloc(0)
      const out: Buffer[] = []
      for (let start = 0; start < bytes.length; ) {
        const end = bytes.indexOf(LINE_END, start)
        const line = bytes.subarray(start, end < 0 ? bytes.length : end)
        if (end < 0 && !isInLine && isBegun(line)) {
          held = line
          break
        }
        out.push(isInLine || end < 0 ? line : readable(line), ...(end < 0 ? [] : [bytes.subarray(end, end + 1)]))
        isInLine = end < 0
        start += line.length + 1
      }
      return Buffer.concat(out)
    },
    end() {
      const rest = readable(held)
      held = Buffer.alloc(0)
      return rest
    },
  }
}
