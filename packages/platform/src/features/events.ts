import { digest } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../kernel/db/index.ts'
import { trainingSetReport } from './training-set-spec.ts'

export const featureEvents = declareEvents({
  'features.definition_declared': {
    happened: 'An entity, a feature view or a feature service was declared, or its definition was changed',
    subject: 'kind/name of the definition',
    data: z.strictObject({ digest: digest, previous: digest.nullable() }),
  },
  'features.definition_removed': {
    happened: 'An entity, a feature view or a feature service was deleted',
    subject: 'kind/name of the definition',
    data: z.strictObject({}),
  },
  'features.training_set_made': {
    happened: 'A step joined a training set and registered it as a version of a dataset',
    subject: 'name of the dataset',
    data: z.strictObject({ version: z.int().positive(), digest: digest, report: trainingSetReport }),
  },
  'features.view_materialized': {
    happened: 'A step wrote a generation of a feature view into the online store',
    subject: 'name of the feature view',
    data: z.strictObject({
      viewVersion: digest,
      generation: z.int(),
      /** Digest of the dataset version that was read. */
      source: digest,
      /** What was known up to then was written: microseconds as text. */
      untilUs: z.string(),
      applied: z.int().nonnegative(),
      /** Rows that were not newer than what the store had. */
      stale: z.int().nonnegative(),
    }),
  },
})

declare module '../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof featureEvents> {}
}
