import { z } from 'zod'
import { definitionName } from './definition/name.ts'

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
