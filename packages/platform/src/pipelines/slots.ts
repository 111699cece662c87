import type { Logger } from '../kernel/log.ts'
import type { Replace, Running } from './attempt.ts'
import type { ClaimedStep } from './store.ts'

/** The steps that a scheduler follows at once. */
export interface Slots {
  readonly running: ReadonlyMap<bigint, Running>
  /** Slots that a turn of the scheduler may fill. */
  free(): number
  /** Steps that go on, by their run; without those of `ended` fences. */
  counts(ended?: readonly bigint[]): Map<string, number>
  hold(step: ClaimedStep, work: (entry: Running) => Promise<void>): void
  replace(follow: (step: ClaimedStep) => void): Replace
}

export function openSlots(options: {
  readonly count: number
  readonly signal: AbortSignal
  readonly log: Logger
  /** A slot is free, and something may be ready for it. */
  readonly onFree: () => void
}): Slots {
  const { signal, log, onFree } = options
  const running = new Map<bigint, Running>()
  /** Ended attempts whose ends have claimed what their slots do next. */
  const replaced = new Set<bigint>()
  let reserved = 0
  /** A claim may have left what there is a slot for. */
  let isShort = false
  /** Ends at work, and whether one of them began beside another: claims skip what others have locked. */
  let ending = 0
  let isBeside = false

  const counts = (ended: readonly bigint[] = []) => {
    const found = new Map<string, number>()
    for (const [fence, { step }] of running)
      if (!ended.includes(fence) && !replaced.has(fence)) found.set(step.run, (found.get(step.run) ?? 0) + 1)
    return found
  }

  /** Slots that are taken: an attempt whose slot has been handed on is still among the running ones until its work returns. */
  const taken = () => running.size - replaced.size + reserved

  return {
    running,
    counts,
    free: () => {
      isShort = reserved > 0
      return options.count - taken()
    },
    hold: (step, work) => {
      const entry: Running = { step, handle: undefined, isCancelled: false }
      running.set(step.fence, entry)
      // What fails here keeps its lease until it runs out; then it is followed again.
      void work(entry)
        .catch((error: unknown) => {
          if (signal.aborted) return
          const stack = (error as Error | undefined)?.stack
          log.error({ error: String(error), stack, run: step.run, step: step.key }, 'a step could not be followed')
        })
        .finally(() => {
          running.delete(step.fence)
          if (!replaced.delete(step.fence)) onFree()
        })
    },
    // The end of an attempt claims for its own slot and the free ones, in its transaction: what it makes ready starts next.
    replace: (follow) => async (fences, work) => {
      const limit = Math.max(0, options.count - taken() + fences.length)
      const extra = Math.max(0, limit - fences.length)
      reserved += extra
      isBeside ||= ending > 0
      ending++
      try {
        const { held, claimed } = await work({ limit: signal.aborted ? 0 : limit, running: counts(fences) })
        for (const fence of fences) replaced.add(fence)
        for (const step of claimed) follow(step)
        isShort ||= isBeside && claimed.length < limit
        return held
      } finally {
        reserved -= extra
        ending--
        if (ending === 0) isBeside = false
        if (isShort) {
          isShort = false
          onFree()
        }
      }
    },
  }
}
