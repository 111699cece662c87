import { type Kysely, sql } from 'kysely'

/** Registered models, their versions with passports, aliases, approvals. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table registered_model (
    project text not null,
    name text collate "C" not null,
    description text not null default '',
    definition jsonb,
    definition_digest text,
    last_version integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    primary key (project, name)
  )`.execute(db)
  await sql`comment on table registered_model is 'retention: kept'`.execute(db)
  await sql`create table model_version (
    project text not null,
    model text collate "C" not null,
    version integer not null,
    description text not null default '',
    source text not null,
    artifact text,
    size_bytes bigint not null default 0,
    passport jsonb not null,
    passport_digest text not null,
    run text,
    step text,
    tracked_run text,
    logged_model text,
    run_link text not null default '',
    stage text not null default 'None',
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    deleted_at timestamptz,
    primary key (project, model, version),
    foreign key (project, model) references registered_model (project, name) on update cascade
  )`.execute(db)
  await sql`comment on table model_version is 'retention: kept'`.execute(db)
  await sql`create index model_version_artifact on model_version (project, artifact)`.execute(db)
  await sql`create index model_version_run on model_version (project, tracked_run)`.execute(db)
  await sql`create table model_tag (
    project text not null,
    model text collate "C" not null,
    version integer not null,
    key text collate "C" not null,
    value text not null,
    primary key (project, model, version, key),
    foreign key (project, model) references registered_model (project, name) on update cascade
  )`.execute(db)
  await sql`comment on table model_tag is 'retention: kept'`.execute(db)
  await sql`create table model_alias (
    project text not null,
    model text collate "C" not null,
    alias text collate "C" not null,
    version integer not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, model, alias),
    foreign key (project, model, version) references model_version (project, model, version) on update cascade
  )`.execute(db)
  await sql`comment on table model_alias is 'retention: kept'`.execute(db)
  await sql`create table approval (
    id text primary key,
    project text not null,
    model text not null,
    version integer not null,
    environment text not null,
    artifact text not null,
    passport text not null,
    approver text not null,
    proof text not null,
    comment text not null,
    is_self_approved boolean not null,
    created_at timestamptz not null default clock_timestamp(),
    foreign key (project, model, version) references model_version (project, model, version) on update cascade,
    unique (project, model, version, environment, approver, passport)
  )`.execute(db)
  await sql`comment on table approval is 'retention: kept'`.execute(db)
}
