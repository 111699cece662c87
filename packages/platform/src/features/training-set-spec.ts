import { columnType, definitionName, entityDefinition, featureViewDefinition, fieldName } from '@plimsoll/sdk/wire'
import { z } from 'zod'

export const trainingSetParams = z.strictObject({
  service: definitionName,
  /** Column of the spine with the time at which each row's features are wanted. */
  time: fieldName,
  /** Columns of the spine to keep; all when absent. Keys and time are always kept. */
  columns: z.array(fieldName).max(2_000).optional(),
  /** Key or request field of the service → column of the spine, where the names differ. */
  keys: z.record(fieldName, fieldName).default({}),
  /** Dataset that the result is registered under; `<service>-training` when absent. */
  dataset: definitionName.optional(),
  /** Rows known only later than this instant are left out. */
  asOf: z.iso
    .datetime({ offset: true, error: 'expected a time with its offset, such as 2026-01-31T12:00:00Z' })
    .optional(),
})

/** What the command works from: definitions whole, and by digest. */
export const trainingSetSpec = z.strictObject({
  service: z.string(),
  serviceDigest: z.string(),
  dataset: z.string(),
  time: z.string(),
  spineColumns: z.array(z.string()),
  /** Types of the spine's kept columns. */
  spineSchema: z.record(z.string(), columnType),
  asOfUs: z.string().nullable(),
  views: z.array(
    z.strictObject({
      view: featureViewDefinition,
      viewVersion: z.string(),
      entity: entityDefinition,
      input: z.string(),
      spineKeys: z.array(z.string()),
      features: z.array(z.strictObject({ name: z.string(), feature: z.string() })),
    }),
  ),
})
export type TrainingSetSpec = z.output<typeof trainingSetSpec>

/** What a training set is made of, beside its data. */
export const trainingSetReport = z.strictObject({
  rows: z.int().nonnegative(),
  /** First and last time of the spine, microseconds as text; null when it has none. */
  timesUs: z.tuple([z.string(), z.string()]).nullable(),
  asOfUs: z.string().nullable(),
  service: z.strictObject({ name: z.string(), digest: z.string() }),
  /** Rows of the spine whose time is null: they are kept, and all their features are null. */
  rowsWithoutTime: z.int().nonnegative(),
  views: z.array(
    z.strictObject({
      name: z.string(),
      version: z.string(),
      source: z.string(),
      /** Rows of the spine whose key of the view is null, or a part of it: they are kept, and its features are null. */
      rowsWithoutKey: z.int().nonnegative(),
      /** Rows of the source without a key or an event time: they are seen by no row. */
      sourceRowsLeftOut: z.int().nonnegative(),
    }),
  ),
  features: z.record(z.string(), z.strictObject({ nulls: z.int().nonnegative(), nullRate: z.number() })),
})
export type TrainingSetReport = z.output<typeof trainingSetReport>
