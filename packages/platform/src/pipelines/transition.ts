import type { RunState, StepState } from '@plimsoll/sdk/wire'

/** How an attempt ended, as its executor saw it. */
export interface AttemptEnd {
  readonly outcome: 'succeeded' | 'failed' | 'lost' | 'cancelled'
  /**
   * `user_error`, `timeout`, `memory_limit`, `log_limit`, `process_limit`, `output_missing`, `output_too_large`, `killed`,
   * `lost`, `not_started`, `disk_full`, `config`.
   */
  readonly failureClass: string | undefined
  readonly exitCode: number | undefined
}

export interface RetryBudget {
  readonly retries: number
  readonly attemptsUsed: number
  readonly infraUsed: number
}

export const INFRA_RETRIES_MAX = 5
const INFRA_CLASSES = new Set(['lost', 'disk_full'])
/** @source sysexits.h: EX_TEMPFAIL is worth a retry, EX_USAGE and EX_CONFIG never are */
const EXIT_ALWAYS_RETRY = 75
const EXIT_NEVER_RETRY = [64, 78]

export type NextStep =
  | { state: 'succeeded' }
  | { state: 'cancelled' }
  | { state: 'failed' }
  | { state: 'ready'; budget: 'user' | 'infra' | 'none'; delayMs: number }

const BASE_MS = 1_000
const FACTOR = 2
const CAP_MS = 300_000

/** Delay before try `n` + 1, n ≥ 1, without jitter: base · factor^(n − 1), capped. */
export function retryDelayMs(tries: number): number {
  return Math.min(CAP_MS, BASE_MS * FACTOR ** (tries - 1))
}

/** What becomes of a step whose attempt has ended. A pure function: the store applies it under the fence. */
export function nextOfStep(end: AttemptEnd, budget: RetryBudget, isCancelling: boolean): NextStep {
  if (end.outcome === 'succeeded') return { state: 'succeeded' }
  if (isCancelling || end.outcome === 'cancelled') return { state: 'cancelled' }
  const failureClass = end.failureClass ?? (end.outcome === 'lost' ? 'lost' : 'user_error')
  // Our own death before the program ran is no try of the step, however often we die.
  if (failureClass === 'not_started') return { state: 'ready', budget: 'none', delayMs: 0 }
  // A signal from outside may be the machine's doing, once.
  if (INFRA_CLASSES.has(failureClass) || (failureClass === 'killed' && budget.infraUsed === 0)) {
    return budget.infraUsed < INFRA_RETRIES_MAX
      ? { state: 'ready', budget: 'infra', delayMs: failureClass === 'lost' ? 0 : retryDelayMs(budget.infraUsed + 1) }
      : { state: 'failed' }
  }
  if (failureClass === 'config' || EXIT_NEVER_RETRY.includes(end.exitCode ?? -1)) return { state: 'failed' }
  const isAllowed =
    budget.attemptsUsed < budget.retries ||
    (end.exitCode === EXIT_ALWAYS_RETRY && budget.attemptsUsed < INFRA_RETRIES_MAX)
  return isAllowed
    ? { state: 'ready', budget: 'user', delayMs: retryDelayMs(budget.attemptsUsed + 1) }
    : { state: 'failed' }
}

/** State of a blocked step that has `waiting` steps left to wait for: it fails with the first of them. */
export function nextOfBlocked(waiting: number, upFailed: number, isCancelling: boolean): StepState {
  if (isCancelling) return 'cancelled'
  if (upFailed > 0) return 'upstream_failed'
  return waiting > 0 ? 'blocked' : 'ready'
}

/** State of a run with `open` steps left. */
export function nextOfRun(open: number, failed: number, isCancelling: boolean): RunState {
  if (open > 0) return isCancelling ? 'cancelling' : 'running'
  if (isCancelling) return 'cancelled'
  return failed > 0 ? 'failed' : 'succeeded'
}
