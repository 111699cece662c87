import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import {
  LONG_BODY_MAX_BYTES,
  list,
  type MlflowEndpoint,
  mlflowEndpoint,
  pageSize,
  record,
  required,
  text,
} from '../tracking/index.ts'
import { deleteAlias, isProtectedAlias, moveAlias, versionOfAlias } from './alias.ts'
import { parseVersion } from './mlflow-version-routes.ts'
import { modelNotFound, readLatest, readModel, readModels, readVersion } from './mlflow-wire.ts'
import { findModel } from './model.ts'
import { createModel, deleteModel, describeModel, renameModel } from './model-edit.ts'
import { unmetForRelease } from './protected-alias.ts'
import { searchModelNames } from './search.ts'
import { deleteTag, setTags } from './tag.ts'
import { parseStage } from './version-edit.ts'

const MODELS = '/mlflow/registered-models'
const name = required(text())
const tagList = list(record({ key: required(text()), value: text() }), { max: 1_000 })

async function requireNamed(ctx: Context, model: string): Promise<void> {
  if (!(await findModel(ctx, model))) throw modelNotFound(model)
}

const aliasEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: `${MODELS}/alias`,
    access: 'write',
    fields: { name, alias: required(text()), version: required(text()) },
    handler: async ({ ctx, fields }) => {
      const key = { model: fields.name, version: parseVersion(fields.version) }
      await requireNamed(ctx, fields.name)
      await readVersion(ctx, key)
      if (isProtectedAlias(fields.alias))
        throw new PlimsollError(
          'forbidden',
          'registry.alias_protected',
          `Permission denied: alias '${fields.alias}' ${await unmetForRelease(ctx, key)}`,
          { action: 'Release the version: plimsoll release ROUTE VERSION --reason WHY' },
        )
      await moveAlias(ctx, { ...key, alias: fields.alias })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${MODELS}/alias`,
    access: 'write',
    fields: { name, alias: required(text()) },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await deleteAlias(ctx, { model: fields.name, alias: fields.alias })
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${MODELS}/alias`,
    access: 'read',
    fields: { name, alias: required(text()) },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      const version = await versionOfAlias(ctx, { model: fields.name, alias: fields.alias })
      return { model_version: await readVersion(ctx, { model: fields.name, version }) }
    },
  }),
]

const tagEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: `${MODELS}/set-tag`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    fields: { name, key: required(text()), value: text() },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await setTags(ctx, { model: fields.name, version: 0 }, [{ key: fields.key, value: fields.value ?? '' }])
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${MODELS}/delete-tag`,
    access: 'write',
    fields: { name, key: required(text()) },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await deleteTag(ctx, { model: fields.name, version: 0 }, fields.key)
      return {}
    },
  }),
]

const latestEndpoint = (method: 'GET' | 'POST') =>
  mlflowEndpoint({
    method,
    path: `${MODELS}/get-latest-versions`,
    access: 'read',
    fields: { name, stages: list(text(), { max: 10 }) },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      return { model_versions: await readLatest(ctx, fields.name, (fields.stages ?? []).map(parseStage)) }
    },
  })

export const modelRoutes: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'POST',
    path: `${MODELS}/create`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    replay: true,
    fields: { name: required(text()), tags: tagList, description: text() },
    handler: async ({ ctx, fields }) => {
      await ctx.transaction(async (tx) => {
        await createModel(tx, { name: fields.name, description: fields.description ?? '' })
        await setTags(
          tx,
          { model: fields.name, version: 0 },
          (fields.tags ?? []).map(({ key, value }) => ({ key, value: value ?? '' })),
        )
      })
      return { registered_model: await readModel(ctx, fields.name) }
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${MODELS}/get`,
    access: 'read',
    fields: { name },
    handler: async ({ ctx, fields }) => ({ registered_model: await readModel(ctx, fields.name) }),
  }),
  mlflowEndpoint({
    method: 'PATCH',
    path: `${MODELS}/update`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    fields: { name, description: text() },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await describeModel(ctx, fields.name, fields.description ?? '')
      return { registered_model: await readModel(ctx, fields.name) }
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: `${MODELS}/rename`,
    access: 'write',
    fields: { name, new_name: required(text()) },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await renameModel(ctx, fields.name, fields.new_name)
      return { registered_model: await readModel(ctx, fields.new_name) }
    },
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${MODELS}/delete`,
    access: 'write',
    fields: { name },
    handler: async ({ ctx, fields }) => {
      await requireNamed(ctx, fields.name)
      await deleteModel(ctx, fields.name)
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${MODELS}/search`,
    access: 'read',
    fields: {
      filter: text(),
      max_results: pageSize({ max: 1_000 }),
      order_by: list(text(), { max: 20 }),
      page_token: text(),
    },
    handler: async ({ ctx, fields }) => {
      const found = await searchModelNames(ctx, {
        filter: fields.filter,
        max: fields.max_results,
        orderBy: fields.order_by,
        pageToken: fields.page_token,
      })
      return {
        registered_models: await readModels(ctx, found.names),
        ...(found.nextPageToken ? { next_page_token: found.nextPageToken } : {}),
      }
    },
  }),
  latestEndpoint('POST'),
  latestEndpoint('GET'),
  ...aliasEndpoints,
  ...tagEndpoints,
]
