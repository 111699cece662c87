import { digest, VERSION_VERDICTS } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { declareEvents, type EventsOf } from '../kernel/db/index.ts'

const judged = z.strictObject({
  version: z.int().positive(),
  digest: digest,
  verdict: z.enum(VERSION_VERDICTS),
  /** Expectations that were looked at, and those of them that did not hold. */
  evaluated: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  rowCount: z.int().nonnegative(),
})

export const datasetEvents = declareEvents({
  'datasets.dataset_declared': {
    happened: 'A dataset was declared, or its definition was changed',
    subject: 'name of the dataset',
    data: z.strictObject({ digest: digest, previous: digest.nullable() }),
  },
  'datasets.dataset_undeclared': {
    happened: 'A dataset is declared no longer; its versions stay',
    subject: 'name of the dataset',
    data: z.strictObject({ previous: digest }),
  },
  'datasets.version_registered': {
    happened: 'A dataset got a version with content that it did not have yet',
    subject: 'name of the dataset',
    data: judged,
  },
  'datasets.version_validated': {
    happened: 'A version that was there was judged by another suite of expectations',
    subject: 'name of the dataset',
    data: judged,
  },
})

declare module '../kernel/db/events.ts' {
  interface Events extends EventsOf<typeof datasetEvents> {}
}
