import { printable } from './io.ts'

/** A column that may be shortened with … where the terminal is narrow; the others hold what people copy. */
export interface ElasticColumn {
  readonly elastic: string
}

const GAP = '  '
const ELASTIC_MIN_CHARS = 12
/** What people copy is never cut, wherever it stands. */
const ID = /\b[a-z]+_[0-9a-f-]{16,}/

/** An instant as lists show it: in UTC, up to its seconds. Answers in JSON have all of it. */
export function formatInstant(instant: string): string {
  return `${instant.slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`
}

/** Columns of the terminal, or without bound: a pipe and a file get everything. */
export function terminalWidth(): number {
  return process.stdout.isTTY === true && process.stdout.columns > 0 ? process.stdout.columns : Number.POSITIVE_INFINITY
}

function lengthOf(cell: string): number {
  return [...cell].length
}

function shorten(cell: string, width: number): string {
  const chars = [...cell]
  return chars.length <= width ? cell : `${chars.slice(0, width - 1).join('')}…`
}

function pad(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - lengthOf(cell)))
}

function totalOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1)
}

/** Takes from the widest elastic column until all fit, or none can give any more; `least` is what each keeps. */
function squeeze(widths: number[], least: readonly number[], available: number): void {
  while (totalOf(widths) > available) {
    let widest = -1
    for (const [column, width] of widths.entries())
      if (width > least[column]! && (widest < 0 || width > widths[widest]!)) widest = column
    if (widest < 0) return
    widths[widest]!--
  }
}

/** One line per cell: what a terminal gets that is too narrow for the columns. Nothing is cut. */
function stacked(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...titles.map(lengthOf))
  return rows.flatMap((row, index) => [
    ...(index === 0 ? [] : ['']),
    ...row.map((cell, column) => `${pad(titles[column] ?? '', width)}${GAP}${cell}`.trimEnd()),
  ])
}

/**
 * Columns of equal width; the header only when there are rows. On a narrow terminal elastic columns are shortened, and
 * when that is not enough each row takes several lines.
 */
export function table(
  columns: readonly (string | ElasticColumn)[],
  rows: readonly (readonly string[])[],
  empty: string,
  width = terminalWidth(),
): string[] {
  if (rows.length === 0) return [empty]
  const titles = columns.map((column) => (typeof column === 'string' ? column : column.elastic))
  const cells = rows.map((row) => row.map(printable))
  const all = [titles, ...cells]
  const widths = titles.map((_, column) => Math.max(...all.map((row) => lengthOf(row[column] ?? ''))))
  squeeze(
    widths,
    columns.map((column, index) =>
      typeof column === 'string'
        ? Number.POSITIVE_INFINITY
        : Math.max(ELASTIC_MIN_CHARS, ...cells.map((row) => (ID.test(row[index] ?? '') ? lengthOf(row[index]!) : 0))),
    ),
    width,
  )
  if (totalOf(widths) > width) return stacked(titles, cells)
  return all.map((row) =>
    row
      .map((cell, column) => pad(shorten(cell, widths[column]!), widths[column]!))
      .join(GAP)
      .trimEnd(),
  )
}
