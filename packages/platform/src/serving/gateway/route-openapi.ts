import type { ServedInput } from '@plimsoll/sdk/wire'
import { rowBounds } from '../../inference/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { type LiveState, versionOf } from './live-state.ts'

function schemaOf(input: ServedInput): object {
  if ('entity' in input) return { ...typeSchema(input.type), description: `Key of entity ${input.entity}` }
  const schema = typeSchema(input.type)
  return input.nullable ? { anyOf: [schema, { type: 'null' }] } : schema
}

function typeSchema(type: string): object {
  switch (type) {
    case 'boolean':
      return { type: 'boolean' }
    case 'int32':
    case 'int64':
      return { type: 'integer', format: type }
    case 'text':
    case 'bytes':
      return { type: 'string' }
    case 'timestamp':
      return { type: 'string', format: 'date-time' }
    case 'date':
      return { type: 'string', format: 'date' }
    default:
      return { type: 'number' }
  }
}

/** OpenAPI 3.1 of one route, generated from its signature. @throws not_found serving.route_unknown */
export function routeOpenApi(live: LiveState | undefined, name: string): object {
  const entry = live?.routes.get(name)
  if (!live || !entry)
    throw new PlimsollError('not_found', 'serving.route_unknown', `Cannot find route "${name.slice(0, 130)}"`, {
      action: 'List the routes with GET /v2/models',
    })
  const { route } = entry
  // Every arm takes so many rows.
  const bounds = route.arms.map((arm) => rowBounds(live.interfaces.get(arm.artifact)!)) // loaded with the snapshot
  const minItems = Math.max(...bounds.map(({ min }) => min))
  const maxItems = Math.min(...bounds.map(({ max }) => max))
  const required = Object.entries(route.inputs)
    .filter(([, input]) => 'entity' in input || !input.nullable)
    .map(([input]) => input)
  const row = {
    type: 'object',
    additionalProperties: false,
    required,
    properties: Object.fromEntries(Object.entries(route.inputs).map(([input, type]) => [input, schemaOf(type)])),
  }
  return {
    openapi: '3.1.0',
    info: { title: `Route ${name}`, version: String(route.epoch) },
    paths: {
      [`/predict/${name}`]: {
        post: {
          summary: `Predict with ${route.arms.map((arm) => `${versionOf(live, arm).model}/${versionOf(live, arm).version}`).join(' or ')}`,
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: {
                  type: 'object',
                  required: ['rows'],
                  properties: { rows: { type: 'array', minItems, maxItems, items: row } },
                },
              },
            },
          },
          responses: {
            200: {
              description: 'One object of outputs per row; missing_features names what could not be looked up, and why',
              content: { 'application/json': { schema: { type: 'object' } } },
            },
            default: {
              description: 'What went wrong',
              content: { 'application/problem+json': { schema: { type: 'object' } } },
            },
          },
        },
      },
    },
  }
}
