import {
  type AGGREGATES,
  type EntityDefinition,
  entityDefinition,
  type FeatureExpression,
  type FeatureServiceDefinition,
  type FeatureViewDefinition,
  featureExpression,
  featureServiceDefinition,
  featureViewDefinition,
} from '../wire/definition/feature.ts'
import type { ColumnType, ValueType } from '../wire/definition/name.ts'
import { shownValue } from '../wire/definition/words.ts'
import { DefinitionError, defined, isRecord, nameOf } from './refusal.ts'

type Aggregate = (typeof AGGREGATES)[number]

const UNIT_US: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
  w: 604_800_000_000,
}

/** Microseconds of a duration such as `90s`, `15m`, `3h`, `7d` or `2w`. Elapsed time: a day has 24 hours. */
export function durationUs(text: string): number {
  const match = /^(\d{1,15})(us|ms|s|m|h|d|w)$/.exec(text)
  const us = match ? Number(match[1]) * UNIT_US[match[2]!]! : Number.NaN
  if (!Number.isSafeInteger(us) || us <= 0)
    throw new RangeError(
      `Cannot read duration "${text}": expected a whole number above 0 and one of us, ms, s, m, h, d, w`,
    )
  return us
}

/** An aggregate that still needs its window. */
export interface WindowedAggregate {
  /** Over the last `window` before the time of asking, by the time at which rows were known: (T − window, T]. */
  over(window: string): FeatureExpression
}

function aggregate(name: Aggregate, column: string | undefined, type: ValueType): WindowedAggregate {
  return {
    over: (window) =>
      defined(featureExpression, `The feature ${name} of ${shownValue(column ?? 'rows')}`, {
        from: 'aggregate',
        function: name,
        windowUs: durationUs(window),
        type,
        ...(column === undefined ? {} : { column }),
      }),
  }
}

/** How many rows a window has, or how many values that are not null when a column is named. 0 in an empty window. */
export function count(column?: string): WindowedAggregate {
  return aggregate('count', column, 'int64')
}

/** Sum of a column. Null in an empty window, as of every aggregate but `count`. */
export function sum(column: string): WindowedAggregate {
  return aggregate('sum', column, 'float64')
}

/** Mean of a column; true counts as 1, false as 0. */
export function mean(column: string): WindowedAggregate {
  return aggregate('mean', column, 'float64')
}

/** Least value of a column. */
export function min(column: string): WindowedAggregate {
  return aggregate('min', column, 'float64')
}

/** Greatest value of a column. */
export function max(column: string): WindowedAggregate {
  return aggregate('max', column, 'float64')
}

/** Sample standard deviation of a column. Null for fewer than two values. */
export function std(column: string): WindowedAggregate {
  return aggregate('std', column, 'float64')
}

/** Value of a column in the newest row that was known: null when that row has none, is deleted, or is older than the view's `ttl`. */
export function last(column: string, type: ValueType | ColumnType = 'float64'): FeatureExpression {
  return defined(featureExpression, `The feature last of ${shownValue(column)}`, {
    from: 'column',
    column,
    type: typeof type === 'string' ? type : type.type,
  })
}

/** What `defineEntity` takes: join keys in order, by name and type. */
export interface EntityOptions {
  readonly name: string
  readonly description?: string
  readonly owner?: string
  readonly keys: Readonly<Record<string, ValueType | ColumnType>>
}

/** Declares an entity: what features belong to, and the typed keys that name one of it. */
export function defineEntity(options: EntityOptions): EntityDefinition {
  const what = `Cannot define entity ${shownValue(options?.name)}`
  if (!isRecord(options?.keys))
    throw new DefinitionError(`${what}: keys: expected a record of types by name, found ${shownValue(options?.keys)}`)
  const keys = Object.entries(options.keys).map(([name, type]) => ({
    name,
    type: isRecord(type) ? type.type : type,
  }))
  return defined(entityDefinition, what, { kind: 'entity', ...options, keys })
}

/** What `defineFeatureView` takes. `source` and `entity` are definitions or their names. */
export interface FeatureViewOptions {
  readonly name: string
  readonly description?: string
  readonly owner?: string
  readonly entity: { readonly name: string } | string
  readonly source: { readonly name: string } | string
  /** Entity key → column of the source, where the names differ. */
  readonly keys?: Readonly<Record<string, string>>
  readonly eventTime: string
  /** Column that says when a row could be known. Without it `plan` warns. */
  readonly knownAt?: string
  readonly sequence?: string
  readonly tombstone?: string
  /** Age beyond which a column feature is null, such as `1d`; never when absent. */
  readonly ttl?: string
  readonly features: Readonly<Record<string, FeatureExpression>>
  readonly online?: boolean
}

/** Views that were defined here, for those who need what is behind a service. */
const views = new Map<string, FeatureViewDefinition>()

/** Declares a feature view: features of one entity from one dataset, with the time of the fact and the time it was known. */
export function defineFeatureView(options: FeatureViewOptions): FeatureViewDefinition {
  const { entity, source, keys, ttl, ...rest } = options
  const made = defined(featureViewDefinition, `Cannot define feature view ${shownValue(options.name)}`, {
    kind: 'feature-view',
    ...rest,
    entity: nameOf(entity),
    source: nameOf(source),
    keyColumns: keys ?? {},
    ttlUs: ttl === undefined ? null : durationUs(ttl),
  })
  views.set(made.name, made)
  return made
}

/** A view as a service uses it. */
export interface ServiceView {
  readonly view: { readonly name: string } | string
  /** Prefix of its features' names, `<as>__<feature>`; the view's name when absent. */
  readonly as?: string
  /** Entity key → spine column or request field, where the names differ. */
  readonly keys?: Readonly<Record<string, string>>
  /** All features of the view when absent. */
  readonly features?: readonly string[]
}

/** What `defineFeatureService` takes: views, or views with the names that the model knows them by. */
export interface FeatureServiceOptions {
  readonly name: string
  readonly description?: string
  readonly owner?: string
  readonly views: readonly (FeatureViewDefinition | ServiceView)[]
}

/** Declares a feature service: the features that a model takes. */
export function defineFeatureService(options: FeatureServiceOptions): FeatureServiceDefinition {
  const what = `Cannot define feature service ${shownValue(options?.name)}`
  if (!Array.isArray(options?.views))
    throw new DefinitionError(`${what}: views: expected a list of views, found ${shownValue(options?.views)}`)
  const used = (options.views as FeatureServiceOptions['views']).map((use) => {
    if (!isRecord(use as unknown)) return { view: use as unknown } // judged by the schema
    if ('kind' in use) return { view: use.name }
    const { view, ...rest } = use
    return { ...rest, view: nameOf(view) }
  })
  return defined(featureServiceDefinition, what, {
    kind: 'feature-service',
    ...options,
    views: used,
  })
}

function definedView(service: FeatureServiceDefinition, name: string): FeatureViewDefinition {
  const found = views.get(name)
  if (found === undefined)
    throw new RangeError(
      `Cannot tell what is behind feature service "${service.name}": view "${name}" was not defined before`,
    )
  return found
}

/** Names of the datasets behind a service whose views were defined in this project. */
export function sourcesOf(service: FeatureServiceDefinition): string[] {
  return [...new Set(service.views.map(({ view }) => definedView(service, view).source))]
}

/** Names of a service's features, `view__feature`, whose views were defined in this project. */
export function featuresOf(service: FeatureServiceDefinition): string[] {
  return service.views.flatMap(({ view, as, features }) =>
    (features ?? Object.keys(definedView(service, view).features).sort()).map((feature) => `${as ?? view}__${feature}`),
  )
}
