import { constants } from 'node:os'
import type { StepExit } from '@plimsoll/sdk/seams'
import type { AttemptEnd } from './transition.ts'

/** The end of an attempt, with what a person reads of it. */
export type SeenEnd = AttemptEnd & { readonly signal?: string; readonly message?: string }

/** A shell reports a program that signal n ended as exit code 128 + n. @source POSIX.1-2024, 2.8.2 */
const SIGNAL_BASE = 128
const SIGNAL_MAX = 64

const ENDED_BY: Readonly<Record<NonNullable<StepExit['endedBy']>, Omit<SeenEnd, 'exitCode'>>> = {
  cancel: { outcome: 'cancelled', failureClass: 'cancelled' },
  timeout: { outcome: 'failed', failureClass: 'timeout', message: 'The step took longer than its timeout' },
  memory_limit: {
    outcome: 'failed',
    failureClass: 'memory_limit',
    message: 'The step used more memory than its limit',
  },
  log_limit: {
    outcome: 'failed',
    failureClass: 'log_limit',
    message: 'The step wrote more to standard output and error than may be: it would fill the disk',
  },
  process_limit: {
    outcome: 'failed',
    failureClass: 'process_limit',
    message: 'The step had more processes at one time than may be',
  },
}

export const LOST: SeenEnd = {
  outcome: 'lost',
  failureClass: 'lost',
  exitCode: undefined,
  message: 'Nobody can say how the attempt ended',
}

/** What an incarnation that died left between the claim and the start. */
export const NOT_STARTED: SeenEnd = {
  outcome: 'lost',
  failureClass: 'not_started',
  exitCode: undefined,
  message: 'The control plane ended before the program of the step started',
}

function killed(signal: string, exitCode: number | undefined): SeenEnd {
  return { outcome: 'failed', failureClass: 'killed', exitCode, signal, message: `The step was ended by ${signal}` }
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}

const MIB = 1 << 20

const UNITS = [
  [3_600_000, 'h'],
  [60_000, 'min'],
] as const

/** In the largest unit of which it is a whole number. */
function durationText(ms: number): string {
  const [unitMs, unit] = UNITS.find(([size]) => ms % size === 0) ?? [1_000, 's']
  return `${ms / unitMs} ${unit}`
}

/** What the executor saw, as the state machine reads it; with the limits that the step had. */
export function endOf(
  { state, exitCode, signal, endedBy }: StepExit,
  { memoryBytes, timeoutMs }: { memoryBytes?: number | undefined; timeoutMs?: number | undefined } = {},
): SeenEnd {
  if (endedBy) {
    const limit =
      endedBy === 'memory_limit' && memoryBytes !== undefined
        ? `${Math.round(memoryBytes / MIB)} MiB`
        : endedBy === 'timeout' && timeoutMs !== undefined
          ? durationText(timeoutMs)
          : undefined
    const { message, ...end } = ENDED_BY[endedBy]
    return limit === undefined || message === undefined
      ? { ...ENDED_BY[endedBy], exitCode }
      : { ...end, exitCode, message: `${message} of ${limit}` }
  }
  if (state === 'lost') return LOST
  if (signal !== undefined) return killed(signal, undefined)
  if (exitCode !== undefined && exitCode > SIGNAL_BASE && exitCode <= SIGNAL_BASE + SIGNAL_MAX) {
    return killed(signalName(exitCode - SIGNAL_BASE), exitCode)
  }
  if (exitCode === 0) return { outcome: 'succeeded', failureClass: undefined, exitCode: 0 }
  return {
    outcome: 'failed',
    failureClass: 'user_error',
    exitCode,
    message: `The step ended with exit code ${exitCode}`,
  }
}
