import { type Kysely, sql } from 'kysely'

/** Datasets, their definitions and versions, validations, and where in-place files were last seen. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table dataset (
    project text not null,
    name text not null check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
    origin text not null check (origin in ('declared', 'derived')),
    description text,
    owner text,
    definition_digest text,
    version_count integer not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint dataset_pk primary key (project, name)
  )`.execute(db)
  await sql`comment on table dataset is 'retention: definitions'`.execute(db)
  await sql`create table dataset_definition (
    project text not null,
    dataset text not null,
    digest text not null,
    schema_digest text not null,
    suite_digest text not null,
    definition jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint dataset_definition_pk primary key (project, dataset, digest),
    constraint dataset_definition_fk foreign key (project, dataset) references dataset (project, name)
  )`.execute(db)
  await sql`comment on table dataset_definition is 'retention: definitions'`.execute(db)
  await sql`create table dataset_version (
    project text not null,
    dataset text not null,
    version integer not null check (version > 0),
    digest text not null,
    strength text not null check (strength in ('content', 'object-checksum', 'snapshot-id', 'declared')),
    format text not null check (format in ('parquet', 'csv')),
    row_count bigint not null check (row_count >= 0),
    size_bytes bigint not null check (size_bytes >= 0),
    file_count integer not null check (file_count >= 0),
    schema jsonb not null,
    manifest jsonb,
    profile jsonb,
    profile_digest text,
    definition_digest text,
    suite_digest text,
    verdict text not null check (verdict in ('passed', 'failed', 'unchecked')),
    evaluated integer not null default 0,
    failed integer not null default 0,
    run text,
    step text,
    retention text not null default 'datasets',
    created_at timestamptz not null default clock_timestamp(),
    constraint dataset_version_pk primary key (project, dataset, version),
    constraint dataset_version_digest unique (project, dataset, digest),
    constraint dataset_version_fk foreign key (project, dataset) references dataset (project, name)
  )`.execute(db)
  await sql`create index dataset_version_by_digest on dataset_version (project, digest)`.execute(db)
  await sql`comment on table dataset_version is 'retention: datasets'`.execute(db)
  await sql`create table dataset_validation (
    project text not null,
    dataset text not null,
    version integer not null,
    suite_digest text not null,
    validation_digest text,
    result jsonb not null,
    run text,
    step text,
    created_at timestamptz not null default clock_timestamp(),
    constraint dataset_validation_pk primary key (project, dataset, version, suite_digest),
    constraint dataset_validation_fk foreign key (project, dataset, version) references dataset_version (project, dataset, version)
  )`.execute(db)
  await sql`comment on table dataset_validation is 'retention: datasets'`.execute(db)
  await sql`create table dataset_location (
    project text not null,
    digest text not null,
    location text not null,
    size_bytes bigint not null,
    mtime_ms double precision not null,
    seen_at timestamptz not null default clock_timestamp(),
    constraint dataset_location_pk primary key (project, digest, location)
  )`.execute(db)
  await sql`comment on table dataset_location is 'retention: datasets'`.execute(db)
}
