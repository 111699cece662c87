export { Counter, Gauge, Histogram, type Metrics, openMetrics, type Registry } from './metrics.ts'
export { childTrace, formatTraceParent, parseTraceParent, type TraceContext } from './trace-parent.ts'
