import {
  type ColumnType,
  type EntityDefinition,
  entityDefinition,
  type FeatureServiceDefinition,
  type FeatureViewDefinition,
  featureServiceDefinition,
  featureViewDefinition,
} from '@plimsoll/sdk/wire'
import { findDataset } from '../datasets/index.ts'
import { countText } from '../kernel/count-text.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { Digest } from '../kernel/digest.ts'
import { type Fault, refuseFaults } from '../kernel/errors.ts'
import { type Declared, findDefinition, requireDefinition, storeDefinition } from './definition-store.ts'

export interface Declaration {
  readonly digest: Digest
  readonly isChanged: boolean
  /** What `plan` shows beside the change. */
  readonly warnings: readonly string[]
}

/** What a route and a snapshot need of an entity. */
export interface Entity {
  readonly name: string
  readonly keys: EntityDefinition['keys']
  readonly digest: Digest
}

/** Declares an entity. @throws invalid features.bad_entity */
export async function declareEntity(tx: Tx, declared: EntityDefinition): Promise<Declaration> {
  const definition = entityDefinition.parse(declared)
  const faults = twins(definition.keys.map((key) => key.name)).map((name) => ({
    pointer: '/keys',
    detail: `names "${name}" twice`,
  }))
  refuseFaults('features.bad_entity', `Cannot declare entity "${definition.name}"`, faults)
  return { ...(await storeDefinition(tx, definition)), warnings: [] }
}

/** @throws not_found features.entity_not_found */
export async function requireEntity(ctx: Context, name: string): Promise<Entity> {
  const { definition, digest } = await requireDefinition<EntityDefinition>(ctx, 'entity', name)
  return { name, keys: definition.keys, digest }
}

function twins(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))]
}

const NUMBERS = ['boolean', 'int32', 'int64', 'float32', 'float64']

/** Every fault of a view against its entity and the schema of its dataset. */
export function checkView(
  view: FeatureViewDefinition,
  entity: EntityDefinition,
  schema: Readonly<Record<string, ColumnType>>,
): Fault[] {
  const faults: Fault[] = []
  const expectColumn = (pointer: string, column: string, types: readonly string[], what: string) => {
    // Columns may be named like a member of every object, such as constructor.
    const found = Object.hasOwn(schema, column) ? schema[column] : undefined
    if (!found) faults.push({ pointer, detail: `dataset "${view.source}" has no column "${column}"` })
    else if (!types.includes(found.type))
      faults.push({ pointer, detail: `column "${column}" is ${found.type}, ${what}` })
  }
  for (const key of entity.keys)
    expectColumn(
      `/keyColumns/${key.name}`,
      view.keyColumns[key.name] ?? key.name,
      [key.type],
      `expected the key's type ${key.type}`,
    )
  for (const name of Object.keys(view.keyColumns)) {
    if (!entity.keys.some((key) => key.name === name))
      faults.push({ pointer: `/keyColumns/${name}`, detail: `entity "${entity.name}" has no key "${name}"` })
  }
  expectColumn('/eventTime', view.eventTime, ['timestamp'], 'expected timestamp')
  if (view.knownAt !== undefined) expectColumn('/knownAt', view.knownAt, ['timestamp'], 'expected timestamp')
  if (view.sequence !== undefined) expectColumn('/sequence', view.sequence, ['int32', 'int64'], 'expected an integer')
  if (view.tombstone !== undefined) expectColumn('/tombstone', view.tombstone, ['boolean'], 'expected boolean')
  if (Object.keys(view.features).length === 0) faults.push({ pointer: '/features', detail: 'names no feature' })
  for (const [name, feature] of Object.entries(view.features)) {
    const pointer = `/features/${name}`
    if (!/^[a-z][a-z0-9_]*$/.test(name))
      faults.push({
        pointer,
        detail: `"${name}" is no name of a feature: expected a lower-case letter, then a-z, 0-9 or _`,
      })
    if (feature.from === 'column') {
      expectColumn(pointer, feature.column, [feature.type], `expected ${feature.type}`)
      if (view.online && !NUMBERS.includes(feature.type))
        faults.push({ pointer, detail: `is ${feature.type}: views with online true hold numbers and booleans only` })
    } else if (feature.column !== undefined)
      expectColumn(pointer, feature.column, NUMBERS, 'expected a number or boolean')
    else if (feature.function !== 'count') faults.push({ pointer, detail: `${feature.function} needs a column` })
  }
  return faults
}

/** What `plan` says of a view that is allowed and unwise. */
export function viewWarnings(view: FeatureViewDefinition): string[] {
  return view.knownAt === undefined
    ? [
        `Feature view "${view.name}" has no known-at time: late and corrected rows will look as if they had been known at their event time`,
      ]
    : []
}

/** Declares a feature view. @throws not_found features.entity_not_found · invalid features.bad_view (faults list every one) */
export async function declareFeatureView(tx: Tx, declared: FeatureViewDefinition): Promise<Declaration> {
  const view = featureViewDefinition.parse(declared)
  const entity = await findDefinition<EntityDefinition>(tx, 'entity', view.entity)
  const dataset = await findDataset(tx, view.source)
  const schema = dataset?.definition?.schema
  const faults: Fault[] = []
  if (!entity) faults.push({ pointer: '/entity', detail: `there is no entity "${view.entity}"` })
  const isGone = dataset?.origin === 'declared' && !dataset.definition
  if (!dataset || isGone)
    faults.push({
      pointer: '/source',
      detail: isGone ? `dataset "${view.source}" is declared no longer` : `there is no dataset "${view.source}"`,
    })
  // A dataset that steps write has its schema in its versions: columns are then checked when one is read.
  if (entity && schema) faults.push(...checkView(view, entity.definition, schema))
  refuseFaults(
    'features.bad_view',
    `Cannot declare feature view "${view.name}": ${countText(faults.length, 'fault')}, ${faults[0]?.detail}`,
    faults,
  )
  return { ...(await storeDefinition(tx, view)), warnings: viewWarnings(view) }
}

/** @throws not_found features.view_not_found */
export function requireFeatureView(ctx: Context, name: string): Promise<Declared<FeatureViewDefinition>> {
  return requireDefinition<FeatureViewDefinition>(ctx, 'feature-view', name)
}

/** A view as a service uses it, with the names that its features have there. */
export interface ServiceMember {
  readonly view: FeatureViewDefinition
  readonly viewVersion: Digest
  readonly generation: number
  readonly entity: EntityDefinition
  /** Spine column or request field of each key, in the entity's order. */
  readonly keys: readonly string[]
  /** Name in the training set and in the route → feature of the view. */
  readonly features: readonly { readonly name: string; readonly feature: string }[]
}

export interface FeatureService {
  readonly name: string
  readonly definition: FeatureServiceDefinition
  readonly digest: Digest
  readonly members: readonly ServiceMember[]
}

async function membersOf(
  ctx: Context,
  service: FeatureServiceDefinition,
): Promise<{ members: ServiceMember[]; faults: Fault[] }> {
  const members: ServiceMember[] = []
  const faults: Fault[] = []
  const seen = new Map<string, string>()
  for (const [index, use] of service.views.entries()) {
    const pointer = `/views/${index}`
    const found = await findDefinition<FeatureViewDefinition>(ctx, 'feature-view', use.view)
    if (!found) {
      faults.push({ pointer: `${pointer}/view`, detail: `there is no feature view "${use.view}"` })
      continue
    }
    const { definition: entity } = await requireDefinition<EntityDefinition>(ctx, 'entity', found.definition.entity)
    for (const key of Object.keys(use.keys)) {
      if (!entity.keys.some(({ name }) => name === key))
        faults.push({ pointer: `${pointer}/keys/${key}`, detail: `entity "${entity.name}" has no key "${key}"` })
    }
    // jsonb forgets the order of members, so that only a sorted list is the same everywhere.
    const chosen = use.features ?? Object.keys(found.definition.features).sort()
    for (const feature of chosen) {
      if (!Object.hasOwn(found.definition.features, feature))
        faults.push({ pointer: `${pointer}/features`, detail: `view "${use.view}" has no feature "${feature}"` })
    }
    const features = chosen.map((feature) => ({ name: `${use.as ?? use.view}__${feature}`, feature }))
    for (const { name } of features) {
      const other = seen.get(name.toLowerCase())
      if (other)
        faults.push({
          pointer,
          detail: `"${name}" is also a feature of ${other}: give the view another name with "as"`,
        })
      seen.set(name.toLowerCase(), pointer)
    }
    const keys = entity.keys.map(({ name }) => use.keys[name] ?? name)
    members.push({
      view: found.definition,
      viewVersion: found.digest,
      generation: found.generation ?? 0,
      entity,
      keys,
      features,
    })
  }
  return { members, faults }
}

/** Declares a feature service. @throws invalid features.bad_feature_service (faults list every one) */
export async function declareFeatureService(tx: Tx, declared: FeatureServiceDefinition): Promise<Declaration> {
  const definition = featureServiceDefinition.parse(declared)
  const { faults } = await membersOf(tx, definition)
  refuseFaults(
    'features.bad_feature_service',
    `Cannot declare feature service "${definition.name}": ${countText(faults.length, 'fault')}, ${faults[0]?.detail}`,
    faults,
  )
  return { ...(await storeDefinition(tx, definition)), warnings: [] }
}

/** A service with its views as they are now. @throws not_found features.service_not_found · invalid features.bad_feature_service */
export async function requireFeatureService(ctx: Context, name: string): Promise<FeatureService> {
  const { definition, digest } = await requireDefinition<FeatureServiceDefinition>(ctx, 'feature-service', name)
  const { members, faults } = await membersOf(ctx, definition)
  refuseFaults(
    'features.bad_feature_service',
    `Cannot use feature service "${name}": its views have changed, ${faults[0]?.detail}`,
    faults,
  )
  return { name, definition, digest, members }
}
