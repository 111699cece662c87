import type { GatewayStatus } from '@plimsoll/sdk/wire'
import type { Filled, Jsonb } from '../../kernel/db/index.ts'

export interface ServingSnapshotRow {
  project: Filled<string>
  epoch: number
  content_digest: string
  payload: string
  signature: string
  key_id: string
  created_at: Filled<Date>
}

export interface GatewayStatusRow {
  project: Filled<string>
  gateway: string
  boot: string
  epoch: number
  state: string
  refused: Jsonb<unknown> | null
  spooled_bytes: bigint
  latency: Jsonb<GatewayStatus['latency']>
  seen_at: Date
}

export interface PredictionSegmentRow {
  project: Filled<string>
  gateway: string
  boot: string
  sequence: number
  digest: string
  size_bytes: bigint
  records: number
  first_ms: bigint
  last_ms: bigint
  received_at: Filled<Date>
}

export interface PredictionCountRow {
  project: string
  environment: string
  route: string
  release: string
  arm: string
  artifact: string
  hour_ms: bigint
  predictions: bigint
  row_count: bigint
}

declare module '../../kernel/db/tables.ts' {
  interface Tables {
    serving_snapshot: ServingSnapshotRow
    gateway_status: GatewayStatusRow
    prediction_segment: PredictionSegmentRow
    prediction_count: PredictionCountRow
  }
}
