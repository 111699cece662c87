interface Link {
  kind: string
  name: string
  check: string
}
interface Result {
  success: boolean
  expectation_config: { type: string; kwargs?: { column?: string } }
  result?: { unexpected_count?: number; partial_unexpected_list?: unknown[] }
}
interface Version {
  bound: { code: { commit: string | null } | null; data: unknown[]; metrics: Record<string, number> }
}
interface Run {
  data?: { metrics?: { key: string; value: number }[]; params?: unknown[] }
  outputs?: { model_outputs?: unknown[] }
}
interface Shares {
  p50: number
  p95: number
  p99: number
}
interface Found {
  requests: number
  failures: number
  failuresByName: Record<string, number>
  labelled: number
  parity: { values: number; differing: number }
  tookMs: Shares
  waitedMs: Shares
  lagMinutes: Shares
  cpuUsPerPrediction: number | null
}
export function mustTellDamage(
  version: { verdict: string; expectations: { failed: number } },
  results: Result[],
): Result[]
export function mustNameOrigin(version: Version, commit: string): void
export function mustTrack(run: Run, files: { path: string }[], version: Version): string
export function mustReplay(found: Found, flights: number, isTold?: boolean): void
export function mustReach(chain: { isIntact: boolean; links: Link[] }, commit: string): void
