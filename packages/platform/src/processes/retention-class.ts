import type { Config } from '../kernel/config/index.ts'

/** What lets go of rows of a class: a retention job, by the age that a setting gives if there is one; or why none does. */
export type Enforcer =
  | { readonly job: string; readonly setting?: keyof Config['retention'] }
  | { readonly kept: string }

/** Retention classes, as the comments of tables name them: the words between `retention: ` and a comma, semicolon or parenthesis. */
export const RETENTION_CLASSES: Readonly<Record<string, Enforcer>> = {
  events: { job: 'kernel.retention', setting: 'eventDays' },
  jobs: { job: 'kernel.retention', setting: 'jobDays' },
  tokens: { job: 'kernel.retention', setting: 'tokenDays' },
  runs: { job: 'pipelines.retention', setting: 'runDays' },
  cache: { job: 'pipelines.retention', setting: 'cacheDays' },
  predictions: { job: 'predictions.retention', setting: 'predictionDays' },
  blobs: { job: 'blobs.collect', setting: 'blobGraceHours' },
  snapshots: { kept: 'the newest 1,000: publishing one deletes those before' },
  kept: { kept: 'until somebody deletes them' },
  definitions: { kept: 'until somebody deletes them' },
  datasets: { kept: 'until somebody deletes them' },
  forever: { kept: 'for ever' },
  'until sealed': { kept: 'the sealer of the ledger deletes them' },
  'until handled or discarded': { kept: 'delivery deletes them, or a person' },
  'does not grow': { kept: 'a fixed number of rows' },
}
