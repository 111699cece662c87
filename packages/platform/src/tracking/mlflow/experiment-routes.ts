import {
  createExperiment,
  deleteExperimentTag,
  findExperimentByName,
  renameExperiment,
  requireExperiment,
  setExperimentLifecycle,
  setExperimentTag,
} from '../experiment.ts'
import { searchExperiments } from '../experiment-search.ts'
import { missing } from '../failure.ts'
import { VIEW_TYPE } from '../run-search.ts'
import { type MlflowEndpoint, mlflowEndpoint } from '../surface/endpoint.ts'
import { choice, experimentId, list, pageSize, record, required, text } from '../surface/fields.ts'
import { page, wireExperiment } from '../wire.ts'

const tags = list(record({ key: required(text()), value: text() }), { max: 1_000 })
const id = required(experimentId())
const search = {
  view_type: choice(VIEW_TYPE),
  max_results: pageSize({ max: 50_000 }),
  filter: text(),
  order_by: list(text(), { max: 20 }),
  page_token: text(),
}

export function pairsOf(given: readonly { key: string; value: string | undefined }[] | undefined) {
  return (given ?? []).map(({ key, value }) => ({ key, value: value ?? '' }))
}

const searchEndpoint = (method: 'GET' | 'POST') =>
  mlflowEndpoint({
    method,
    path: '/mlflow/experiments/search',
    access: 'read',
    fields: search,
    handler: async ({ ctx, fields }) => {
      const found = await searchExperiments(ctx, {
        filter: fields.filter,
        view: fields.view_type,
        max: fields.max_results,
        orderBy: fields.order_by,
        pageToken: fields.page_token,
      })
      return { experiments: found.experiments.map(wireExperiment), ...page(found.nextPageToken) }
    },
  })

export const experimentEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/experiments/create',
    access: 'write',
    replay: true,
    fields: { name: required(text()), artifact_location: text(), tags },
    handler: async ({ ctx, fields }) => ({
      experiment_id: await createExperiment(ctx, {
        name: fields.name,
        artifactLocation: fields.artifact_location,
        tags: pairsOf(fields.tags),
      }),
    }),
  }),
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/experiments/get',
    access: 'read',
    fields: { experiment_id: id },
    handler: async ({ ctx, fields }) => ({
      experiment: wireExperiment(await requireExperiment(ctx, fields.experiment_id)),
    }),
  }),
  mlflowEndpoint({
    method: 'GET',
    path: '/mlflow/experiments/get-by-name',
    access: 'read',
    fields: { experiment_name: required(text()) },
    handler: async ({ ctx, fields }) => {
      const found = await findExperimentByName(ctx, fields.experiment_name)
      if (!found)
        throw missing('experiment_not_found', `Could not find experiment with name '${fields.experiment_name}'`)
      return { experiment: wireExperiment(found) }
    },
  }),
  searchEndpoint('POST'),
  searchEndpoint('GET'),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/experiments/update',
    access: 'write',
    fields: { experiment_id: id, new_name: required(text()) },
    handler: async ({ ctx, fields }) => {
      await renameExperiment(ctx, fields.experiment_id, fields.new_name)
      return {}
    },
  }),
  ...(['delete', 'restore'] as const).map((verb) =>
    mlflowEndpoint({
      method: 'POST',
      path: `/mlflow/experiments/${verb}`,
      access: 'write',
      fields: { experiment_id: id },
      handler: async ({ ctx, fields }) => {
        await setExperimentLifecycle(ctx, fields.experiment_id, verb === 'delete' ? 'deleted' : 'active')
        return {}
      },
    }),
  ),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/experiments/set-experiment-tag',
    access: 'write',
    fields: { experiment_id: id, key: required(text()), value: text() },
    handler: async ({ ctx, fields }) => {
      await setExperimentTag(ctx, fields.experiment_id, { key: fields.key, value: fields.value ?? '' })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/experiments/delete-experiment-tag',
    access: 'write',
    fields: { experiment_id: id, key: required(text()) },
    handler: async ({ ctx, fields }) => {
      await deleteExperimentTag(ctx, fields.experiment_id, fields.key)
      return {}
    },
  }),
]
