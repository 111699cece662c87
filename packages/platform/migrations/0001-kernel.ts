import { type Kysely, sql } from 'kysely'

/** Outbox, audit and blob pins: what every transaction may write. Jobs, ledger and tokens follow in their own files. */
export async function up(db: Kysely<never>): Promise<void> {
  await createOutbox(db)
  await sql`create table audit (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    project text not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    proof text not null,
    action text not null,
    subject text not null,
    data jsonb not null
  )`.execute(db)
  await sql`create index audit_subject on audit (project, subject, seq)`.execute(db)
  await sql`comment on table audit is 'retention: forever'`.execute(db)
  await sql`create table blob_pin (
    project text not null,
    owner text not null,
    digest text not null check (digest ~ '^sha256:[0-9a-f]{64}$'),
    expires_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, owner, digest)
  )`.execute(db)
  await sql`create index blob_pin_digest on blob_pin (digest)`.execute(db)
  await sql`comment on table blob_pin is 'retention: until unpinned or expired'`.execute(db)
  await sql`create table blob_collected (
    digest text primary key,
    at timestamptz not null default clock_timestamp()
  )`.execute(db)
  await sql`comment on table blob_collected is 'retention: 1 hour; of no project, as the blobs themselves'`.execute(db)
}

async function createOutbox(db: Kysely<never>): Promise<void> {
  await sql`create table outbox (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    position bigint unique,
    project text not null,
    type text not null,
    subject text not null,
    data jsonb not null,
    at timestamptz not null default clock_timestamp()
  )`.execute(db)
  await sql`create index outbox_unplaced on outbox (project, subject, seq) where position is null`.execute(db)
  await sql`create index outbox_at on outbox (at) where position is not null`.execute(db)
  await sql`comment on table outbox is 'retention: events, 7 days after every consumer has passed'`.execute(db)
  await sql`create table outbox_head (
    only_row boolean primary key default true check (only_row),
    position bigint not null
  )`.execute(db)
  await sql`create table outbox_consumer (
    consumer text primary key,
    position bigint not null,
    moved_at timestamptz not null default clock_timestamp()
  )`.execute(db)
  await sql`create table outbox_parked (
    consumer text not null,
    position bigint not null references outbox (position),
    project text not null,
    subject text not null,
    attempts integer not null,
    eligible_at timestamptz not null,
    dead_at timestamptz,
    error text,
    primary key (consumer, position)
  )`.execute(db)
  await sql`create index outbox_parked_subject on outbox_parked (consumer, project, subject, position) where dead_at is null`.execute(
    db,
  )
  await sql`create index outbox_parked_position on outbox_parked (position)`.execute(db)
  await sql`comment on table outbox_parked is 'retention: until handled or discarded'`.execute(db)
}
