import type { BlobStore } from '@plimsoll/sdk/seams'
import { applyBody, planBody, planView } from '@plimsoll/sdk/wire'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import type { StepKinds } from '../pipelines/index.ts'
import { applyPlan, reviewPlan } from './plan.ts'

const PLAN_BYTES_MAX = 16 << 20

/** Plan and apply. */
export function definitionEndpoints(deps: { blobs: BlobStore; kinds: StepKinds }): AnyEndpoint[] {
  return [
    endpoint({
      method: 'POST',
      path: '/api/v1/plan',
      scope: 'viewer',
      summary: 'The difference between a project and the server',
      body: planBody,
      bodyLimitBytes: PLAN_BYTES_MAX,
      response: planView,
      handler: async ({ ctx, body }) => reviewPlan(ctx, deps, body.content, body.prune),
    }),
    endpoint({
      method: 'POST',
      path: '/api/v1/apply',
      scope: 'editor',
      summary: 'Make a plan so',
      body: applyBody,
      bodyLimitBytes: PLAN_BYTES_MAX,
      response: planView,
      handler: async ({ ctx, body }) => applyPlan(ctx, deps, body.content, body.prune, body.plan),
    }),
  ]
}
