import { artifactRoot, listArtifacts } from '../artifact.ts'
import { checkArtifactDirectory } from '../artifact-path.ts'
import { LIMITS } from '../limits.ts'
import {
  createLoggedModel,
  deleteLoggedModel,
  deleteLoggedModelTag,
  finalizeLoggedModel,
  LOGGED_MODEL_STATUS,
  logModelParams,
  requireLoggedModel,
  setLoggedModelTags,
} from '../logged-model.ts'
import { searchLoggedModels } from '../logged-model-search.ts'
import { type MlflowEndpoint, mlflowEndpoint } from '../surface/endpoint.ts'
import { choice, experimentId, flag, list, pageSize, record, required, text } from '../surface/fields.ts'
import { page, wireFile, wireLoggedModel } from '../wire.ts'
import { pairsOf } from './experiment-routes.ts'

const pairs = (max: number) => list(record({ key: required(text()), value: text() }), { max })
const MODEL = '/mlflow/logged-models/:model_id'

const editEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'PATCH',
    path: `${MODEL}/tags`,
    access: 'write',
    fields: { tags: pairs(1_000) },
    handler: async ({ ctx, path, fields }) => ({
      model: wireLoggedModel(await setLoggedModelTags(ctx, path['model_id']!, pairsOf(fields.tags))),
    }),
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${MODEL}/tags/:key`,
    access: 'write',
    fields: {},
    handler: async ({ ctx, path }) => {
      await deleteLoggedModelTag(ctx, path['model_id']!, path['key']!)
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: `${MODEL}/params`,
    access: 'write',
    fields: { params: pairs(LIMITS.loggedModelParams) },
    handler: async ({ ctx, path, fields }) => {
      await logModelParams(ctx, path['model_id']!, pairsOf(fields.params))
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${MODEL}/artifacts/directories`,
    access: 'read',
    fields: { artifact_directory_path: text(), page_token: text() },
    handler: async ({ ctx, path, fields }) => {
      const model = await requireLoggedModel(ctx, path['model_id']!)
      const below = checkArtifactDirectory(fields.artifact_directory_path)
      const root = artifactRoot(model.artifact_uri)
      const files = root === undefined ? [] : await listArtifacts(ctx, below === '' ? root : `${root}/${below}`)
      return { root_uri: model.artifact_uri, files: files.map((file) => wireFile(file, below)) }
    },
  }),
]

export const loggedModelEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/logged-models',
    access: 'write',
    replay: true,
    fields: {
      experiment_id: required(experimentId()),
      name: text(),
      model_type: text(500),
      source_run_id: text(),
      params: pairs(1_000),
      tags: pairs(1_000),
    },
    handler: async ({ ctx, fields }) => ({
      model: wireLoggedModel(
        await createLoggedModel(ctx, {
          experiment: fields.experiment_id,
          name: fields.name,
          modelType: fields.model_type,
          sourceRun: fields.source_run_id,
          params: pairsOf(fields.params),
          tags: pairsOf(fields.tags),
        }),
      ),
    }),
  }),
  mlflowEndpoint({
    method: 'POST',
    path: '/mlflow/logged-models/search',
    access: 'read',
    fields: {
      experiment_ids: required(list(experimentId(), { max: 10_000 })),
      filter: text(),
      datasets: list(record({ dataset_name: required(text()), dataset_digest: text() }), { max: 100 }),
      max_results: pageSize({ max: 50_000 }),
      order_by: list(
        record({ field_name: required(text()), ascending: flag(), dataset_name: text(), dataset_digest: text() }),
        { max: 20 },
      ),
      page_token: text(),
    },
    handler: async ({ ctx, fields }) => {
      const found = await searchLoggedModels(ctx, {
        experiments: fields.experiment_ids,
        filter: fields.filter,
        datasets: (fields.datasets ?? []).map((set) => ({ name: set.dataset_name, digest: set.dataset_digest })),
        max: fields.max_results,
        orderBy: (fields.order_by ?? []).map((term) => ({
          field: term.field_name,
          ascending: term.ascending ?? true,
          dataset: term.dataset_name ? { name: term.dataset_name, digest: term.dataset_digest } : undefined,
        })),
        pageToken: fields.page_token,
      })
      return { models: found.models.map(wireLoggedModel), ...page(found.nextPageToken) }
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: MODEL,
    access: 'read',
    fields: { allow_deleted: flag() },
    handler: async ({ ctx, path, fields }) => ({
      model: wireLoggedModel(await requireLoggedModel(ctx, path['model_id']!, { allowDeleted: fields.allow_deleted })),
    }),
  }),
  mlflowEndpoint({
    method: 'PATCH',
    path: MODEL,
    access: 'write',
    fields: { status: required(choice(LOGGED_MODEL_STATUS)) },
    handler: async ({ ctx, path, fields }) => ({
      model: wireLoggedModel(await finalizeLoggedModel(ctx, path['model_id']!, fields.status)),
    }),
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: MODEL,
    access: 'write',
    fields: {},
    handler: async ({ ctx, path }) => {
      await deleteLoggedModel(ctx, path['model_id']!)
      return {}
    },
  }),
  ...editEndpoints,
]
