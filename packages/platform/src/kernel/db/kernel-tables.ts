import type { ColumnType, Generated } from 'kysely'

/** A jsonb column: written as JSON text, read as parsed JSON. */
export type Jsonb<T> = ColumnType<T, string, string>
/** A column that the database fills. */
export type Filled<T> = ColumnType<T, T | undefined, T>

export interface OutboxRow {
  seq: Generated<bigint>
  /** Transaction that wrote it: placed once below `pg_snapshot_xmin`. */
  xid: Generated<string>
  /** Place in the order of delivery; null until the sequencer has seen it. */
  position: Generated<bigint | null>
  project: string
  type: string
  subject: string
  data: Jsonb<unknown>
  at: Generated<Date>
}

export interface AuditRow {
  seq: Generated<bigint>
  xid: Generated<string>
  project: string
  at: Generated<Date>
  actor: string
  proof: string
  action: string
  subject: string
  data: Jsonb<unknown>
}

declare module './tables.ts' {
  interface Tables {
    outbox: OutboxRow
    audit: AuditRow
  }
}
