import type { Filled } from '../kernel/db/index.ts'

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

declare module '../kernel/db/tables.ts' {
  interface Tables {
    prediction_label: PredictionLabelRow
    outcome: OutcomeRow
  }
}
