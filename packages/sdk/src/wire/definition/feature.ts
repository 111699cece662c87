import { z } from 'zod'
import { definitionName, described, fieldName, valueType } from './name.ts'

/** What features are about, and the keys by which rows of it are joined. */
export const entityDefinition = z.strictObject({
  kind: z.literal('entity'),
  name: definitionName,
  ...described,
  /** Join keys in order. */
  keys: z
    .array(z.strictObject({ name: fieldName, type: z.enum(['text', 'int32', 'int64', 'boolean', 'bytes']) }))
    .min(1)
    .max(8),
})
/** The definition of an entity, its defaults filled in. */
export type EntityDefinition = z.output<typeof entityDefinition>

/** Functions over a window. `std` is the sample's (ddof 1); nulls are left out, as in SQL. */
export const AGGREGATES = ['count', 'sum', 'mean', 'min', 'max', 'std'] as const

/** A feature is a column of the newest row, or an aggregate over the window (T − window, T] on the view's time. */
export const featureExpression = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('column'), column: fieldName, type: valueType }),
  z.strictObject({
    from: z.literal('aggregate'),
    function: z.enum(AGGREGATES),
    /** Absent only for `count`, which then counts rows. */
    column: fieldName.optional(),
    windowUs: z.int().positive(),
    type: valueType,
  }),
])
/** How one feature is computed from its view's source. */
export type FeatureExpression = z.output<typeof featureExpression>

/** Features of one entity, computed from one dataset by one definition, offline and online. */
export const featureViewDefinition = z.strictObject({
  kind: z.literal('feature-view'),
  name: definitionName,
  ...described,
  entity: definitionName,
  /** Dataset that it reads. */
  source: definitionName,
  /** Entity key → source column, where the names differ. */
  keyColumns: z.record(fieldName, fieldName).default({}),
  eventTime: fieldName,
  /** Column that says when a row could be known. Without it, event time is used and `plan` warns. */
  knownAt: fieldName.optional(),
  /** Integer column that breaks ties of event time and known-at time; the row's place in the dataset when absent. */
  sequence: fieldName.optional(),
  /** Boolean column that is true where a row deletes the entity. */
  tombstone: fieldName.optional(),
  /** Age, in microseconds, beyond which a column feature is null; null = never. */
  ttlUs: z.int().positive().nullable().default(null),
  features: z.record(fieldName, featureExpression),
  online: z.boolean().default(true),
})
/** The definition of a feature view, its defaults filled in. */
export type FeatureViewDefinition = z.output<typeof featureViewDefinition>

/** The set of features that a model consumes, by view, in order. */
export const featureServiceDefinition = z.strictObject({
  kind: z.literal('feature-service'),
  name: definitionName,
  ...described,
  views: z
    .array(
      z.strictObject({
        view: definitionName,
        /** Prefix of the feature names; the view's name when absent. */
        as: definitionName.optional(),
        /** Entity key → spine column or request field, where the names differ. */
        keys: z.record(fieldName, fieldName).default({}),
        /** All features of the view when absent. */
        features: z.array(fieldName).optional(),
      }),
    )
    .min(1)
    .max(100),
})
/** The definition of a feature service, its defaults filled in. */
export type FeatureServiceDefinition = z.output<typeof featureServiceDefinition>
