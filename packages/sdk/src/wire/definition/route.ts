import { z } from 'zod'
import { columnType, definitionName, described, fieldName } from './name.ts'

/** An input of a route: an entity's key, or a typed request field. */
export const routeInput = z.union([z.strictObject({ entity: definitionName, key: fieldName.optional() }), columnType], {
  error: 'expected the key of an entity, or a type such as int32',
})

/** How one column of the model's input tensor is made from a request. */
export const featureMapping = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('input'), input: fieldName }),
  z.strictObject({ from: z.literal('feature'), feature: z.string().max(130) }),
  /** Parts of a request timestamp in an IANA zone; `zoneOf` names a text feature that holds the zone. */
  z.strictObject({
    from: z.literal('time'),
    input: fieldName,
    part: z.enum(['hour', 'day-of-week', 'minute-of-day']),
    zone: z.string().max(64).optional(),
    zoneOf: z.string().max(130).optional(),
  }),
])
/** Where one column of a model's input comes from. */
export type FeatureMapping = z.output<typeof featureMapping>

/** What is kept of requests besides who predicted what: a share of them, without the inputs named in `redact`. */
export const payloadPolicy = z.strictObject({
  /** Share of predictions whose inputs and looked-up features are kept; 0 for none. The platform's own when absent. */
  rate: z.number().min(0).max(1).optional(),
  /** Inputs whose values are never kept. */
  redact: z.array(fieldName).max(1_000).default([]),
})

/**
 * The stable name that clients call: what a request holds, how it becomes the model's columns, and how fast an answer
 * is due.
 */
export const routeDefinition = z.strictObject({
  kind: z.literal('route'),
  name: definitionName,
  ...described,
  environment: definitionName.default('production'),
  model: definitionName,
  sloMs: z.int().positive().max(600_000).default(50),
  inputs: z.record(fieldName, routeInput),
  /** Feature service whose values are looked up by the entity keys of the request. */
  features: definitionName.optional(),
  /** Columns of the model's input, in order. */
  columns: z.array(z.strictObject({ name: z.string().max(130), source: featureMapping })).max(10_000),
  payloads: payloadPolicy.optional(),
  rollout: z
    .strictObject({ type: z.literal('canary'), steps: z.array(z.number().positive().max(100)).min(1).max(20) })
    .optional(),
})
/** The definition of a route, its defaults filled in. */
export type RouteDefinition = z.output<typeof routeDefinition>
