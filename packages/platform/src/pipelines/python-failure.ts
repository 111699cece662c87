import { basename } from 'node:path/posix'

/** A frame of a Python traceback: what is indented below it is its source, and then comes the exception. */
const FRAME = /^ +File ".*", line \d+/
/** That of a text which Python could not read: no function is named behind it. */
const UNREAD_FRAME = /^ +File "(.*)", line (\d+)$/

/**
 * The last exception of a Python traceback, with all that follows it; that of a text which Python could not read names its
 * file and line, as `str()` of it does. Undefined when the lines hold none.
 */
export function pythonException(lines: readonly string[]): readonly string[] | undefined {
  const frame = lines.findLastIndex((line) => FRAME.test(line))
  const exception = lines.findIndex((line, index) => index > frame && /^\S/.test(line))
  if (frame === -1 || exception === -1) return undefined
  const [first, ...rest] = lines.slice(exception)
  const [, path, line] = UNREAD_FRAME.exec(lines[frame]!) ?? []
  return [path === undefined ? first! : `${first} (${basename(path)}, line ${line})`, ...rest]
}
