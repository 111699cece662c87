import { ClientError } from '@plimsoll/sdk/client'
import { isPlimsollError } from '../kernel/errors.ts'

/** 130 is what a shell shows for a program that Ctrl-C ended. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  gateSaidNo: 3,
  inconclusive: 4,
  infrastructure: 5,
  interrupted: 130,
} as const

/** A command that ends with a verdict other than ok, after having said it. */
export class CommandEnd extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super('the command has ended')
    this.exitCode = exitCode
  }
}

/** A fault of how a command was called. */
export class UsageError extends Error {
  readonly action: string | undefined

  constructor(message: string, action?: string) {
    super(message)
    this.action = action
  }
}

const INFRASTRUCTURE = new Set(['unavailable', 'deadline', 'overloaded', 'internal', 'exhausted', 'full'])
/** The server's word for: the request is fine, and the mark does not allow it. */
const GATE_CODES = new Set([
  'delivery.passport_gaps',
  'delivery.route_misfit',
  'delivery.features_missing',
  'datasets.version_failed_expectations',
])

/** Exit status of a thrown error: 1 failed, 2 usage, 3 a gate said no, 5 infrastructure. */
export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CommandEnd) return thrown.exitCode
  if (thrown instanceof UsageError) return EXIT.usage
  if (thrown instanceof ClientError) {
    if (GATE_CODES.has(thrown.code)) return EXIT.gateSaidNo
    return thrown.status >= 500 || thrown.status === 429 ? EXIT.infrastructure : EXIT.failed
  }
  if (isPlimsollError(thrown)) {
    if (thrown.code === 'config.invalid') return EXIT.usage
    if (INFRASTRUCTURE.has(thrown.kind) || /(?:port_taken|directory_in_use|cannot_listen)$/.test(thrown.code))
      return EXIT.infrastructure
    return EXIT.failed
  }
  return EXIT.failed
}
