import { type Kysely, sql } from 'kysely'

const KEPT = [
  'tracking_artifact',
  'tracked_run',
  'tracked_param',
  'tracked_tag',
  'tracked_metric',
  'tracked_metric_latest',
  'tracked_dataset',
  'tracked_input',
  'tracked_model_link',
  'logged_model',
  'logged_model_param',
  'logged_model_tag',
  'materialization',
] as const

const CORRECTED = {
  outbox: 'events, eventDays after every consumer has passed',
  job: 'jobs, jobDays after the end; dead ones until discarded',
  auth_token: 'tokens, tokenDays after expiry',
  gateway_status: 'predictions',
  blob_pin: 'blobs, until unpinned or expired',
  blob_part: 'blobs, as long as its root is stored',
  blob_collected: 'blobs, 1 hour; of no project, as the blobs themselves',
} as const

/**
 * Comments that said what does not happen: no job deletes what was tracked or materialized, and ages are settings. The
 * class is what stands before the first comma; `processes/retention-class.ts` says what enforces each.
 */
export async function up(db: Kysely<never>): Promise<void> {
  for (const table of KEPT) await sql`comment on table ${sql.table(table)} is 'retention: kept'`.execute(db)
  for (const [table, text] of Object.entries(CORRECTED))
    await sql`comment on table ${sql.table(table)} is ${sql.lit(`retention: ${text}`)}`.execute(db)
}
