import type { RouteLatency } from '@plimsoll/sdk/wire'
import type { Clock } from '../../kernel/clock.ts'

const KEPT = 1_024
const WINDOW_MS = 60_000

interface Ring {
  readonly latencyMs: Float64Array
  readonly atMs: Float64Array
  count: number
}

/** How long the newest answers of each route took: what a gateway tells of itself, beside its metrics. */
export interface RecentLatency {
  observe(route: string, latencyMs: number): void
  /** Of the answers of the last minute, at most the newest 1,024; routes without one are left out. */
  read(): Record<string, RouteLatency>
}

export function openRecentLatency(clock: Pick<Clock, 'monotonicMs'>): RecentLatency {
  const rings = new Map<string, Ring>()
  const newRing = (): Ring => ({ latencyMs: new Float64Array(KEPT), atMs: new Float64Array(KEPT), count: 0 })
  const readRing = ({ latencyMs, atMs, count }: Ring, sinceMs: number): RouteLatency | undefined => {
    const sorted = latencyMs
      .subarray(0, Math.min(count, KEPT))
      .filter((_, index) => atMs[index]! >= sinceMs)
      .sort()
    if (sorted.length === 0) return undefined
    const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1]! // nearest rank
    return { answers: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) }
  }
  return {
    observe(route, latencyMs) {
      const ring = rings.get(route) ?? newRing()
      const at = ring.count++ % KEPT
      ring.latencyMs[at] = latencyMs
      ring.atMs[at] = clock.monotonicMs()
      rings.set(route, ring)
    },
    read() {
      const sinceMs = clock.monotonicMs() - WINDOW_MS
      const read: Record<string, RouteLatency> = {}
      for (const [route, ring] of rings) {
        const latency = readRing(ring, sinceMs)
        if (latency) read[route] = latency
        else rings.delete(route)
      }
      return read
    },
  }
}
