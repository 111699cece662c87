import type { Verdict } from '@plimsoll/sdk/wire'
import type { GeneratedAlways } from 'kysely'
import type { Filled } from '../../kernel/db/index.ts'

/** Whether a model is good: the worst verdict of the gates that must hold, measured on one holdout. */
export interface EvaluationRow {
  project: string
  id: string
  /** As it was called then; what is judged are the digests. */
  model: string
  artifact: string
  passport: string
  /** What served then and was compared with; null where nothing did. */
  champion_artifact: string | null
  /** The same for keys, by the database: empty where there is none. */
  champion_key: GeneratedAlways<string>
  /** Of the dataset version that it was measured on. */
  holdout_digest: string
  /** Of the scores of each row, a blob from which every gate can be measured again; null where the judge failed. */
  evidence_digest: string | null
  /** Of the gates in force. */
  policy_digest: string
  ci_record: string
  verdict: Verdict
  actor: string
  /** The evaluation of the same question that this one replaces; null in the first. */
  supersedes: string | null
  created_at: Filled<Date>
}

/** What one gate said of all rows or of one slice of them. A number that its test does not have is null, and none is NaN or infinite. */
export interface GateResultRow {
  project: string
  evaluation: string
  /** Of the gate in the policy. */
  position: number
  /** Empty for all rows. */
  slice: string
  /** The gate's type. */
  gate: string
  metric: string | null
  test: string | null
  statistic: number | null
  /** Challenger less champion; more is better. */
  difference: number | null
  /** Null at an end that is open. */
  interval_low: number | null
  interval_high: number | null
  margin: number | null
  alpha: number | null
  /** As the verdict took it: adjusted where several slices were asked at once. */
  p: number | null
  n: bigint
  /** Rows with which it could be decided; null where it was, or where nobody can say. */
  n_needed: bigint | null
  seed: bigint | null
  verdict: Verdict
}

declare module '../../kernel/db/tables.ts' {
  interface Tables {
    evaluation: EvaluationRow
    gate_result: GateResultRow
  }
}
