import type { Clock } from '../../kernel/clock.ts'
import { Counter, Gauge, Histogram, openMetrics } from '../../kernel/telemetry/index.ts'
import type { PredictionLog } from './prediction-log.ts'
import { openRecentLatency } from './recent-latency.ts'

/** What is observed of requests to no route that serves. */
export const UNKNOWN_ROUTE = 'unknown'

/** What the gateway tells of itself to Prometheus, and of its newest answers to the control plane. */
export function openGatewayMetrics(
  predictions: Pick<PredictionLog, 'spooledBytes' | 'setAsideBytes'>,
  clock: Pick<Clock, 'monotonicMs'>,
) {
  const metrics = openMetrics('gateway')
  const { registry } = metrics
  const duration = new Histogram({
    name: 'plimsoll_request_duration_seconds',
    help: 'Time from request to answer',
    labelNames: ['route', 'code'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
    registers: [registry],
  })
  const refusals = new Counter({
    name: 'plimsoll_refusals_total',
    help: 'Requests for predictions that were refused, by the code of the error',
    labelNames: ['route', 'reason'],
    registers: [registry],
  })
  const latency = openRecentLatency(clock)
  const epoch = new Gauge({
    name: 'plimsoll_snapshot_epoch',
    help: 'Epoch of the snapshot that serves',
    registers: [registry],
  })
  const spool = [
    {
      name: 'plimsoll_spool_bytes',
      help: 'Records of predictions that are still to be shipped',
      read: predictions.spooledBytes,
    },
    {
      name: 'plimsoll_set_aside_bytes',
      help: 'Damaged or refused records of predictions',
      read: predictions.setAsideBytes,
    },
  ]
  for (const { read, ...about } of spool)
    new Gauge({
      ...about,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  return {
    metrics,
    epoch,
    latency,
    observe: (route: string, code: string, seconds: number, refusal: string | undefined) => {
      duration.observe({ route, code }, seconds)
      if (refusal !== undefined) refusals.inc({ route, reason: refusal })
      if (code === '200' && route !== UNKNOWN_ROUTE) latency.observe(route, seconds * 1_000)
    },
  }
}
