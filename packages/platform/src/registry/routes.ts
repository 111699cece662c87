import {
  aliasView,
  approveBody,
  givenApproval,
  type ModelVersionSummary,
  modelList,
  modelVersionList,
  modelVersionView,
  moveAliasBody,
  ordinalText,
  wholeText,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import type { Json } from '../kernel/canonical.ts'
import type { Context } from '../kernel/db/index.ts'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import { deleteAlias, listAliases, moveAlias } from './alias.ts'
import { approve, listApprovals } from './approval.ts'
import { type EnvironmentDeps, requireEnvironment } from './environment.ts'
import { listModels, requireModel } from './model.ts'
import { findNotesRevision, notesOf } from './model-notes.ts'
import { passportGaps } from './passport.ts'
import { listModelVersions, type ModelVersion, requireModelVersion } from './version.ts'

const modelParams = z.strictObject({ model: z.string().max(250) })
const versionParams = modelParams.extend({ version: ordinalText })
const environmentQuery = z.strictObject({ environment: z.string().max(63).default('production') })
const HISTORY_MAX = 200

function summaryOf(version: ModelVersion, aliases: readonly { alias: string; version: number }[]): ModelVersionSummary {
  const { model, artifact, passport, sizeBytes, run, trackedRun, createdBy } = version
  return {
    model,
    version: version.version,
    artifact,
    passport,
    sizeBytes,
    aliases: aliases.filter((alias) => alias.version === version.version).map((alias) => alias.alias),
    run,
    trackedRun,
    metrics: version.bound.metrics,
    createdBy,
    createdAt: version.createdAt.toISOString(),
  }
}

/** What happened to a version, its aliases and its releases, newest first. */
async function historyOf(ctx: Context, model: string, version: number) {
  const rows = await ctx.db
    .selectFrom('audit')
    .selectAll()
    .where('project', '=', ctx.project)
    .where((eb) =>
      eb.or([
        eb('subject', '=', `${model}/${version}`),
        eb('subject', 'like', `${model.replaceAll(/[\\%_]/g, '\\$&')}@%`),
        eb('action', 'in', ['release.create', 'release.rollback', 'release.retire']),
      ]),
    )
    .orderBy('seq', 'desc')
    .limit(HISTORY_MAX * 5)
    .execute()
  return rows
    .filter((row) => {
      const data = row.data as { model?: unknown; version?: unknown; to?: unknown; from?: unknown } | null // written by tx.audit
      if (row.subject === `${model}/${version}`) return true
      return row.action.startsWith('release.')
        ? data?.model === model && data.version === version
        : data?.to === version || data?.from === version
    })
    .slice(0, HISTORY_MAX)
    .map((row) => ({
      at: row.at.toISOString(),
      actor: row.actor,
      proof: row.proof,
      action: row.action,
      subject: row.subject,
      data: row.data as Json as never,
    })) // stored as JSON
}

const modelEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/models',
    scope: 'viewer',
    summary: 'Registered models, by name',
    query: z.strictObject({
      after: z.string().max(250).optional(),
      limit: wholeText({ min: 1, max: 1_000 }).default(200),
    }),
    response: modelList,
    handler: async ({ ctx, query }) => {
      const found = await listModels(ctx, { ...query, limit: query.limit + 1 })
      const models = found.slice(0, query.limit)
      return {
        next: found.length > query.limit ? models.at(-1)!.name : null,
        models: await Promise.all(
          models.map(async (model) => ({
            name: model.name,
            description: model.description,
            versions: model.lastVersion,
            latest: model.lastVersion === 0 ? null : model.lastVersion,
            champion: (await listAliases(ctx, model.name)).find((alias) => alias.alias === 'champion')?.version ?? null,
            updatedAt: model.updatedAt.toISOString(),
          })),
        ),
      }
    },
  }),
  endpoint({
    method: 'GET',
    path: '/api/v1/models/:model/versions',
    scope: 'viewer',
    summary: 'Versions of a model, newest first',
    params: modelParams,
    query: z.strictObject({
      before: ordinalText.optional(),
      limit: wholeText({ min: 1, max: 500 }).default(100),
    }),
    response: modelVersionList,
    handler: async ({ ctx, params, query }) => {
      await requireModel(ctx, params.model)
      const aliases = await listAliases(ctx, params.model)
      const found = await listModelVersions(ctx, params.model, { ...query, limit: query.limit + 1 })
      const versions = found.slice(0, query.limit)
      return {
        next: found.length > query.limit ? versions.at(-1)!.version : null,
        versions: versions.map((version) => summaryOf(version, aliases)),
      }
    },
  }),
]

const aliasEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'PUT',
    path: '/api/v1/models/:model/aliases/:alias',
    scope: 'editor',
    summary: 'Point an alias at a version',
    params: modelParams.extend({ alias: z.string().max(255) }),
    body: moveAliasBody,
    response: aliasView,
    handler: async ({ ctx, params, body }) =>
      moveAlias(ctx, {
        ...params,
        version: body.version,
        ...(body.expected === undefined ? {} : { expected: body.expected }),
      }),
  }),
  endpoint({
    method: 'DELETE',
    path: '/api/v1/models/:model/aliases/:alias',
    scope: 'editor',
    summary: 'Take an alias away',
    params: modelParams.extend({ alias: z.string().max(255) }),
    response: 'nothing',
    handler: async ({ ctx, params }) => deleteAlias(ctx, params),
  }),
]

/** Models, versions with their passports, approvals and aliases. */
export function registryEndpoints(deps: EnvironmentDeps): readonly AnyEndpoint[] {
  return [
    ...modelEndpoints,
    endpoint({
      method: 'GET',
      path: '/api/v1/models/:model/versions/:version',
      scope: 'viewer',
      summary: 'One version: passport, gaps, approvals, history',
      params: versionParams,
      query: environmentQuery,
      response: modelVersionView,
      handler: async ({ ctx, params, query }) => {
        const version = await requireModelVersion(ctx, params)
        const key = { ...params, environment: query.environment }
        await requireEnvironment(ctx, deps, key)
        const notes = await notesOf(ctx, params.model)
        const said = await findNotesRevision(ctx, params.model, notes)
        return {
          ...summaryOf(version, await listAliases(ctx, params.model)),
          description: version.description,
          bound: version.bound,
          notes,
          notesRevision: said && { ...said, at: said.at.toISOString() },
          gaps: await passportGaps(ctx, key),
          environment: query.environment,
          approvals: await listApprovals(ctx, key),
          history: await historyOf(ctx, params.model, params.version),
        }
      },
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/models/:model/versions/:version/approvals',
      scope: 'named:approver',
      summary: 'Approve a version for an environment',
      params: versionParams,
      body: approveBody,
      response: givenApproval,
      handler: async ({ ctx, params, body }) =>
        ctx.transaction(async (tx) => {
          await requireEnvironment(tx, deps, { ...params, environment: body.environment })
          const { at, isNew, ...approval } = await approve(tx, { ...params, ...body })
          return {
            approval: { ...approval, artifact: approval.artifact, isValid: true, at: at.toISOString() },
            isNew,
            gaps: await passportGaps(tx, { ...params, environment: body.environment }),
          }
        }),
    }),
    ...aliasEndpoints,
  ]
}
