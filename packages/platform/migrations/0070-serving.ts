import { type Kysely, sql } from 'kysely'

/** Snapshots, gateways, and the segments of predictions that they shipped. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table serving_snapshot (
    project text not null default 'default',
    epoch integer primary key,
    content_digest text not null,
    payload text not null,
    signature text not null,
    key_id text not null,
    created_at timestamptz not null default clock_timestamp()
  )`.execute(db)
  await sql`comment on table serving_snapshot is 'retention: snapshots (the newest 1,000)'`.execute(db)
  await sql`create table gateway_status (
    project text not null default 'default',
    gateway text primary key,
    boot text not null,
    epoch integer not null,
    state text not null,
    refused jsonb,
    spooled_bytes bigint not null,
    seen_at timestamptz not null
  )`.execute(db)
  await sql`comment on table gateway_status is 'retention: gateways'`.execute(db)
  await sql`create table prediction_segment (
    project text not null default 'default',
    gateway text not null,
    boot text not null,
    sequence integer not null,
    digest text not null,
    size_bytes bigint not null,
    records integer not null,
    first_ms bigint not null,
    last_ms bigint not null,
    received_at timestamptz not null default clock_timestamp(),
    primary key (gateway, boot, sequence)
  )`.execute(db)
  await sql`comment on table prediction_segment is 'retention: predictions'`.execute(db)
  await sql`create index prediction_segment_time on prediction_segment (last_ms, first_ms)`.execute(db)
  await sql`create table prediction_count (
    project text not null,
    environment text not null,
    route text not null,
    release text not null,
    arm text not null,
    artifact text not null,
    hour_ms bigint not null,
    predictions bigint not null,
    row_count bigint not null,
    primary key (project, environment, route, release, arm, hour_ms)
  )`.execute(db)
  await sql`comment on table prediction_count is 'retention: predictions'`.execute(db)
}
