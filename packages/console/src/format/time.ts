const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const RELATIVE_MAX_MS = 45 * DAY_MS
/** Clocks of two machines may differ by this much before a time counts as being in the future. */
const SKEW_MS = 5_000

/** `2001-04-23 17:05:09 UTC`: one form for every absolute time, in the zone of the records. */
export function formatAbsolute(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown time'
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `3 min ago`. A time in the future, or further back than 45 days, is shown as its date. */
export function formatRelative(ms: number, nowMs: number): string {
  const age = nowMs - ms
  if (!Number.isFinite(age)) return 'unknown time'
  if (age < -SKEW_MS || age > RELATIVE_MAX_MS) return formatAbsolute(ms).slice(0, 16)
  if (age < 10 * SECOND_MS) return 'just now'
  if (age < MINUTE_MS) return `${Math.floor(age / SECOND_MS)} s ago`
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min ago`
  if (age < 2 * DAY_MS) return `${Math.floor(age / HOUR_MS)} h ago`
  return `${Math.floor(age / DAY_MS)} days ago`
}

/** `850 ms`, `12.4 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return '–'
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`
  if (ms < MINUTE_MS) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  if (ms < HOUR_MS)
    return `${Math.floor(ms / MINUTE_MS)} min ${String(Math.floor((ms % MINUTE_MS) / SECOND_MS)).padStart(2, '0')} s`
  return `${Math.floor(ms / HOUR_MS)} h ${String(Math.floor((ms % HOUR_MS) / MINUTE_MS)).padStart(2, '0')} min`
}

/** Where a replay stands `elapsedMs` of real time after the server said `atMs`. */
export function replayTime(atMs: number, rate: number | null, elapsedMs: number): number {
  return atMs + elapsedMs * (rate ?? 1)
}
