import { ClientError } from '@plimsoll/sdk/client'
import { isPlimsollError } from '../kernel/errors.ts'
import { CommandEnd, UsageError } from './exit-code.ts'

/** Where a command writes: answers to standard output, everything else to standard error. */
export interface Io {
  readonly isJson: boolean
  readonly isTerminal: boolean
  /** The answer: with --json the value as one line, else the text. */
  answer(value: unknown, text: string | readonly string[]): void
  /** A note for people; silent with --json and off a terminal. */
  note(line: string): void
  /** What must be known at once, also off a terminal: with --json the value as one line, else the text. */
  tell(value: unknown, line: string): void
  progress(fraction: number, label: string): void
  endProgress(): void
}

const BAR_CHARS = 24
const LABEL_CHARS_MAX = 100

export function openIo(options: { isJson: boolean }): Io {
  const { isJson } = options
  const isTerminal = process.stderr.isTTY === true
  let isBarShown = false
  return {
    isJson,
    isTerminal,
    answer(value, text) {
      if (isJson)
        process.stdout.write(
          `${JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? String(member) : member))}\n`,
        )
      else process.stdout.write(`${typeof text === 'string' ? text : text.join('\n')}\n`)
    },
    note(line) {
      if (!isJson && isTerminal) process.stderr.write(`${line}\n`)
    },
    tell(value, line) {
      process.stderr.write(`${isJson ? JSON.stringify(value) : line}\n`)
    },
    progress(fraction, label) {
      if (isJson || !isTerminal) return
      const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_CHARS)
      const labelChars = Math.max(
        0,
        Math.min(LABEL_CHARS_MAX, (process.stderr.columns || LABEL_CHARS_MAX) - BAR_CHARS - 2),
      )
      process.stderr.write(
        `\r\x1b[2K${'█'.repeat(filled)}${'░'.repeat(BAR_CHARS - filled)} ${printable(label).slice(0, labelChars)}`,
      )
      isBarShown = true
    },
    endProgress() {
      if (isBarShown) process.stderr.write('\r\x1b[2K')
      isBarShown = false
    },
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what must not reach the terminal
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/** Text from elsewhere, safe for a terminal: control and bidirectional characters are made visible. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

interface Shown {
  what: string
  code: string
  action?: string | undefined
  faults: readonly { pointer: string; detail: string }[]
  requestId?: string | undefined
}

function shownOf(thrown: unknown): Shown {
  if (thrown instanceof ClientError)
    return {
      what: thrown.message,
      code: thrown.code,
      action: thrown.action,
      faults: thrown.faults,
      requestId: thrown.requestId,
    }
  if (isPlimsollError(thrown))
    return {
      what: thrown.message,
      code: thrown.code,
      action: thrown.details.action,
      faults: thrown.details.faults ?? [],
    }
  if (thrown instanceof UsageError)
    return { what: thrown.message, code: 'cli.usage', action: thrown.action, faults: [] }
  const error = thrown as NodeJS.ErrnoException | null
  return { what: error?.message ?? String(thrown), code: error?.code ?? 'cli.unexpected', faults: [] }
}

/** One line: what, why, what next; then one line per fault. With --json, a problem as one line. */
export function reportFailure(thrown: unknown, isJson: boolean): void {
  if (thrown instanceof CommandEnd) return
  const { what, code, action, faults, requestId } = shownOf(thrown)
  if (isJson) {
    process.stderr.write(
      `${JSON.stringify({ error: { code, message: what, ...(action ? { action } : {}), ...(faults.length > 0 ? { faults } : {}), ...(requestId ? { request: requestId } : {}) } })}\n`,
    )
    return
  }
  process.stderr.write(`plimsoll: ${printable(what)} (${code})${action ? ` — ${printable(action)}` : ''}\n`)
  for (const { pointer, detail } of faults)
    process.stderr.write(`  ${printable(pointer === '' ? detail : `${pointer} ${detail}`)}\n`)
}
