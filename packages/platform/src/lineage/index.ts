import type { BlobStore } from '@plimsoll/sdk/seams'
import { explanation } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../kernel/http/index.ts'
import { explainPrediction } from './explain.ts'

/** Questions that walk the spine. */
export function lineageEndpoints(deps: { blobs: BlobStore }): AnyEndpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/predictions/:prediction/explanation',
      scope: 'viewer',
      summary: 'The chain of a prediction, back to the commit and the data',
      params: z.strictObject({ prediction: z.string().max(64) }),
      response: explanation,
      handler: async ({ ctx, params }) => explainPrediction(ctx, deps.blobs, params.prediction),
    }),
  ]
}
