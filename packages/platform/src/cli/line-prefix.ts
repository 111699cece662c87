const LINE_FEED = 10
const CARRIAGE_RETURN = 13

/** A log whose every line begins with whose it is. */
export interface LinePrefix {
  push(piece: Uint8Array): Buffer
  /** The line end that the log lacks. */
  end(): Buffer
}

/** Puts `prefix` before every line; also before what a carriage return would write over it, so that nothing can pass for another's. */
export function openLinePrefix(prefix: string): LinePrefix {
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
