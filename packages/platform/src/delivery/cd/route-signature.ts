import type { FeatureServingSpec, PassportBound, RouteDefinition, RouteSignature } from '@plimsoll/sdk/wire'
import { requireEntity, servingSpec } from '../../features/index.ts'
import { isMatrixOf, rowsFault } from '../../inference/index.ts'
import type { Context } from '../../kernel/db/index.ts'
import type { Fault } from '../../kernel/errors.ts'

type Input = RouteSignature['inputs'][string]

interface Compiled {
  readonly signature: RouteSignature
  readonly faults: readonly Fault[]
}

/** The key of an entity that an input carries: the one named, the only one, or the one of the input's own name. */
async function entityInput(
  ctx: Context,
  name: string,
  input: { entity: string; key?: string | undefined },
): Promise<{ input?: Input; fault?: Fault }> {
  const { keys } = await requireEntity(ctx, input.entity)
  const wanted = input.key ?? (keys.length === 1 ? keys[0]!.name : name)
  const key = keys.find((candidate) => candidate.name === wanted)
  const pointer = `/inputs/${name}`
  if (!key) return { fault: { pointer, detail: `entity "${input.entity}" has no key "${wanted}"` } }
  if (key.type === 'bytes')
    return {
      fault: { pointer, detail: `key "${key.name}" of entity "${input.entity}" is bytes, which no row can hold` },
    }
  return { input: { entity: input.entity, key: key.name, type: key.type } }
}

/** Every key that is looked up by must be an input of its type. */
function keyFaults({ views }: FeatureServingSpec, inputs: Readonly<Record<string, Input>>): Fault[] {
  const faults: Fault[] = []
  for (const { view, keys } of views)
    for (const { input: key, type } of keys) {
      const input = inputs[key]
      if (!input)
        faults.push({ pointer: '/inputs', detail: `view "${view}" needs the key "${key}", which is no input` })
      else if (input.type !== type)
        faults.push({ pointer: `/inputs/${key}`, detail: `is ${input.type}, view "${view}" needs ${type}` })
    }
  return faults
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone.length > 0
  } catch {
    return false
  }
}

const UNKNOWN = 'unknown'
const TIMES = ['timestamp', 'date', UNKNOWN]

/** What is wrong with where a column comes from; the gateway would fill it with nothing, and say nothing. */
function sourceFault(
  { name, source }: RouteDefinition['columns'][number],
  typeOf: (input: string) => string | undefined,
  spec: FeatureServingSpec | null,
): string | undefined {
  if (source.from === 'feature') {
    if (spec === null) return `column ${name} needs a feature, but the route has no feature service`
    return spec.names.includes(source.feature)
      ? undefined
      : `column ${name} needs feature ${source.feature}, which ${spec.service} does not have`
  }
  const type = typeOf(source.input)
  if (type === undefined) return `column ${name} reads input ${source.input}, which the route does not have`
  if (source.from === 'input') return undefined
  if (!TIMES.includes(type)) return `column ${name} takes the ${source.part} of input ${source.input}, which is ${type}`
  if (source.zone !== undefined && !isTimeZone(source.zone))
    return `column ${name} names "${source.zone}", which is no IANA time zone`
  if (source.zoneOf === undefined) return undefined
  const zoneType = typeOf(source.zoneOf)
  if (zoneType === undefined)
    return `column ${name} reads its zone from input ${source.zoneOf}, which the route does not have`
  return zoneType === 'text' || zoneType === UNKNOWN
    ? undefined
    : `column ${name} reads its zone from input ${source.zoneOf}, which is ${zoneType}`
}

function columnFaults(
  { columns, inputs: declared }: RouteDefinition,
  inputs: Readonly<Record<string, Input>>,
  spec: FeatureServingSpec | null,
): Fault[] {
  // An input that is no key of its entity has no type, and is a fault already.
  const typeOf = (input: string) =>
    Object.hasOwn(declared, input) ? (Object.hasOwn(inputs, input) ? inputs[input]!.type : UNKNOWN) : undefined
  const seen = new Set<string>()
  return columns.flatMap((column, index): Fault[] => {
    const detail = sourceFault(column, typeOf, spec)
    const faults = detail === undefined ? [] : [{ pointer: `/columns/${index}/source`, detail }]
    if (seen.has(column.name))
      faults.push({ pointer: `/columns/${index}/name`, detail: `another column is named ${column.name}` })
    seen.add(column.name)
    return faults
  })
}

/** A misspelt name would keep what must not be kept. */
function redactFaults({ inputs, payloads }: RouteDefinition): Fault[] {
  return (payloads?.redact ?? []).flatMap((name, index) =>
    Object.hasOwn(inputs, name)
      ? []
      : [{ pointer: `/payloads/redact/${index}`, detail: `names ${name}, which is no input of the route` }],
  )
}

/**
 * How requests of a route become columns: its inputs with the types of their keys, its columns, and what is looked up,
 * by digest. Releases bind it, so that a later change of a view changes nothing that serves.
 * @throws not_found features.entity_not_found · features.service_not_found · precondition features.not_online
 */
export async function compileSignature(ctx: Context, definition: RouteDefinition): Promise<Compiled> {
  const faults: Fault[] = []
  const inputs: Record<string, Input> = {}
  for (const [name, input] of Object.entries(definition.inputs)) {
    if (!('entity' in input)) {
      inputs[name] = input
      continue
    }
    const found = await entityInput(ctx, name, input)
    if (found.input) inputs[name] = found.input
    else faults.push(found.fault!)
  }
  const spec = definition.features === undefined ? null : await servingSpec(ctx, definition.features)
  if (spec !== null && faults.length === 0) faults.push(...keyFaults(spec, inputs))
  faults.push(...columnFaults(definition, inputs, spec), ...redactFaults(definition))
  return { signature: { inputs, columns: definition.columns, features: spec as RouteSignature['features'] }, faults } // plain data by its schema
}

type ModelSignature = NonNullable<PassportBound['signature']>

/** A version that takes more rows at a time than any request has. */
function rowFaults(model: ModelSignature): Fault[] {
  const fault = rowsFault(model)
  return fault === undefined ? [] : [{ pointer: '/model', detail: `the version ${fault}` }]
}

/** Columns that a version asks for by name, or whether those of the route fit it as they are. */
function shapeFaults(signature: RouteSignature, model: ModelSignature): Fault[] {
  const offered = new Set(signature.columns.map(({ name }) => name))
  if (model.columns)
    return model.columns
      .filter((name) => !offered.has(name))
      .map((name) => ({ pointer: '/columns', detail: `the version needs the column "${name}", which the route lacks` }))
  const [only] = model.inputs
  if (model.inputs.length === 1 && only?.shape.length === 2) {
    if (isMatrixOf(model.inputs, offered.size)) return []
    const width = only.shape[1] === -1 ? 'one or more' : only.shape[1]
    return [{ pointer: '/columns', detail: `the version takes ${width} columns, the route has ${offered.size}` }]
  }
  return model.inputs
    .filter(({ name }) => !offered.has(name))
    .map(({ name }) => ({
      pointer: '/columns',
      detail: `the version needs the input "${name}", which the route lacks`,
    }))
}

/** Tensors that hold the milliseconds of an instant; the gateway makes numbers of all but texts. */
const HOLD_INSTANTS = ['INT64', 'UINT64', 'FP32', 'FP64', 'BYTES']

function canFeed(type: string | undefined, datatype: string): boolean {
  if (type === 'text' || type === 'bytes') return datatype === 'BYTES'
  return (type !== 'timestamp' && type !== 'date') || HOLD_INSTANTS.includes(datatype)
}

/** Inputs of the route whose values the version's tensors never hold. */
function typeFaults({ inputs, columns }: RouteSignature, model: ModelSignature): Fault[] {
  const taken = model.columns ?? columns.map(({ name }) => name)
  const isMatrix = isMatrixOf(model.inputs, taken.length)
  return columns.flatMap(({ name, source }): Fault[] => {
    if (source.from !== 'input' || !taken.includes(name)) return []
    const type = inputs[source.input]?.type
    const tensor = isMatrix ? model.inputs[0] : model.inputs.find((input) => input.name === name)
    if (!tensor || canFeed(type, tensor.datatype)) return []
    return [
      {
        pointer: '/columns',
        detail: `the version takes ${tensor.datatype} for the column "${name}", which is ${type}`,
      },
    ]
  })
}

/** A view that the route would look up by another definition than the one that the version learned from. */
function skewFaults(spec: FeatureServingSpec | null, bound: PassportBound): Fault[] {
  const trained = bound.features?.find(({ service }) => service === spec?.service)
  if (!spec || !trained) return []
  return trained.views.flatMap(({ view, version }) => {
    const now = spec.views.find((candidate) => candidate.view === view)
    return now && now.viewVersion !== version
      ? [
          {
            pointer: '/features',
            detail: `view "${view}" has changed since the version was trained on it: train again`,
          },
        ]
      : []
  })
}

/** Why a version cannot serve on a route: rows that are too many, columns that are missing, views that mean something else now. */
export function misfits(signature: RouteSignature, bound: PassportBound): Fault[] {
  if (bound.signature === null) return []
  return [
    ...rowFaults(bound.signature),
    ...shapeFaults(signature, bound.signature),
    ...typeFaults(signature, bound.signature),
    ...skewFaults(signature.features as FeatureServingSpec | null, bound), // compiled above
  ]
}
