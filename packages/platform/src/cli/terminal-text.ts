// biome-ignore-start lint/suspicious/noControlCharactersInRegex: those are what must not reach the terminal
/** Control sequences, control strings with what they carry, other escapes, and single control and bidirectional characters. @source ECMA-48, 5.4 to 5.6 */
const CONTROL =
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]|[\0-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g
/** The one control sequence that changes nothing but colour and weight. */
const COLOUR = /^\u001b\[[\d:;]*m$/
/** The end of all colours. */
export const RESET = '\u001b[0m'
const IS_RESET = /^\u001b\[0*m$/
/** The start of a sequence whose rest is in the next piece. */
const UNFINISHED = /\u001b(?:[ -/]{0,8}|\[[ -?]{0,64}|[\]PX^_][^\u0007\u001b\n]{0,4096}\u001b?)$/
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: those are what must not reach the terminal

/** What a program wrote, made safe for a terminal as it comes. */
export interface TerminalText {
  /** Text, line ends, tabs and colours of the piece; nothing else that a terminal obeys. */
  push(piece: string): string
  /** What is left, with the line end that the text lacks, and the end of a colour that it left open. */
  end(): string
}

export function openTerminalText(): TerminalText {
  let held = ''
  let last = '\n'
  let isColoured = false
  const clean = (text: string) => {
    const safe = text.replace(CONTROL, (found) => {
      if (!COLOUR.test(found)) return ''
      isColoured = !IS_RESET.test(found)
      return found
    })
    last = safe.replace(CONTROL, '').at(-1) ?? last
    return safe
  }
  return {
    push(piece) {
      const text = held + piece
      held = UNFINISHED.exec(text)?.[0] ?? ''
      return clean(text.slice(0, text.length - held.length))
    },
    end() {
      const rest = clean(held)
      held = ''
      const closed = isColoured ? `${rest}${RESET}` : rest
      return last === '\n' ? closed : `${closed}\n`
    },
  }
}
