import type {
  AttemptState,
  CacheVerdict,
  CodeBundle,
  PipelineDefinition,
  PipelineStep,
  RunOptions,
  RunState,
  StepState,
} from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import type { Filled, Jsonb } from '../kernel/db/index.ts'
import type { StepOutput } from '../kernel/step-kind.ts'

/** Code of each step that has any, by the step's key. */
export type Bundles = Readonly<Record<string, CodeBundle>>
/** Where the definitions came from: a commit and whether the tree was clean. */
export interface Origin {
  readonly source: string
  readonly commit: string | null
  readonly isDirty: boolean
}
export type NamedOutputs = Readonly<Record<string, StepOutput>>

export interface PipelineVersionRow {
  project: string
  digest: string
  name: string
  definition: Jsonb<PipelineDefinition>
  bundles: Jsonb<Bundles>
  origin: Jsonb<Origin>
  created_at: Filled<Date>
}

export interface PipelineRow {
  project: string
  name: string
  digest: string
  updated_at: Filled<Date>
}

export interface PipelineRunRow {
  id: string
  project: string
  pipeline: string | null
  pipeline_digest: string
  params: Jsonb<Record<string, Json>>
  options: Jsonb<RunOptions>
  state: RunState
  reason: string | null
  actor: string
  idempotency_key: string | null
  body_digest: string
  open: Filled<number>
  failed: Filled<number>
  cancel_requested_at: Date | null
  created_at: Filled<Date>
  started_at: Date | null
  finished_at: Date | null
}

export interface StepRow {
  project: string
  run: string
  key: string
  kind: string
  definition: Jsonb<PipelineStep>
  position: number
  state: StepState
  reason: string | null
  waiting: number
  up_failed: Filled<number>
  eligible_at: Filled<Date>
  attempts_used: Filled<number>
  infra_used: Filled<number>
  fence: bigint | null
  lease_owner: string | null
  lease_expires_at: Date | null
  tracked_run: string | null
  spec: Jsonb<Json> | null
  inputs: Jsonb<NamedOutputs> | null
  cache_key: string | null
  cache_verdict: Jsonb<CacheVerdict> | null
  outputs: Jsonb<NamedOutputs> | null
  result: Jsonb<Json> | null
  progress: Jsonb<{ fraction: number; message: string }> | null
  started_at: Date | null
  finished_at: Date | null
}

export interface EdgeRow {
  project: string
  run: string
  src: string
  dst: string
}

export interface AttemptRow {
  project: string
  fence: bigint
  run: string
  key: string
  number: number
  state: AttemptState
  executor: string
  external_ref: string | null
  work_dir: string | null
  started_at: Filled<Date>
  finished_at: Date | null
  exit_code: number | null
  signal: string | null
  failure_class: string | null
  message: string | null
  log_digest: string | null
  log_bytes: bigint | null
  usage: Jsonb<Json> | null
}

export interface CacheEntryRow {
  project: string
  key: string
  pipeline: string
  step: string
  components: Jsonb<Record<string, Record<string, string>>>
  outputs: Jsonb<NamedOutputs>
  source_run: string
  source_step: string
  created_at: Filled<Date>
  last_hit_at: Date | null
  hits: Filled<number>
  is_tainted: Filled<boolean>
}

declare module '../kernel/db/tables.ts' {
  interface Tables {
    pipeline_version: PipelineVersionRow
    pipeline: PipelineRow
    pipeline_run: PipelineRunRow
    step: StepRow
    edge: EdgeRow
    attempt: AttemptRow
    cache_entry: CacheEntryRow
  }
}
