import {
  createRun,
  deleteRunTag,
  RUN_STATUS,
  requireTrackedRun,
  setRunLifecycle,
  setRunTag,
  updateRun,
} from '../run.ts'
import { logInputs, logModelDocument, logOutputs } from '../run-input.ts'
import { logBatch } from '../run-log.ts'
import { searchRuns, VIEW_TYPE } from '../run-search.ts'
import { LONG_BODY_MAX_BYTES, type MlflowEndpoint, mlflowEndpoint } from '../surface/endpoint.ts'
import { choice, double, experimentId, int64, list, pageSize, record, required, text } from '../surface/fields.ts'
import { page, wireRun, wireRunInfo } from '../wire.ts'
import { pairsOf } from './experiment-routes.ts'

const INPUT_BODY_MAX_BYTES = 20_000_000
const runId = required(text())
const pairs = list(record({ key: required(text()), value: text() }), { max: 10_000 })
const metricFields = {
  key: required(text()),
  value: required(double()),
  timestamp: required(int64()),
  step: int64(),
  model_id: text(),
  dataset_name: text(),
  dataset_digest: text(),
}

interface GivenMetric {
  key: string
  value: number
  timestamp: bigint
  step: bigint | undefined
  model_id: string | undefined
  dataset_name: string | undefined
  dataset_digest: string | undefined
}

function pointOf(given: GivenMetric) {
  return {
    key: given.key,
    value: given.value,
    timestampMs: given.timestamp,
    step: given.step ?? 0n,
    model: given.model_id,
    datasetName: given.dataset_name,
    datasetDigest: given.dataset_digest,
  }
}

const lifecycleEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/create',
    access: 'write',
    replay: true,
    fields: { experiment_id: experimentId(), user_id: text(), run_name: text(), start_time: int64(), tags: pairs },
    handler: async ({ ctx, fields }) => ({
      run: wireRun(
        await createRun(ctx, {
          experiment: fields.experiment_id || '0',
          user: fields.user_id,
          name: fields.run_name,
          startMs: fields.start_time,
          tags: pairsOf(fields.tags),
        }),
      ),
    }),
  }),
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/runs/get',
    access: 'read',
    fields: { run_id: runId },
    handler: async ({ ctx, fields }) => ({ run: wireRun(await requireTrackedRun(ctx, fields.run_id)) }),
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/update',
    access: 'write',
    fields: { run_id: runId, status: choice(RUN_STATUS), end_time: int64(), run_name: text() },
    handler: async ({ ctx, fields }) => ({
      run_info: wireRunInfo(
        await updateRun(ctx, fields.run_id, { status: fields.status, endMs: fields.end_time, name: fields.run_name }),
      ),
    }),
  }),
  ...(['delete', 'restore'] as const).map((verb) =>
    mlflowEndpoint({
      method: 'POST',
      path: `/mlflow/runs/${verb}`,
      access: 'write',
      fields: { run_id: runId },
      handler: async ({ ctx, fields }) => {
        await setRunLifecycle(ctx, fields.run_id, verb === 'delete' ? 'deleted' : 'active')
        return {}
      },
    }),
  ),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/search',
    access: 'read',
    fields: {
      experiment_ids: list(experimentId(), { max: 10_000 }),
      filter: text(),
      run_view_type: choice(VIEW_TYPE),
      max_results: pageSize({ max: 50_000 }),
      order_by: list(text(), { max: 20 }),
      page_token: text(),
    },
    handler: async ({ ctx, fields }) => {
      const found = await searchRuns(ctx, {
        experiments: fields.experiment_ids ?? [],
        filter: fields.filter,
        view: fields.run_view_type,
        max: fields.max_results,
        orderBy: fields.order_by,
        pageToken: fields.page_token,
      })
      return { runs: found.runs.map(wireRun), ...page(found.nextPageToken) }
    },
  }),
]

const logEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/log-metric',
    access: 'write',
    fields: { run_id: runId, ...metricFields },
    handler: async ({ ctx, fields }) => {
      await logBatch(ctx, fields.run_id, { metrics: [pointOf(fields)] })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/log-parameter',
    access: 'write',
    fields: { run_id: runId, key: required(text()), value: text() },
    handler: async ({ ctx, fields }) => {
      await logBatch(ctx, fields.run_id, { params: [{ key: fields.key, value: fields.value ?? '' }] })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/log-batch',
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    fields: { run_id: runId, metrics: list(record(metricFields), { max: 100_000 }), params: pairs, tags: pairs },
    handler: async ({ ctx, fields }) => {
      await logBatch(ctx, fields.run_id, {
        metrics: (fields.metrics ?? []).map(pointOf),
        params: pairsOf(fields.params),
        tags: pairsOf(fields.tags),
      })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/set-tag',
    access: 'write',
    fields: { run_id: runId, key: required(text()), value: text() },
    handler: async ({ ctx, fields }) => {
      await setRunTag(ctx, fields.run_id, { key: fields.key, value: fields.value ?? '' })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/delete-tag',
    access: 'write',
    fields: { run_id: runId, key: required(text()) },
    handler: async ({ ctx, fields }) => {
      await deleteRunTag(ctx, fields.run_id, fields.key)
      return {}
    },
  }),
]

const inputEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/log-model',
    access: 'write',
    fields: { run_id: runId, model_json: required(text(1_048_575)) },
    handler: async ({ ctx, fields }) => {
      await logModelDocument(ctx, fields.run_id, fields.model_json)
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/log-inputs',
    access: 'write',
    bodyMaxBytes: INPUT_BODY_MAX_BYTES,
    fields: {
      run_id: runId,
      datasets: list(
        record({
          tags: list(record({ key: required(text(255)), value: required(text(500)) }), { max: 100 }),
          dataset: required(
            record({
              name: required(text(500)),
              digest: required(text(36)),
              source_type: required(text(500)),
              source: required(text(65_535)),
              schema: text(1_048_575),
              profile: text(16_777_215),
            }),
          ),
        }),
        { max: 1_000 },
      ),
      models: list(record({ model_id: required(text()) }), { max: 1_000 }),
    },
    handler: async ({ ctx, fields }) => {
      const datasets = (fields.datasets ?? []).map(({ dataset, tags }) => ({
        ...dataset,
        sourceType: dataset.source_type,
        tags: pairsOf(tags),
      }))
      await logInputs(ctx, fields.run_id, { datasets, models: (fields.models ?? []).map((model) => model.model_id) })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/runs/outputs',
    access: 'write',
    fields: {
      run_id: runId,
      models: required(list(record({ model_id: required(text()), step: int64() }), { max: 1_000 })),
    },
    handler: async ({ ctx, fields }) => {
      await logOutputs(
        ctx,
        fields.run_id,
        fields.models.map((link) => ({ model: link.model_id, step: link.step ?? 0n })),
      )
      return {}
    },
  }),
]

export const runEndpoints = [...lifecycleEndpoints, ...logEndpoints, ...inputEndpoints]
