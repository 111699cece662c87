import { appendFileSync } from 'node:fs'

/** One claim beside what it is measured against, all of one run. */
export interface Figure {
  readonly claim: string
  readonly unit: string
  readonly figure: number
  /** Absent where the claim is only a ratio. */
  readonly goal?: number
  readonly peer: string
  readonly peerFigure: number
  /** True where more is better. */
  readonly isRate?: boolean
}

const OPTION = '--figures='

// What a benchmark started ends with it, by hooks of its exit, also when it is told to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** As little as shows that a bench still works; what it then prints says nothing of speed. */
export const isSmall = process.argv.includes('--small')

/** Hands a figure to `npm run bench`, which prints the closing table; alone, a bench prints its own lines only. */
export function noteFigure(figure: Figure): void {
  const path = process.argv.find((word) => word.startsWith(OPTION))?.slice(OPTION.length)
  if (path) appendFileSync(path, `${JSON.stringify(figure)}\n`)
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
