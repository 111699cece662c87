import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, type Registry } from 'prom-client'

const HTTP_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const SERIES_MAX = 2_000

export interface Metrics {
  readonly registry: Registry
  counter<L extends string>(name: string, help: string, labels?: readonly L[]): Counter<L>
  gauge<L extends string>(
    name: string,
    help: string,
    labels?: readonly L[],
    collect?: (gauge: Gauge<L>) => void | Promise<void>,
  ): Gauge<L>
  histogram<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    bucketsSeconds: readonly number[],
  ): Histogram<L>
  /** One HTTP answer; `route` is a pattern, so the series are bounded. */
  answered(answer: { method: string; route: string; status: number; durationMs: number }): void
  /** The Prometheus text. */
  text(): Promise<string>
}

/** A registry of one process. Names start with `plimsoll_`, units last. */
export function openMetrics(process: string): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ process })
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'plimsoll_http_request_duration_seconds',
    help: 'Time from the first byte of a request to the last one of its answer',
    labelNames: ['method', 'route', 'code'] as const,
    buckets: HTTP_BUCKETS_SECONDS,
    registers: [registry],
  })
  const seen = new Set<string>()
  return {
    registry,
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: [...labels], registers: [registry] }),
    gauge: (name, help, labels = [], collect) => {
      const gauge: Gauge<(typeof labels)[number]> = new Gauge({
        name,
        help,
        labelNames: [...labels],
        registers: [registry],
        collect: () => collect?.(gauge),
      })
      return gauge
    },
    histogram: (name, help, labels, bucketsSeconds) =>
      new Histogram({ name, help, labelNames: [...labels], buckets: [...bucketsSeconds], registers: [registry] }),
    answered: ({ method, route, status, durationMs }) => {
      const series = `${method} ${route} ${status}`
      if (!seen.has(series) && seen.size >= SERIES_MAX) return
      seen.add(series)
      requests.observe({ method, route, code: String(status) }, durationMs / 1_000)
    },
    text: () => registry.metrics(),
  }
}
