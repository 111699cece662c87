import type { Clock } from '../clock.ts'

/** A wake-up call that is never lost: one that comes while nobody waits ends the next wait at once. */
export interface Pulse {
  wake(): void
  /** Resolves after `ms` or at the next call, whichever is first. */
  wait(ms: number): Promise<void>
}

export function openPulse(clock: Clock): Pulse {
  let isCalled = false
  let waiting: AbortController | undefined
  return {
    wake() {
      isCalled = true
      waiting?.abort()
    },
    async wait(ms) {
      if (!isCalled) {
        waiting = new AbortController()
        await clock.sleep(ms, waiting.signal).catch(() => {}) // aborted by wake()
        waiting = undefined
      }
      isCalled = false
    },
  }
}
