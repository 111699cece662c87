/** Node's last word on an exception that nobody caught. */
const NODE_END = /^Node\.js v\d/
/** Where the exception was thrown, above the line of source that is pointed at. */
const NODE_PLACE = /^(?:file:|node:|\/).*:\d+$/
const POINTER = /^\s*\^+\s*$/
const SOURCE_LINES_MAX = 3
const FRAME = /^ {4}at /
const OWN_FRAME = /^ {4}at (?!.*\bnode:)/
const HINT = /^\(Use `node --trace-uncaught/

/** Whether a log ends as that of a Node program which an exception ended. */
export function isNodeFailure(lines: readonly string[]): boolean {
  return NODE_END.test(lines.at(-1) ?? '')
}

/**
 * The exception that ended a Node program, and of its trace the first place that is not Node's own; undefined when the
 * lines do not hold its beginning.
 */
export function nodeException(lines: readonly string[]): readonly string[] | undefined {
  if (!isNodeFailure(lines)) return undefined
  const place = lines.findLastIndex((line) => NODE_PLACE.test(line))
  const pointer = lines.findIndex((line, index) => index > place && POINTER.test(line))
  if (place === -1 || pointer === -1 || pointer > place + SOURCE_LINES_MAX + 1) return undefined
  const said = lines.slice(pointer + 1, -1).filter((line) => !HINT.test(line))
  const trace = said.findIndex((line) => FRAME.test(line))
  const message = (trace === -1 ? said : said.slice(0, trace)).join('\n').trim().split('\n')
  const frame = said.slice(trace).find((line) => OWN_FRAME.test(line))
  return trace === -1 || frame === undefined ? message : [...message, frame.replace(/ \{$/, '')]
}
