import { isProcessKind, readLogLine } from '@plimsoll/sdk/wire'

const SHORT_DIGEST = 12
/** Below this, text of four digits has more zeros than digits. */
const TINY = 1e-4
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const
const WHOLE = new Intl.NumberFormat('en-GB')
const FINE = new Intl.NumberFormat('en-GB', { maximumSignificantDigits: 4 })
const LARGE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 })
const LARGE_FROM = 1_000

/** `sha256:0123456789ab…` as `0123456789ab`: enough to tell two apart by eye, never to compare by. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, SHORT_DIGEST)
}

export function formatCount(value: number): string {
  return WHOLE.format(value)
}

/** Four significant digits, of large numbers one behind the point; counts stay whole, and what has many zeros is written by its power: `1.4e-7`. */
export function formatMetric(value: number): string {
  if (value !== 0 && Math.abs(value) < TINY) return value.toExponential(1).replace('.0e', 'e')
  if (Number.isInteger(value)) return WHOLE.format(value)
  return (Math.abs(value) < LARGE_FROM ? FINE : LARGE).format(value)
}

export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return '–'
  let value = bytes
  let unit = 0
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`
}

/**
 * Text from outside, safe to put on a line: control characters and the marks that turn the writing direction are
 * replaced, so that a name cannot show as another one.
 */
export function plainText(text: string, max = 500): string {
  const clean = text.replace(/[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, '\ufffd')
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean
}

/** The same over several lines. */
export function plainLines(text: string, max = 4_000): string {
  const clean = plainLog(text)
  return clean.length > max ? `${clean.slice(0, max - 1)}…` : clean
}

/** A log as it was written, but for what could hide or reorder it; colours of a terminal are left out. */
export function plainLog(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
      .replaceAll(/\u001b\[[0-9;?]{0,32}[A-Za-z]/g, '')
      .replaceAll(/\r\n?/g, '\n')
      .replaceAll(/(?![\n\t])[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, '\ufffd')
  )
}

/** A line of the platform's own log as people read it; undefined for one that is none. */
function readableLine(line: string): string | undefined {
  const own = readLogLine(line)
  return own && `${own.level ? `${own.level}: ` : ''}${own.text}`
}

/** The log of a step to be read: those of the platform itself write JSON lines, of which the message counts. */
export function readableLog(text: string, kind: string): string {
  if (isProcessKind(kind)) return plainLog(text)
  const lines = text.split('\n').map((line) => readableLine(line) ?? line)
  return plainLog(lines.join('\n'))
}
