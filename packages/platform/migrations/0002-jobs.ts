import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<never>): Promise<void> {
  await sql`create sequence job_fence`.execute(db)
  await sql`create table job (
    id text primary key,
    project text not null,
    kind text not null,
    data jsonb not null,
    dedupe_key text,
    state text not null check (state in ('queued', 'leased', 'done', 'dead', 'cancelled')),
    attempts integer not null default 0,
    attempts_max integer not null,
    eligible_at timestamptz not null,
    fence bigint,
    lease_owner text,
    lease_expires_at timestamptz,
    cancel_requested_at timestamptz,
    error text,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
  ) with (fillfactor = 70)`.execute(db)
  await sql`create unique index job_dedupe on job (project, kind, dedupe_key) where state in ('queued', 'leased')`.execute(
    db,
  )
  await sql`create index job_queued on job (eligible_at, id) where state = 'queued'`.execute(db)
  await sql`create index job_leased on job (lease_expires_at) where state = 'leased'`.execute(db)
  await sql`create index job_ended on job (finished_at) where state in ('done', 'dead', 'cancelled')`.execute(db)
  await sql`comment on table job is 'retention: jobs, 7 days after the end; dead ones until discarded'`.execute(db)
  await sql`create table job_schedule (
    project text not null,
    name text not null,
    kind text not null,
    data jsonb not null,
    every_ms bigint not null check (every_ms > 0),
    next_at timestamptz not null,
    primary key (project, name)
  )`.execute(db)
}
