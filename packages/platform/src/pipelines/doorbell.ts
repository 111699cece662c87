import type { Clock } from '../kernel/clock.ts'

export interface Doorbell {
  ring(): void
  /** Resolves at a ring, after `ms`, or when the signal aborts: true when it rang. */
  wait(ms: number): Promise<boolean>
}

/** Wakes a loop; a ring while the loop is busy is heard at its next wait. */
export function openDoorbell(clock: Clock, signal: AbortSignal): Doorbell {
  let hasRung = false
  let wake: (() => void) | undefined
  return {
    ring: () => {
      hasRung = true
      wake?.()
    },
    wait: async (ms) => {
      const timer = new AbortController()
      if (!hasRung && !signal.aborted) {
        const rung = new Promise<void>((resolve) => {
          wake = resolve
        })
        await Promise.race([rung, clock.sleep(ms, AbortSignal.any([timer.signal, signal])).catch(() => {})])
      }
      const rang = hasRung
      wake = undefined
      hasRung = false
      timer.abort()
      return rang
    },
  }
}
