import { type Kysely, sql } from 'kysely'

/**
 * Checks of keys that nothing can violate, and that cost as much as the rows: a tracked run is never deleted, and the
 * statement that writes an attempt has just updated its step. Metrics never had the check.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table tracked_param drop constraint tracked_param_run_no_fkey`.execute(db)
  await sql`alter table tracked_tag drop constraint tracked_tag_run_no_fkey`.execute(db)
  await sql`alter table attempt drop constraint attempt_run_key_fkey`.execute(db)
}
