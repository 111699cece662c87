import { type Kysely, sql } from 'kysely'

/** Entities, feature views with every version of their meaning, services, online generations and materializations. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table feature_definition (
    project text not null,
    kind text not null check (kind in ('entity', 'feature-view', 'feature-service')),
    name text not null check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
    digest text not null,
    definition jsonb not null,
    generation integer,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint feature_definition_pk primary key (project, kind, name)
  )`.execute(db)
  await sql`comment on table feature_definition is 'retention: definitions'`.execute(db)
  await sql`create table feature_version (
    project text not null,
    kind text not null,
    name text not null,
    digest text not null,
    definition jsonb not null,
    generation integer,
    created_at timestamptz not null default clock_timestamp(),
    constraint feature_version_pk primary key (project, kind, name, digest),
    constraint feature_version_fk foreign key (project, kind, name) references feature_definition (project, kind, name)
  )`.execute(db)
  await sql`comment on table feature_version is 'retention: definitions'`.execute(db)
  await sql`create sequence feature_generation as integer start 1`.execute(db)
  await sql`create table materialization (
    project text not null,
    view text not null,
    view_version text not null,
    generation integer not null,
    source text not null,
    until_us bigint not null,
    fence integer not null,
    state text not null check (state in ('committed')),
    rows_applied bigint not null,
    rows_stale bigint not null,
    run text not null,
    step text not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint materialization_pk primary key (project, view, view_version, source, until_us, run, step)
  )`.execute(db)
  await sql`create index materialization_newest on materialization (project, view, view_version, until_us desc)`.execute(
    db,
  )
  await sql`comment on table materialization is 'retention: runs'`.execute(db)
}
