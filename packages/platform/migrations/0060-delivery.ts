import { type Kysely, sql } from 'kysely'

/** Routes, releases and the one place that decides what serves. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table route (
    project text not null,
    environment text not null,
    name text collate "C" not null,
    model text not null,
    definition jsonb not null,
    definition_digest text not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, environment, name)
  )`.execute(db)
  await sql`comment on table route is 'retention: definitions'`.execute(db)
  await sql`create table release (
    id text primary key,
    project text not null,
    environment text not null,
    route text not null,
    epoch integer not null,
    action text not null check (action in ('release', 'rollback')),
    model text not null,
    version integer not null,
    artifact text not null,
    passport text not null,
    from_artifact text,
    actor text not null,
    proof text not null,
    is_self_approved boolean not null,
    reason text not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (project, environment, route, epoch)
  )`.execute(db)
  await sql`comment on table release is 'retention: kept'`.execute(db)
  await sql`create table assignment (
    project text not null,
    environment text not null,
    route text not null,
    release text not null references release (id),
    epoch integer not null,
    model text not null,
    version integer not null,
    artifact text not null,
    passport text not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, environment, route),
    foreign key (project, environment, route) references route (project, environment, name)
  )`.execute(db)
  await sql`comment on table assignment is 'retention: definitions'`.execute(db)
}
