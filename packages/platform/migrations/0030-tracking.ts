import { type Kysely, sql } from 'kysely'

/** Names, keys and ids sort by bytes (`collate "C"`), as MLflow's stores do; times are int64 milliseconds as sent. */
export async function up(db: Kysely<never>): Promise<void> {
  await experiments(db)
  await runs(db)
  await metrics(db)
  await inputs(db)
  await loggedModels(db)
  await sql`create table tracking_artifact (
    project text not null,
    path text collate "C" not null,
    digest text not null,
    size_bytes bigint not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, path)
  )`.execute(db)
  await sql`create index tracking_artifact_digest on tracking_artifact (digest)`.execute(db)
  await sql`comment on table tracking_artifact is 'retention: runs'`.execute(db)
}

async function experiments(db: Kysely<never>): Promise<void> {
  await sql`create table experiment (
    project text not null,
    number bigint not null,
    id text collate "C" not null,
    name text collate "C" not null,
    artifact_location text not null,
    lifecycle text not null check (lifecycle in ('active', 'deleted')),
    created_ms bigint not null,
    updated_ms bigint not null,
    primary key (project, id),
    unique (project, name)
  )`.execute(db)
  await sql`create table experiment_tag (
    project text not null,
    experiment text collate "C" not null,
    key text collate "C" not null,
    value text not null,
    primary key (project, experiment, key)
  )`.execute(db)
  await sql`comment on table experiment is 'retention: forever'`.execute(db)
  await sql`comment on table experiment_tag is 'retention: forever'`.execute(db)
}

async function runs(db: Kysely<never>): Promise<void> {
  await sql`create table tracked_run (
    no bigint generated always as identity primary key,
    project text not null,
    id text collate "C" not null,
    experiment text collate "C" not null,
    name text collate "C" not null,
    user_id text collate "C" not null,
    status text collate "C" not null,
    start_ms bigint,
    end_ms bigint,
    artifact_uri text collate "C" not null,
    lifecycle text not null check (lifecycle in ('active', 'deleted')),
    deleted_with_experiment boolean not null default false,
    owner_run text,
    unique (project, id),
    foreign key (project, experiment) references experiment (project, id)
  )`.execute(db)
  await sql`create index tracked_run_page on tracked_run (project, experiment, start_ms desc, id)`.execute(db)
  await sql`create table tracked_param (
    project text not null,
    run_no bigint not null references tracked_run (no) on delete cascade,
    key text collate "C" not null,
    value text collate "C" not null,
    primary key (run_no, key)
  )`.execute(db)
  await sql`create table tracked_tag (
    project text not null,
    run_no bigint not null references tracked_run (no) on delete cascade,
    key text collate "C" not null,
    value text collate "C" not null,
    primary key (run_no, key)
  )`.execute(db)
  for (const table of ['tracked_run', 'tracked_param', 'tracked_tag'] as const) {
    await sql`comment on table ${sql.table(table)} is 'retention: runs'`.execute(db)
  }
}

/** `value` of a NaN is 0 with `is_nan`, so that equal rows are equal: NaN belongs to the key by its flag. */
async function metrics(db: Kysely<never>): Promise<void> {
  await sql`create table tracked_metric (
    project text not null,
    run_no bigint not null,
    key text collate "C" not null,
    ts_ms bigint not null,
    step bigint not null,
    value double precision not null,
    is_nan boolean not null,
    model text collate "C",
    dataset_name text,
    dataset_digest text,
    primary key (run_no, key, ts_ms, step, value, is_nan)
  )`.execute(db)
  await sql`create index tracked_metric_model on tracked_metric (model, key) where model is not null`.execute(db)
  await sql`create table tracked_metric_latest (
    project text not null,
    run_no bigint not null,
    key text collate "C" not null,
    ts_ms bigint not null,
    step bigint not null,
    value double precision not null,
    is_nan boolean not null,
    primary key (run_no, key)
  ) with (fillfactor = 80)`.execute(db)
  await sql`create index tracked_metric_latest_value on tracked_metric_latest (project, key, value)`.execute(db)
  await sql`comment on table tracked_metric is 'retention: runs'`.execute(db)
  await sql`comment on table tracked_metric_latest is 'retention: runs'`.execute(db)
}

async function inputs(db: Kysely<never>): Promise<void> {
  await sql`create table tracked_dataset (
    no bigint generated always as identity primary key,
    project text not null,
    experiment text collate "C" not null,
    name text collate "C" not null,
    digest text collate "C" not null,
    source_type text not null,
    source text not null,
    schema text,
    profile text,
    unique (project, experiment, name, digest)
  )`.execute(db)
  await sql`create table tracked_input (
    no bigint generated always as identity primary key,
    project text not null,
    run_no bigint not null references tracked_run (no) on delete cascade,
    dataset_no bigint not null references tracked_dataset (no),
    tags jsonb not null,
    context text collate "C",
    unique (run_no, dataset_no)
  )`.execute(db)
  await sql`create table tracked_model_link (
    no bigint generated always as identity primary key,
    project text not null,
    run_no bigint not null references tracked_run (no) on delete cascade,
    direction text not null check (direction in ('input', 'output')),
    model text collate "C" not null,
    step bigint not null default 0,
    unique (run_no, direction, model)
  )`.execute(db)
  for (const table of ['tracked_dataset', 'tracked_input', 'tracked_model_link'] as const) {
    await sql`comment on table ${sql.table(table)} is 'retention: runs'`.execute(db)
  }
}

async function loggedModels(db: Kysely<never>): Promise<void> {
  await sql`create table logged_model (
    project text not null,
    id text collate "C" not null,
    experiment text collate "C" not null,
    name text collate "C" not null,
    model_type text collate "C",
    source_run text collate "C",
    artifact_uri text not null,
    status text collate "C" not null,
    status_message text,
    lifecycle text not null check (lifecycle in ('active', 'deleted')),
    owner_run text,
    created_ms bigint not null,
    updated_ms bigint not null,
    primary key (project, id),
    foreign key (project, experiment) references experiment (project, id)
  )`.execute(db)
  await sql`create index logged_model_page on logged_model (project, experiment, created_ms desc, id)`.execute(db)
  for (const table of ['logged_model_param', 'logged_model_tag'] as const) {
    await sql`create table ${sql.table(table)} (
      project text not null,
      model text collate "C" not null,
      key text collate "C" not null,
      value text collate "C" not null,
      primary key (project, model, key)
    )`.execute(db)
    await sql`comment on table ${sql.table(table)} is 'retention: runs'`.execute(db)
  }
  await sql`comment on table logged_model is 'retention: runs'`.execute(db)
}
