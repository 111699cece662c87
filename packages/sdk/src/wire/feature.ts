import { z } from 'zod'
import { definitionName } from './definition/name.ts'
import { loosely } from './loosely.ts'

/**
 * An entity, feature view or feature service as it was applied. `generation` is null but for views: the number under which
 * their values are stored online.
 */
export const featureDefinitionView = z.object({
  name: definitionName,
  digest: z.string(),
  generation: z.int().nullable(),
  definition: z.object({ description: z.string().optional() }).catchall(z.json()),
})
/** An applied definition of features. */
export type FeatureDefinitionView = z.output<typeof featureDefinitionView>

/** Applied definitions by name; `next` is where the next page begins, null for none. */
export const featureDefinitionPage = z.object({
  definitions: z.array(featureDefinitionView),
  next: z.string().nullable(),
})

/** What of a feature view was written into the online store, newest first. */
export const materializationList = z.object({
  materializations: z.array(
    z.object({
      viewVersion: z.string(),
      generation: z.int(),
      source: z.string(),
      until: z.iso.datetime(),
      rowsApplied: z.int(),
      rowsStale: z.int(),
      run: z.string(),
      step: z.string(),
      createdAt: z.iso.datetime(),
    }),
  ),
})

const keyType = z.enum(['text', 'int32', 'int64', 'boolean', 'bytes'])

/**
 * What the online store must be asked for one feature service. Travels in the signed snapshot, so that a gateway needs
 * nothing else. `ttlUs` and `windowUs` are microseconds; without a ttl (null) no row is too old.
 */
export const featureServingSpec = z.strictObject({
  v: z.literal(1),
  service: z.string(),
  /** Digest of the service's meaning. */
  digest: z.string(),
  names: z.array(z.string()).max(10_000),
  views: z
    .array(
      z.strictObject({
        view: z.string(),
        viewVersion: z.string(),
        generation: z.int().positive(),
        keys: z
          .array(z.strictObject({ input: z.string(), type: keyType }))
          .min(1)
          .max(8),
        ttlUs: z.int().positive().nullable(),
        /** Column features: place in the answer, and slot in the stored row. */
        columns: z.array(z.strictObject({ at: z.int().nonnegative(), slot: z.int().nonnegative() })),
        /** Aggregates: place in the answer, function, place of the column among the stored ones (−1: rows), length. */
        windows: z.array(
          z.strictObject({
            at: z.int().nonnegative(),
            function: z.enum(['count', 'sum', 'mean', 'min', 'max', 'std']),
            column: z.int().min(-1),
            windowUs: z.int().positive(),
          }),
        ),
      }),
    )
    .max(100),
})
/** What a gateway looks up for a feature service. */
export type FeatureServingSpec = z.output<typeof featureServingSpec>

/** The same as an answer. */
export const featureServingView = loosely(featureServingSpec)
