import type { BlobStore } from '@plimsoll/sdk/seams'
import {
  ordinalText,
  releaseBody,
  releaseList,
  releaseView,
  retireBody,
  rollbackBody,
  routeList,
  routeView,
  wholeText,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import type { Context } from '../../kernel/db/index.ts'
import { type AnyEndpoint, endpoint } from '../../kernel/http/index.ts'
import { findAssignment } from './assignment.ts'
import { judgeRelease, release, rollback } from './release.ts'
import { refuseDamagedArtifact } from './release-artifact.ts'
import { listReleases, type ReleaseRecord } from './release-record.ts'
import { retire } from './retire.ts'
import { listRoutes, type RouteRecord, requireRoute } from './route.ts'

const routeParams = z.strictObject({ route: z.string().max(63) })
const environmentQuery = z.strictObject({ environment: z.string().max(63).default('production') })

function viewOf(record: ReleaseRecord): z.input<typeof releaseView> {
  return { ...record, createdAt: record.createdAt.toISOString() }
}

async function routeViewOf(ctx: Context, route: RouteRecord): Promise<z.input<typeof routeView>> {
  const assigned = await findAssignment(ctx, { environment: route.environment, route: route.name })
  return {
    environment: route.environment,
    name: route.name,
    digest: route.digest,
    definition: route.definition,
    assignment: assigned
      ? {
          release: assigned.release,
          epoch: assigned.epoch,
          model: assigned.model,
          version: assigned.version,
          artifact: assigned.artifact,
          passport: assigned.passport,
          since: assigned.updated_at.toISOString(),
        }
      : null,
  }
}

const readEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'GET',
    path: '/api/v1/routes',
    scope: 'viewer',
    summary: 'Every route of the project and what serves on it',
    response: routeList,
    handler: async ({ ctx }) => ({
      routes: await Promise.all((await listRoutes(ctx)).map((route) => routeViewOf(ctx, route))),
    }),
  }),
  endpoint({
    method: 'GET',
    path: '/api/v1/routes/:route',
    scope: 'viewer',
    summary: 'One route',
    params: routeParams,
    query: environmentQuery,
    response: routeView,
    handler: async ({ ctx, params, query }) =>
      routeViewOf(ctx, await requireRoute(ctx, { environment: query.environment, name: params.route })),
  }),
  endpoint({
    method: 'GET',
    path: '/api/v1/routes/:route/releases',
    scope: 'viewer',
    summary: 'Releases of a route, newest first',
    params: routeParams,
    query: environmentQuery.extend({
      before_epoch: ordinalText.optional(),
      limit: wholeText({ min: 1, max: 1_000 }).default(100),
    }),
    response: releaseList,
    handler: async ({ ctx, params, query }) => {
      await requireRoute(ctx, { environment: query.environment, name: params.route })
      const found = await listReleases(
        ctx,
        { environment: query.environment, route: params.route },
        { beforeEpoch: query.before_epoch, limit: query.limit },
      )
      return { releases: found.map(viewOf) }
    },
  }),
]

const moveBackEndpoints: readonly AnyEndpoint[] = [
  endpoint({
    method: 'POST',
    path: '/api/v1/routes/:route/rollback',
    scope: 'named:approver',
    summary: 'Return a route to the version that served before',
    params: routeParams,
    body: rollbackBody,
    response: releaseView,
    handler: async ({ ctx, params, body }) =>
      viewOf(await ctx.transaction((tx) => rollback(tx, { route: params.route, ...body }))),
  }),
  endpoint({
    method: 'POST',
    path: '/api/v1/routes/:route/retire',
    scope: 'named:approver',
    summary: 'End what a route serves',
    params: routeParams,
    body: retireBody,
    response: releaseView,
    handler: async ({ ctx, params, body }) =>
      viewOf(await ctx.transaction((tx) => retire(tx, { route: params.route, ...body }))),
  }),
]

/** Routes and releases. */
export function deliveryEndpoints(deps: { blobs: BlobStore }): readonly AnyEndpoint[] {
  return [
    ...readEndpoints,
    endpoint({
      method: 'POST',
      path: '/api/v1/routes/:route/releases',
      scope: 'named:approver',
      summary: 'Release a model version to a route',
      params: routeParams,
      body: releaseBody,
      response: releaseView,
      handler: async ({ ctx, params, body }) => {
        const request = { route: params.route, ...body }
        // What would be refused anyhow reads no file, and nobody waits for the route while one is read.
        const { to } = await ctx.transaction((tx) => judgeRelease(tx, request))
        if (to !== null) await refuseDamagedArtifact(deps.blobs, to)
        return viewOf(await ctx.transaction((tx) => release(tx, request)))
      },
    }),
    ...moveBackEndpoints,
  ]
}
