import { type Kysely, sql } from 'kysely'

/**
 * When a version was last found to be what the files of its dataset are: content that comes back is the newest again. A
 * release that knows nothing of it fills it by the default.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table dataset_version add column seen_at timestamptz not null default clock_timestamp()`.execute(db)
  await sql`update dataset_version set seen_at = created_at`.execute(db)
}
