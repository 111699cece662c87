/** A longer text would be parsed for seconds. */
const SEARCHED_CHARS_MAX = 1 << 18
/** What the parser says of a text that goes on wrong; of one that ends too early it says something else. */
const UNEXPECTED = /^Unexpected token | is not valid JSON$/

function faultOf(text: string): string {
  try {
    JSON.parse(text)
    return ''
  } catch (thrown) {
    return (thrown as Error).message // a SyntaxError, always
  }
}

/** The parser does not say where an unexpected token is: it is the last one of the shortest beginning that has it. */
function findUnexpected(text: string): number | undefined {
  if (text.length > SEARCHED_CHARS_MAX) return undefined
  let [low, high] = [0, text.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (UNEXPECTED.test(faultOf(text.slice(0, middle + 1)))) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Where a text ceases to be JSON, as the end of a reason, which may show none of it: what the parser says quotes the text,
 * and a secret of which only a part is quoted could not be hidden. What Python writes for numbers that are none is named.
 */
export function jsonFaultPlace(text: string): string {
  const fault = faultOf(text)
  const position = / at position (\d+)/.exec(fault)?.[1]
  const known = position === undefined ? text.length : Number(position)
  const offset = UNEXPECTED.test(fault) ? findUnexpected(text) : known
  if (offset === undefined) return ''
  const lines = text.slice(0, offset).split('\n')
  const word = /^(?:NaN|Infinity)/.exec(text.slice(offset))?.[0]
  return `: see its line ${lines.length}, column ${lines.at(-1)!.length + 1}${word === undefined ? '' : ` (${word})`}`
}
