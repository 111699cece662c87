import {
  definitionName,
  featureDefinitionPage,
  featureDefinitionView,
  featureServingView,
  materializationList,
  wholeText,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../kernel/http/endpoint.ts'
import { listDefinitions, requireDefinition } from './definition-store.ts'
import { listMaterializations } from './materialization.ts'
import { servingSpec } from './serving-spec.ts'
import type { FeatureKind } from './tables.ts'

const limit = wholeText({ min: 1, max: 200 }).default(50)
function listOf(path: string, kind: FeatureKind, summary: string): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path,
    scope: 'viewer',
    summary,
    query: z.strictObject({ after: definitionName.optional(), limit }),
    response: featureDefinitionPage,
    handler: ({ ctx, query }) =>
      listDefinitions(ctx, kind, { limit: query.limit, ...(query.after === undefined ? {} : { after: query.after }) }),
  })
}

function oneOf(path: string, kind: FeatureKind, summary: string): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: `${path}/:name`,
    scope: 'viewer',
    summary,
    params: z.strictObject({ name: definitionName }),
    response: featureDefinitionView,
    handler: async ({ ctx, params }) => {
      const { definition, digest, generation } = await requireDefinition(ctx, kind, params.name)
      return { name: params.name, digest, generation, definition }
    },
  })
}

const serving = endpoint({
  method: 'GET',
  path: '/api/v1/feature-services/:name/serving',
  scope: 'viewer',
  summary: 'Show what a gateway is told to look up for a feature service',
  params: z.strictObject({ name: definitionName }),
  response: featureServingView,
  handler: ({ ctx, params }) => servingSpec(ctx, params.name),
})

const materializations = endpoint({
  method: 'GET',
  path: '/api/v1/feature-views/:name/materializations',
  scope: 'viewer',
  summary: 'What of a feature view was written into the online store, newest first',
  params: z.strictObject({ name: definitionName }),
  query: z.strictObject({ limit }),
  response: materializationList,
  handler: async ({ ctx, params, query }) => ({
    materializations: await listMaterializations(ctx, params.name, query.limit),
  }),
})

export const endpoints: readonly AnyEndpoint[] = [
  listOf('/api/v1/entities', 'entity', 'List entities'),
  oneOf('/api/v1/entities', 'entity', 'Show an entity'),
  listOf('/api/v1/feature-views', 'feature-view', 'List feature views'),
  oneOf('/api/v1/feature-views', 'feature-view', 'Show a feature view'),
  listOf('/api/v1/feature-services', 'feature-service', 'List feature services'),
  oneOf('/api/v1/feature-services', 'feature-service', 'Show a feature service'),
  serving,
  materializations,
]
