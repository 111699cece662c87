import type { BlobStore } from '@plimsoll/sdk/seams'
import { labelsBody, liveView, receivedLabels } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import { requestJoin } from './join-job.ts'
import { joinLabels, recordLabels } from './label.ts'
import { readLive } from './live.ts'

/** Labels in, live figures out. */
export function monitoringEndpoints(deps: { blobs: BlobStore }): AnyEndpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/api/v1/labels',
      scope: 'editor',
      summary: 'Labels of predictions, as they become known',
      body: labelsBody,
      bodyLimitBytes: 8 << 20,
      response: receivedLabels,
      handler: async ({ ctx, body }) => {
        await ctx.transaction(async (tx) => {
          await recordLabels(tx, body.labels)
          await requestJoin(tx)
        })
        return { received: body.labels.length }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/routes/:route/live',
      scope: 'viewer',
      summary: 'Live counts and quality of a route',
      params: z.strictObject({ route: z.string().max(63) }),
      query: z.strictObject({ environment: z.string().max(63).default('production') }),
      response: liveView,
      handler: async ({ ctx, params, query }) => {
        await joinLabels(ctx, deps.blobs)
        return readLive(ctx, { route: params.route, environment: query.environment })
      },
    }),
  ]
}
