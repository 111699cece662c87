import type { Filled } from '../db/index.ts'

export interface OutboxConsumerRow {
  consumer: string
  /** Last position that was handled or parked. */
  position: bigint
  moved_at: Filled<Date>
}

export interface OutboxParkedRow {
  consumer: string
  position: bigint
  project: string
  subject: string
  attempts: number
  eligible_at: Date
  dead_at: Date | null
  error: string | null
}

declare module '../db/tables.ts' {
  interface Tables {
    outbox_head: { only_row: Filled<boolean>; position: bigint }
    outbox_consumer: OutboxConsumerRow
    outbox_parked: OutboxParkedRow
  }
}
