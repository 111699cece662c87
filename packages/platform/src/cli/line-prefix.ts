import type { LogFilter } from './platform-lines.ts'

const LINE_FEED = 10
const CARRIAGE_RETURN = 13

/** Puts `prefix` before every line; also before what a carriage return would write over it, so that nothing can pass for another's. At its end a log gets the line end that it lacks. */
export function openLinePrefix(prefix: string): LogFilter {
  const head = Buffer.from(prefix)
  let last = LINE_FEED
  return {
    push(piece) {
      const out: Buffer[] = []
      const bytes = Buffer.from(piece)
      let start = 0
      for (const [at, byte] of bytes.entries()) {
        const isPairEnd = byte === LINE_FEED && last === CARRIAGE_RETURN
        if ((last === LINE_FEED || last === CARRIAGE_RETURN) && !isPairEnd) {
          out.push(bytes.subarray(start, at), head)
          start = at
        }
        last = byte
      }
      return Buffer.concat([...out, bytes.subarray(start)])
    },
    end: () => Buffer.from(last === LINE_FEED ? '' : '\n'),
  }
}
