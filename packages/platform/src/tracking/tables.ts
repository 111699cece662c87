import type { ColumnType, Generated } from 'kysely'
import type { Jsonb } from '../kernel/db/index.ts'

export type Lifecycle = 'active' | 'deleted'

export interface ExperimentRow {
  project: string
  number: bigint
  id: string
  name: string
  artifact_location: string
  lifecycle: Lifecycle
  created_ms: bigint
  updated_ms: bigint
}

export interface ExperimentTagRow {
  project: string
  experiment: string
  key: string
  value: string
}

export interface TrackedRunRow {
  no: Generated<bigint>
  project: string
  id: string
  experiment: string
  name: string
  user_id: string
  status: string
  start_ms: bigint | null
  end_ms: bigint | null
  artifact_uri: string
  lifecycle: Lifecycle
  deleted_with_experiment: Generated<boolean>
  /** The run whose token made this one; only that token may write it. */
  owner_run: string | null
}

export interface RunPairRow {
  project: string
  run_no: bigint
  key: string
  value: string
}

export interface MetricLatestRow {
  project: string
  run_no: bigint
  key: string
  ts_ms: bigint
  step: bigint
  value: number
  is_nan: boolean
}

export interface MetricRow extends MetricLatestRow {
  model: string | null
  dataset_name: string | null
  dataset_digest: string | null
}

export interface TrackedDatasetRow {
  no: Generated<bigint>
  project: string
  experiment: string
  name: string
  digest: string
  source_type: string
  source: string
  schema: string | null
  profile: string | null
}

export interface TrackedInputRow {
  no: Generated<bigint>
  project: string
  run_no: bigint
  dataset_no: bigint
  tags: Jsonb<{ key: string; value: string }[]>
  context: string | null
}

export interface ModelLinkRow {
  no: Generated<bigint>
  project: string
  run_no: bigint
  direction: 'input' | 'output'
  model: string
  step: ColumnType<bigint, bigint | undefined, bigint>
}

export interface LoggedModelRow {
  project: string
  id: string
  experiment: string
  name: string
  model_type: string | null
  source_run: string | null
  artifact_uri: string
  status: string
  status_message: string | null
  lifecycle: Lifecycle
  owner_run: string | null
  created_ms: bigint
  updated_ms: bigint
}

export interface LoggedModelPairRow {
  project: string
  model: string
  key: string
  value: string
}

export interface ArtifactRow {
  project: string
  path: string
  digest: string
  size_bytes: bigint
  updated_at: Generated<Date>
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    experiment: ExperimentRow
    experiment_tag: ExperimentTagRow
    tracked_run: TrackedRunRow
    tracked_param: RunPairRow
    tracked_tag: RunPairRow
    tracked_metric: MetricRow
    tracked_metric_latest: MetricLatestRow
    tracked_dataset: TrackedDatasetRow
    tracked_input: TrackedInputRow
    tracked_model_link: ModelLinkRow
    logged_model: LoggedModelRow
    logged_model_param: LoggedModelPairRow
    logged_model_tag: LoggedModelPairRow
    tracking_artifact: ArtifactRow
  }
}
