export { Counter, Gauge, Histogram, type Metrics, openMetrics, type Registry } from './metrics.ts'
export { traceIdOf } from './trace-parent.ts'
