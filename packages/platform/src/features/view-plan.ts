import type { InputRelation } from '@plimsoll/sdk/seams'
import type { EntityDefinition, FeatureExpression, FeatureViewDefinition, ValueType } from '@plimsoll/sdk/wire'

/** One feature to compute, under a number by which the statement names it. */
export interface PlannedFeature {
  /** Column in the result of the statement. */
  readonly column: string
  readonly expression: FeatureExpression
}

/**
 * What one point-in-time statement computes. Relation `spine` has `rid` (BIGINT), the keys `k0`, `k1`, … and `t`
 * (BIGINT microseconds); relation `source` is the view's dataset with its declared types.
 */
export interface ViewPlan {
  readonly keyColumns: readonly string[]
  readonly eventTime: string
  readonly knownAt: string | undefined
  readonly sequence: string | undefined
  readonly tombstone: string | undefined
  readonly ttlUs: number | null
  readonly features: readonly PlannedFeature[]
  /** Rows that were known only later than this are left out: the same result again, whatever has come since. */
  readonly asOfUs: bigint | undefined
}

export function planView(
  view: FeatureViewDefinition,
  entity: EntityDefinition,
  features: readonly string[],
  asOfUs?: bigint,
): ViewPlan {
  return {
    keyColumns: entity.keys.map(({ name }) => view.keyColumns[name] ?? name),
    eventTime: view.eventTime,
    knownAt: view.knownAt,
    sequence: view.sequence,
    tombstone: view.tombstone,
    ttlUs: view.ttlUs,
    features: features.map((feature, index) => ({ column: `f${index}`, expression: view.features[feature]! })),
    asOfUs,
  }
}

export const SQL_TYPES: Record<ValueType, string> = {
  boolean: 'BOOLEAN',
  int32: 'INTEGER',
  int64: 'BIGINT',
  float32: 'FLOAT',
  float64: 'DOUBLE',
  text: 'VARCHAR',
  timestamp: 'TIMESTAMP WITH TIME ZONE',
  date: 'DATE',
  bytes: 'BLOB',
}

/** An identifier in double quotes. Names come from definitions and have no zero byte. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export type AggregateExpression = Extract<FeatureExpression, { from: 'aggregate' }>

export interface PlannedAggregate {
  readonly column: string
  readonly expression: AggregateExpression
}

export function columnFeatures(plan: ViewPlan) {
  return plan.features.flatMap(({ column, expression }) =>
    expression.from === 'column' ? [{ column, expression }] : [],
  )
}

export function aggregateFeatures(plan: ViewPlan): PlannedAggregate[] {
  return plan.features.flatMap(({ column, expression }) =>
    expression.from === 'aggregate' ? [{ column, expression }] : [],
  )
}

export const keyNames = (plan: ViewPlan): string[] => plan.keyColumns.map((_, index) => `k${index}`)
export const keyList = (plan: ViewPlan, alias = ''): string =>
  keyNames(plan)
    .map((key) => `${alias}${key}`)
    .join(', ')
export const keyEquals = (plan: ViewPlan, left: string, right: string): string =>
  keyNames(plan)
    .map((key) => `${left}.${key} = ${right}.${key}`)
    .join(' AND ')
export const keysPresent = (plan: ViewPlan): string =>
  keyNames(plan)
    .map((key) => `${key} IS NOT NULL`)
    .join(' AND ')

/** Null: known since for ever, so that it sorts lowest. */
export const NO_TIME = '(-9223372036854775807)::BIGINT'

/** Microseconds of a feature's time. What is finer in the files was rounded up when it was read (`orderedSource`). */
const microseconds = (column: string): string => `epoch_us(${quoteName(column)})`

/** The order of a source's rows, where its definition names no column for it: ties are broken by it. */
const PLACE = '__place'

/** The source of a view: with the order of its rows, and its times rounded up, so that no row is seen before it was known. */
export function orderedSource(
  source: InputRelation,
  { eventTime, knownAt }: { readonly eventTime: string; readonly knownAt?: string | undefined },
): InputRelation {
  return { ...source, orderColumn: PLACE, roundedUp: knownAt === undefined ? [eventTime] : [eventTime, knownAt] }
}

/** Rows of the source, which must be an `orderedSource` for `withOrder`, under the names of the statement, without those that nobody may ever see. */
export function sourceRows(plan: ViewPlan, columns: readonly string[], options: { withOrder: boolean }): string {
  const keys = plan.keyColumns.map((column, index) => `${quoteName(column)} AS k${index}`)
  const known = plan.knownAt === undefined ? 'NULL::BIGINT AS cr' : `${microseconds(plan.knownAt)} AS cr`
  const order = options.withOrder
    ? [`coalesce(${quoteName(plan.sequence ?? PLACE)}, 0)::BIGINT AS sq`, `${PLACE} AS pl`]
    : []
  const cap = plan.asOfUs === undefined || plan.knownAt === undefined ? '' : ` AND (cr IS NULL OR cr <= ${plan.asOfUs})`
  const capEvent = plan.asOfUs === undefined || plan.knownAt !== undefined ? '' : ` AND ev <= ${plan.asOfUs}`
  const inner = [...keys, known, ...order, ...stateOf(plan, columns)].join(', ')
  return `SELECT * FROM (SELECT ${inner} FROM source) WHERE ${keysPresent(plan)} AND ev IS NOT NULL${cap}${capEvent}`
}

/** All rows of an `orderedSource` by their place, to look up those that were found. */
export function placedRows(plan: ViewPlan, columns: readonly string[]): string {
  return `SELECT ${[`${PLACE} AS pl`, ...stateOf(plan, columns)].join(', ')} FROM source`
}

/** What a row says: its time, whether it is a deletion, and its values. */
function stateOf(plan: ViewPlan, columns: readonly string[]): string[] {
  const tombstone = plan.tombstone === undefined ? [] : [`coalesce(${quoteName(plan.tombstone)}, false) AS dl`]
  const payload = columns.map((column, index) => `${quoteName(column)} AS c${index}`)
  return [`${microseconds(plan.eventTime)} AS ev`, ...tombstone, ...payload]
}
