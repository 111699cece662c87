import { refusal } from '../failure.ts'
import { type MetricOfRun, metricHistory, metricHistoryBulk, metricHistorySample } from '../metric-history.ts'
import { type MlflowEndpoint, mlflowEndpoint } from '../surface/endpoint.ts'
import { int64, list, pageSize, required, text } from '../surface/fields.ts'
import { page, wireMetric } from '../wire.ts'

const BULK_MAX = 25_000
const SAMPLE_MAX = 2_500
const wireOfRun = (metric: MetricOfRun) => ({ ...wireMetric(metric), run_id: metric.run })

export const metricEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/metrics/get-history',
    access: 'read',
    fields: {
      run_id: required(text()),
      metric_key: required(text()),
      max_results: pageSize({ max: 1_000_000 }),
      page_token: text(),
    },
    handler: async ({ ctx, fields }) => {
      const found = await metricHistory(ctx, {
        run: fields.run_id,
        key: fields.metric_key,
        max: fields.max_results,
        pageToken: fields.page_token,
      })
      return { metrics: found.points.map(wireMetric), ...page(found.nextPageToken) }
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/metrics/get-history-bulk',
    access: 'read',
    fields: {
      run_id: required(list(text(), { max: 10_000 })),
      metric_key: required(text()),
      max_results: pageSize({ max: BULK_MAX }),
    },
    handler: async ({ ctx, fields }) => {
      const asked = { runs: fields.run_id, key: fields.metric_key, max: fields.max_results ?? BULK_MAX }
      return { metrics: (await metricHistoryBulk(ctx, asked)).map(wireOfRun) }
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/metrics/get-history-bulk-interval',
    access: 'read',
    fields: {
      run_ids: required(list(text(), { max: 10_000 })),
      metric_key: required(text()),
      start_step: int64(),
      end_step: int64(),
      max_results: int64(),
    },
    handler: async ({ ctx, fields }) => {
      const max = fields.max_results ?? BigInt(SAMPLE_MAX)
      if (max < 1n || max > BigInt(SAMPLE_MAX)) throw refusal(`max_results must be between 1 and ${SAMPLE_MAX}.`)
      const asked = {
        runs: fields.run_ids,
        key: fields.metric_key,
        start: fields.start_step,
        end: fields.end_step,
        max: Number(max),
      }
      return { metrics: (await metricHistorySample(ctx, asked)).map(wireOfRun) }
    },
  }),
]
