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

/** What the executor saw, as the state machine reads it; `memoryBytes` is the limit that the step had. */
export function endOf({ state, exitCode, signal, endedBy }: StepExit, memoryBytes?: number): SeenEnd {
  if (endedBy === 'memory_limit' && memoryBytes !== undefined) {
    const { message, ...end } = ENDED_BY.memory_limit
    return { ...end, exitCode, message: `${message} of ${Math.round(memoryBytes / MIB)} MiB` }
  }
  if (endedBy) return { ...ENDED_BY[endedBy], exitCode }
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
