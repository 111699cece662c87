import { type Kysely, sql } from 'kysely'

/** From here on every row that names a blob pins it. Parts, removals under way, and what finds rows by their age. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table blob_part (
    root text not null,
    digest text not null,
    primary key (root, digest)
  )`.execute(db)
  await sql`create index blob_part_digest on blob_part (digest)`.execute(db)
  await sql`comment on table blob_part is 'retention: as long as its root is stored; of no project, as the blobs themselves'`.execute(
    db,
  )
  await sql`alter table blob_collected add column done_at timestamptz`.execute(db)
  await sql`update blob_collected set done_at = at`.execute(db)
  for (const table of ['migration', 'outbox_head', 'outbox_consumer', 'job_schedule'])
    await sql`comment on table ${sql.table(table)} is 'retention: does not grow'`.execute(db)
  await sql`create index pipeline_run_finished on pipeline_run (finished_at) where finished_at is not null`.execute(db)
  await sql`create index cache_entry_source on cache_entry (source_run)`.execute(db)
  await sql`create index cache_entry_used on cache_entry ((coalesce(last_hit_at, created_at)))`.execute(db)
  await sql`create index prediction_segment_received on prediction_segment (received_at)`.execute(db)
  await sql`create index prediction_label_received on prediction_label (received_at)`.execute(db)
}
