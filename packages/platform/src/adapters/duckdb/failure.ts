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
  [
    /CSV Error|Error when (?:sniffing|reading) (?:file|CSV)/i,
    'invalid',
    'query.file_unreadable',
    'Cannot read an input file as CSV',
  ],
]

function firstParagraph(text: string): string {
  return (text.split(/\n\s*\n/)[0] ?? text).replace(/\s+/g, ' ').trim().slice(0, TEXT_MAX)
}

/** DuckDB's error as a house error: what happened, without its source extract. */
export function toQueryError(thrown: unknown): PlimsollError {
  if (isPlimsollError(thrown)) return thrown
  const text = thrown instanceof Error ? thrown.message : String(thrown)
  const found = FAILURES.find(([pattern]) => pattern.test(text))
  if (found) return new PlimsollError(found[1], found[2], `${found[3]}: ${firstParagraph(text)}`, {}, thrown)
  if (/^(INTERNAL|FATAL)/i.test(text))
    return new PlimsollError('internal', 'query.internal', firstParagraph(text), {}, thrown)
  return new PlimsollError('invalid', 'query.failed', `Cannot run the statement: ${firstParagraph(text)}`, {}, thrown)
}
