/** Node's last word on an exception that nobody caught. */
const NODE_END = /^Node\.js v\d/
/** Where the exception was thrown, above the line of source that is pointed at; `<…>` is what was parsed at run time. */
const NODE_PLACE = /^(?:file:|node:|\/|<).*:\d+$/
const OWN_PLACE = /^(?:file:|\/)/
/** Cut off, it is nothing but 1020 blanks. @source node/src/node_errors.cc, kUnderlineBufsize */
const POINTER = /^(?:\s*\^+\s*| {1020})$/
const SOURCE_LINES_MAX = 3
const FRAME = /^ {4}at /
const OWN_FRAME = /^ {4}at (?!.*(?:\bnode:|\(<anonymous>\)))/
const FRAME_OF_CAUSE = /^ {6,}at /
const HINT = /^\(Use `node --trace-uncaught/

/** Whether a log ends as that of a Node program which an exception ended. */
export function isNodeFailure(lines: readonly string[]): boolean {
  return NODE_END.test(lines.at(-1) ?? '')
}

/**
 * Where the exception was thrown: the first place that is pointed at with an empty line below, as Node does it, since a
 * message may hold another one. One of Node's own stands above that of a syntax error; what ended before, also within a
 * message, is followed by Node's last word.
 */
function placeOf(lines: readonly string[], pointerOf: (place: number) => number): number {
  const places = lines.flatMap((line, index) => (NODE_PLACE.test(line) && pointerOf(index) !== -1 ? [index] : []))
  const endBefore = lines.slice(0, -1).findLastIndex((line) => NODE_END.test(line))
  const last = places.at(-1) ?? -1
  const own = last > endBefore ? places.filter((place) => place > endBefore) : places
  const begins = own.filter((place) => !own.includes(pointerOf(place) + 2))
  if (last <= endBefore) return begins[0] ?? -1
  // A trace ends what was only printed: of a failure that was caught the place is not the last one.
  return (
    begins.findLast((place, at) => at === 0 || lines.slice(begins[at - 1], place).some((line) => FRAME.test(line))) ??
    -1
  )
}

/**
 * The exception that ended a Node program, and of its trace the first place that is not Node's own: of a syntax error the
 * line at fault. Undefined when the lines do not hold its beginning. What is parsed may be one line so long that its place
 * is not among them.
 */
export function nodeException(lines: readonly string[]): readonly string[] | undefined {
  if (!isNodeFailure(lines)) return undefined
  const pointerOf = (place: number) => {
    if (place === -1) return -1
    const below = lines.slice(place + 1, place + SOURCE_LINES_MAX + 2).findIndex((line) => POINTER.test(line))
    const pointer = place + 1 + below
    return below === -1 || lines[pointer + 1] !== '' ? -1 : pointer
  }
  const place = placeOf(lines, pointerOf)
  const isPlaced = place !== -1 || lines.some((line) => NODE_PLACE.test(line))
  const pointer = isPlaced ? pointerOf(place) : lines.findIndex((line) => POINTER.test(line))
  if (pointer === -1) return undefined
  const said = lines.slice(pointer + 1, -1).filter((line) => !HINT.test(line) && !FRAME_OF_CAUSE.test(line))
  const trace = said.findIndex((line) => FRAME.test(line))
  const message = (trace === -1 ? said : said.slice(0, trace)).join('\n').trim().split('\n')
  const frame = trace === -1 ? undefined : said.slice(trace).find((line) => OWN_FRAME.test(line))
  const source = lines[place] ?? ''
  const where = frame?.replace(/ \{$/, '') ?? (OWN_PLACE.test(source) ? `    at ${source}` : undefined)
  return where === undefined ? message : [...message, where]
}
