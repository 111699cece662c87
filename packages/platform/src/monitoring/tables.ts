import type { AlertState, ProfileSubject } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Filled, Jsonb } from '../kernel/db/index.ts'

export interface PredictionLabelRow {
  project: string
  prediction: string
  row_index: number
  label: number
  known_at_ms: bigint
  received_at: Filled<Date>
  /** True once nothing more is to be done for it. */
  joined: Filled<boolean>
  /** When it is its turn to be looked up: at once, and later each time that its prediction was not there. */
  due_at: Filled<Date>
}

export interface OutcomeRow {
  project: string
  prediction: string
  row_index: number
  environment: string
  route: string
  release: string
  arm: string
  artifact: string
  at_ms: bigint
  known_at_ms: bigint
  /** NaN where the record of the prediction has none for the row. */
  score: number
  label: number
}

/** What is watched of a route. */
export interface MonitorRow {
  project: string
  environment: string
  name: string
  route: string
  definition: Jsonb<Readonly<Record<string, Json>>>
  definition_digest: string
  updated_at: Filled<Date>
}

/** How values were distributed where a model comes from: its features in training, its predictions on the holdout. */
export interface ReferenceProfileRow {
  project: string
  artifact: string
  subject: ProfileSubject
  /** Of the profile, a blob. */
  profile_digest: string
  /** Of the dataset version that it was made from. */
  dataset_digest: string
  created_at: Filled<Date>
}

/** A time slice of the live data of one model on a route. Late labels make the next revision. Forgotten with the predictions. */
export interface MonitorWindowRow {
  project: string
  id: string
  environment: string
  route: string
  monitor: string
  /** Of the monitor's definition in force. */
  monitor_digest: string
  artifact: string
  start_ms: bigint
  end_ms: bigint
  /** From 1. */
  revision: number
  row_count: bigint
  labelled: bigint
  /** Of the profile of its rows, a blob. */
  profile_digest: string
  created_at: Filled<Date>
}

/** How far a column of a window is from the reference. A number that the statistic does not have is null, and none is NaN or infinite. */
export interface DriftRow {
  project: string
  monitor_window: string
  subject: ProfileSubject
  column_name: string
  statistic: string
  /** Of the reference's profile. */
  reference_digest: string
  distance: number | null
  threshold: number | null
  p: number | null
  n: bigint
  n_reference: bigint
  /** Resamplings that gave the threshold, and their seed; null where it has a closed form. */
  draws: number | null
  seed: bigint | null
  /** Null where the rows are too few to say. */
  is_drift: boolean | null
}

/** The state of one alert. What it was before is in the events. */
export interface AlertRow {
  project: string
  /** Digest of the labels. */
  fingerprint: string
  environment: string
  monitor: string
  labels: Jsonb<Readonly<Record<string, string>>>
  state: AlertState
  /** When it came into its state, by the clock that the windows obey. */
  since_ms: bigint
  /** That brought it there; null before the first, and once that window is forgotten. */
  monitor_window: string | null
  is_silenced: Filled<boolean>
  updated_at: Filled<Date>
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    prediction_label: PredictionLabelRow
    outcome: OutcomeRow
    monitor: MonitorRow
    reference_profile: ReferenceProfileRow
    monitor_window: MonitorWindowRow
    drift: DriftRow
    alert: AlertRow
  }
}
