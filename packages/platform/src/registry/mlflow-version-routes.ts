import type { BlobStore } from '@plimsoll/sdk/seams'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import {
  checkArtifactPath,
  flag,
  LONG_BODY_MAX_BYTES,
  list,
  type MlflowEndpoint,
  mlflowEndpoint,
  pageSize,
  record,
  requireArtifact,
  required,
  sendArtifact,
  text,
  withoutReserved,
} from '../tracking/index.ts'
import { registerClientVersion } from './client-version.ts'
import { readVersion, readVersions, versionNotFound } from './mlflow-wire.ts'
import { checkDescription, checkModelName } from './model-edit.ts'
import { searchVersionKeys } from './search.ts'
import { deleteTag, setTags } from './tag.ts'
import { findModelVersion, type ModelVersion } from './version.ts'
import { deleteVersion, describeVersion, parseStage, transitionStage } from './version-edit.ts'
import { filesOf } from './version-mount.ts'
import { resolveVersion } from './version-source.ts'

const VERSIONS = '/mlflow/model-versions'
const key = { name: required(text()), version: required(text()) }

/** @throws invalid registry.bad_version */
export function parseVersion(version: string): number {
  if (!/^\d{1,9}$/.test(version)) {
    throw new PlimsollError(
      'invalid',
      'registry.bad_version',
      `Invalid value ${JSON.stringify(version.slice(0, 100))} for parameter 'version' supplied: Model version must be an integer`,
    )
  }
  return Number(version)
}

const keyOf = (fields: { name: string; version: string }) => ({
  model: fields.name,
  version: parseVersion(fields.version),
})

async function requireVersion(ctx: Context, fields: { name: string; version: string }): Promise<ModelVersion> {
  const found = await findModelVersion(ctx, keyOf(fields))
  if (!found) throw versionNotFound(keyOf(fields))
  return found
}

const changeEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'PATCH',
    path: `${VERSIONS}/update`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    fields: { ...key, description: text() },
    handler: async ({ ctx, fields }) => {
      await requireVersion(ctx, fields)
      await describeVersion(ctx, keyOf(fields), fields.description ?? '')
      return { model_version: await readVersion(ctx, keyOf(fields)) }
    },
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${VERSIONS}/delete`,
    access: 'write',
    fields: key,
    handler: async ({ ctx, fields }) => {
      await requireVersion(ctx, fields)
      await deleteVersion(ctx, keyOf(fields))
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: `${VERSIONS}/transition-stage`,
    access: 'write',
    fields: { ...key, stage: required(text()), archive_existing_versions: flag() },
    handler: async ({ ctx, fields }) => {
      await requireVersion(ctx, fields)
      await transitionStage(ctx, keyOf(fields), parseStage(fields.stage), {
        isArchiving: fields.archive_existing_versions ?? false,
      })
      return { model_version: await readVersion(ctx, keyOf(fields)) }
    },
  }),
  mlflowEndpoint({
    method: 'POST',
    path: `${VERSIONS}/set-tag`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    fields: { ...key, key: required(text()), value: text() },
    handler: async ({ ctx, fields }) => {
      await requireVersion(ctx, fields)
      await setTags(ctx, keyOf(fields), [{ key: fields.key, value: fields.value ?? '' }])
      return {}
    },
  }),
  mlflowEndpoint({
    method: 'DELETE',
    path: `${VERSIONS}/delete-tag`,
    access: 'write',
    fields: { ...key, key: required(text()) },
    handler: async ({ ctx, fields }) => {
      await requireVersion(ctx, fields)
      await deleteTag(ctx, keyOf(fields), fields.key)
      return {}
    },
  }),
]

const createEndpoint = (blobs: BlobStore) =>
  mlflowEndpoint({
    method: 'POST',
    path: `${VERSIONS}/create`,
    access: 'write',
    bodyMaxBytes: LONG_BODY_MAX_BYTES,
    replay: true,
    fields: {
      name: required(text()),
      source: required(text()),
      run_id: text(),
      run_link: text(2_048),
      description: text(),
      tags: list(record({ key: required(text()), value: text() }), { max: 1_000 }),
      model_id: text(),
    },
    handler: async ({ ctx, fields }) => {
      checkModelName(fields.name)
      checkDescription(fields.description ?? '')
      const model = fields.name
      const version = await ctx.transaction(async (tx) => {
        const number = await registerClientVersion(tx, blobs, {
          model,
          source: fields.source,
          trackedRun: fields.run_id || undefined,
          loggedModel: fields.model_id || undefined,
          runLink: fields.run_link,
          description: fields.description,
        })
        await setTags(
          tx,
          { model, version: number },
          withoutReserved(fields.tags).map((tag) => ({ key: tag.key, value: tag.value ?? '' })),
        )
        return number
      })
      return { model_version: await readVersion(ctx, { model, version }) }
    },
  })

const readEndpoints: readonly MlflowEndpoint[] = [
  mlflowEndpoint({
    method: 'GET',
    path: `${VERSIONS}/get`,
    access: 'read',
    fields: key,
    handler: async ({ ctx, fields }) => ({ model_version: await readVersion(ctx, keyOf(fields)) }),
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${VERSIONS}/search`,
    access: 'read',
    fields: {
      filter: text(),
      max_results: pageSize({ max: 200_000 }),
      order_by: list(text(), { max: 20 }),
      page_token: text(),
    },
    handler: async ({ ctx, fields }) => {
      const found = await searchVersionKeys(ctx, {
        filter: fields.filter,
        max: fields.max_results,
        orderBy: fields.order_by,
        pageToken: fields.page_token,
      })
      return {
        model_versions: await readVersions(ctx, found.keys),
        ...(found.nextPageToken ? { next_page_token: found.nextPageToken } : {}),
      }
    },
  }),
  mlflowEndpoint({
    method: 'GET',
    path: `${VERSIONS}/get-download-uri`,
    access: 'read',
    fields: key,
    handler: async ({ ctx, fields }) => ({
      artifact_uri: (await resolveVersion(ctx, await requireVersion(ctx, fields))).uri,
    }),
  }),
]

export function versionRoutes(deps: { blobs: BlobStore }): readonly MlflowEndpoint[] {
  return [
    createEndpoint(deps.blobs),
    ...readEndpoints,
    mlflowEndpoint({
      method: 'GET',
      path: '/model-versions/get-artifact',
      access: 'read',
      fields: { ...key, path: required(text()) },
      handler: async ({ ctx, fields, request }) => {
        const path = checkArtifactPath(fields.path)
        const version = await requireVersion(ctx, fields)
        const made = filesOf(version).get(path)
        if (made) return sendArtifact(deps.blobs, made, request.headers.range)
        const { root } = await resolveVersion(ctx, version)
        if (root === undefined)
          throw new PlimsollError(
            'not_found',
            'registry.artifact_elsewhere',
            `The files of ${fields.name} ${fields.version} are kept elsewhere`,
          )
        return sendArtifact(deps.blobs, await requireArtifact(ctx, `${root}/${path}`), request.headers.range)
      },
    }),
    ...changeEndpoints,
  ]
}
