import type { z } from 'zod'
import type { FeatureServiceDefinition } from '../wire/definition/feature.ts'
import { type FeatureMapping, type RouteDefinition, routeDefinition } from '../wire/definition/index.ts'
import { shownValue } from '../wire/definition/words.ts'
import { featuresOf } from './feature.ts'
import { DefinitionError, defined, isRecord, listOf, nameOf } from './refusal.ts'

type RouteInput = z.input<typeof routeDefinition>['inputs'][string]
type Named = { readonly name: string }

/** An input that is the key of an entity. `key` names which of its keys, when there are several. */
export function entity(of: Named, key?: string): RouteInput {
  return key === undefined ? { entity: of.name } : { entity: of.name, key }
}

/** Canary steps in percent of traffic. */
export function canary(options: { steps: readonly number[] }): NonNullable<RouteDefinition['rollout']> {
  return { type: 'canary', steps: listOf('canary, steps', options.steps) }
}

/** A model column that is a request input, as it comes. */
export function fromInput(input: string): FeatureMapping {
  return { from: 'input', input }
}

/** A model column that is a looked-up feature, named `view__feature`. */
export function fromFeature(feature: string): FeatureMapping {
  return { from: 'feature', feature }
}

/** A model column that is a part of a request timestamp in an IANA zone; `zoneOf` names a request input that holds the zone. */
export function fromTime(
  input: string,
  part: 'hour' | 'day-of-week' | 'minute-of-day',
  where: { zone?: string; zoneOf?: string } = {},
): FeatureMapping {
  return { from: 'time', input, part, ...where }
}

/** What `defineRoute` takes: a duration such as `'50ms'` for the SLO, definitions or names for model and features. */
export interface RouteOptions {
  name: string
  description?: string
  owner?: string
  environment?: string
  model: Named | string
  slo?: string
  inputs: Record<string, RouteInput>
  features?: FeatureServiceDefinition | string
  columns?: Record<string, FeatureMapping>
  /** What is kept of requests: `rate` 0 for nothing, `redact` for inputs whose values are never kept. */
  payloads?: z.input<typeof routeDefinition>['payloads']
  rollout?: RouteDefinition['rollout']
}

function parseSloMs(text: string): number {
  const match = /^(\d+)(ms|s)$/.exec(text)
  if (!match) throw new DefinitionError(`Cannot read the SLO "${text}": expected for example 50ms or 2s`)
  return Number(match[1]) * (match[2] === 's' ? 1_000 : 1)
}

/** Each input that is no entity's key is a column of its own name, then each feature of the service. */
function defaultColumns({ inputs, features }: RouteOptions): Record<string, FeatureMapping> {
  const fields = Object.entries(inputs).filter(([, input]) => !(isRecord(input) && 'entity' in input))
  const looked = typeof features === 'object' ? featuresOf(features) : []
  return Object.fromEntries([
    ...fields.map(([name]) => [name, fromInput(name)]),
    ...looked.map((name) => [name, fromFeature(name)]),
  ])
}

/**
 * Declares a route: the stable name that clients call, with its SLO. `columns` are what models may take, in order; a
 * model whose ONNX metadata names its `columns` gets those, by name. Absent: the inputs that are no entity's key, then
 * the features of the service.
 */
export function defineRoute(options: RouteOptions): RouteDefinition {
  const { model, slo, features, columns, ...rest } = options
  const what = `Cannot define route ${shownValue(rest.name)}`
  if (!isRecord(rest.inputs))
    throw new DefinitionError(`${what}: inputs: expected a record of inputs by name, found ${shownValue(rest.inputs)}`)
  return defined(routeDefinition, what, {
    ...rest,
    kind: 'route',
    model: nameOf(model),
    ...(slo === undefined ? {} : { sloMs: parseSloMs(slo) }),
    ...(features === undefined ? {} : { features: nameOf(features) }),
    columns: Object.entries(columns ?? defaultColumns(options)).map(([name, source]) => ({ name, source })),
  })
}
