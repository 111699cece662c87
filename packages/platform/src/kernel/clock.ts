/**
 * Where time comes from. `nowMs` and `nowUs` are instants since the Unix epoch; `monotonicMs` never goes back and
 * measures durations. Leases use the database's clock instead.
 */
export interface Clock {
  nowMs(): number
  nowUs(): bigint
  monotonicMs(): number
  /** Resolves after `ms` of real time, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export function nowIso(clock: Clock): string {
  return new Date(clock.nowMs()).toISOString()
}

function realSleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

export const realClock: Clock = {
  nowMs: () => Date.now(),
  nowUs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)),
  monotonicMs: () => performance.now(),
  sleep: realSleep,
}

/** Origin and rate of a replay clock: at real instant `startedAtMs` it showed `originMs`, and runs `rate` times as fast. */
export interface ReplayClockSettings {
  originMs: number
  startedAtMs: number
  rate: number
}

/** A clock for rehearsals and demos. Durations (`monotonicMs`, `sleep`) stay real. */
export function replayClock(settings: ReplayClockSettings, base: Clock = realClock): Clock {
  const { originMs, startedAtMs, rate } = settings
  const nowMs = () => originMs + (base.nowMs() - startedAtMs) * rate
  return { ...base, nowMs, nowUs: () => BigInt(Math.round(nowMs() * 1000)) }
}

export interface ManualClock extends Clock {
  set(ms: number): void
  advance(ms: number): void
}

/** A clock that stands until it is moved; sleepers wake when it passes their time. */
export function manualClock(startMs = 1_000_000_000_000): ManualClock {
  let current = startMs
  let waiting: { at: number; wake: () => void }[] = []
  const set = (ms: number) => {
    current = ms
    const due = waiting.filter((sleeper) => sleeper.at <= current)
    waiting = waiting.filter((sleeper) => sleeper.at > current)
    for (const sleeper of due) sleeper.wake()
  }
  return {
    nowMs: () => current,
    nowUs: () => BigInt(Math.round(current * 1000)),
    monotonicMs: () => current,
    set,
    advance: (ms) => set(current + ms),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: current + ms, wake: resolve }
        waiting.push(sleeper)
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  }
}
