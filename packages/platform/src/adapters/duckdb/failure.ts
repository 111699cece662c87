import { countText } from '../../kernel/count-text.ts'
import { CSV_LINE_BYTES_MAX } from '../../kernel/csv-header.ts'
import { type ErrorKind, isPlimsollError, PlimsollError } from '../../kernel/errors.ts'

const TEXT_MAX = 600

const FAILURES: readonly [RegExp, ErrorKind, string, string][] = [
  [
    /^Out of Memory Error/,
    'exhausted',
    'query.memory',
    'Cannot finish the statement: it needs more memory or disk than it may use',
  ],
  [
    /^Permission Error/,
    'forbidden',
    'query.file_refused',
    'Cannot run the statement: it opens a file that is not one of its inputs',
  ],
  [
    /No magic bytes found|file footer|footer length|too small to be a Parquet file|Invalid parquet|not a parquet|TProtocolException|corrupt/i,
    'invalid',
    'query.file_unreadable',
    'Cannot read an input file: it is not a whole Parquet file',
  ],
  [/^IO Error/, 'invalid', 'query.file_unreadable', 'Cannot read an input file'],
]

const CSV_FAILURE =
  /^(?:Invalid Input|Conversion) Error: (?:CSV Error|The CSV Parser|Error when (?:sniffing|reading) (?:file|CSV))/

/** What DuckDB says of a line, in our words. It says so after the line itself, which may be long and is nobody's business. */
const CSV_REASONS: readonly [RegExp, (found: readonly string[]) => string][] = [
  [
    /^Expected Number of Columns: (\d+) Found: (\d+)/m,
    ([, expected, found]) => `expected ${countText(Number(expected), 'field')}, found ${found}`,
  ],
  [/^Value with unterminated quote/m, () => 'a quote is not closed, or has text beside it'],
  [/^Maximum line size/m, () => `a line is longer than ${CSV_LINE_BYTES_MAX / 2 ** 20} MiB`],
  [/^Invalid unicode/m, () => 'its text is not UTF-8'],
  [
    /^Invalid Input Error: (?:The CSV Parser state machine|Error when sniffing)/,
    () => 'it is binary, or its quotes or line ends are not in order',
  ],
]

export function isCsvFailure(thrown: unknown): boolean {
  return thrown instanceof Error && CSV_FAILURE.test(thrown.message)
}

/** DuckDB's error about a CSV file with the file's own name, the line and the reason: no advice on options, no data. */
function csvMessage(text: string, files: ReadonlyMap<string, string>): string {
  const line = /CSV Error on Line: (\d+)/.exec(text)?.[1]
  const path = /^ {2}file = (.+)$/m.exec(text.slice(Math.max(0, text.lastIndexOf('\n  file = '))))?.[1]
  const known = CSV_REASONS.map(([pattern, word]) => ({ found: pattern.exec(text), word })).find(({ found }) => found)
  const last = text
    .split(/\n\s*Possible (?:fixes|solution)/i)[0]!
    .trim()
    .split('\n')
    .at(-1)
  const reason = known ? known.word(known.found!) : firstParagraph(last!)
  const place = [...(path ? [files.get(path) ?? path] : []), ...(line ? [`line ${line}`] : [])].join(', ')
  return `Cannot read an input file as CSV: ${place ? `${place}: ` : ''}${reason}`
}

function firstParagraph(text: string): string {
  return (text.split(/\n\s*\n/)[0] ?? text).replace(/\s+/g, ' ').trim().slice(0, TEXT_MAX)
}

/** DuckDB's error as a house error: what happened, without its source extract. `files` has the file of each path that it was given. */
export function toQueryError(thrown: unknown, files: ReadonlyMap<string, string>): PlimsollError {
  if (isPlimsollError(thrown)) return thrown
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  if (isCsvFailure(thrown))
    return new PlimsollError('invalid', 'query.file_unreadable', csvMessage(text, files), {}, thrown)
  const found = FAILURES.find(([pattern]) => pattern.test(text))
  if (found) return new PlimsollError(found[1], found[2], `${found[3]}: ${firstParagraph(text)}`, {}, thrown)
  if (/^(INTERNAL|FATAL)/i.test(text))
    return new PlimsollError('internal', 'query.internal', firstParagraph(text), {}, thrown)
  return new PlimsollError('invalid', 'query.failed', `Cannot run the statement: ${firstParagraph(text)}`, {}, thrown)
}
