import type { Filled, Jsonb } from '../db/index.ts'

type JobState = 'queued' | 'leased' | 'done' | 'dead' | 'cancelled'

export interface JobRow {
  id: string
  project: string
  kind: string
  data: Jsonb<unknown>
  dedupe_key: string | null
  state: JobState
  attempts: Filled<number>
  attempts_max: number
  eligible_at: Date
  fence: bigint | null
  lease_owner: string | null
  lease_expires_at: Date | null
  cancel_requested_at: Date | null
  error: string | null
  created_at: Filled<Date>
  finished_at: Date | null
}

export interface JobScheduleRow {
  project: string
  name: string
  kind: string
  data: Jsonb<unknown>
  every_ms: bigint
  next_at: Date
}

declare module '../db/tables.ts' {
  interface Tables {
    job: JobRow
    job_schedule: JobScheduleRow
  }
}
