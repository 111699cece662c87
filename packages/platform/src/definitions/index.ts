import type { BlobStore } from '@plimsoll/sdk/seams'
import { applyBody, planBody, planView } from '@plimsoll/sdk/wire'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import type { StepKinds } from '../pipelines/index.ts'
import { applyPlan, reviewPlan } from './plan.ts'

const PLAN_BYTES_MAX = 16 << 20
/** 2,000 datasets of 50 columns and 5,000 steps have about half of it; so have code bundles of 50,000 files in all. */
const PLAN_VALUES_MAX = 500_000

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
      bodyValuesMax: PLAN_VALUES_MAX,
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
      bodyValuesMax: PLAN_VALUES_MAX,
      response: planView,
      handler: async ({ ctx, body }) => applyPlan(ctx, deps, body.content, body.prune, body.plan),
    }),
  ]
}
