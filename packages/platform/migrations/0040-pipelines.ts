import { type Kysely, sql } from 'kysely'

/** Pipelines, their runs, steps, attempts and the cache. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create sequence fence_seq`.execute(db)
  await sql`create table pipeline_version (
    project text not null,
    digest text not null,
    name text collate "C" not null,
    definition jsonb not null,
    bundles jsonb not null,
    origin jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, digest)
  )`.execute(db)
  await sql`comment on table pipeline_version is 'retention: definitions'`.execute(db)
  await sql`create table pipeline (
    project text not null,
    name text collate "C" not null,
    digest text not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, name),
    foreign key (project, digest) references pipeline_version (project, digest)
  )`.execute(db)
  await sql`comment on table pipeline is 'retention: definitions'`.execute(db)
  await sql`create table pipeline_run (
    id text primary key,
    project text not null,
    pipeline text,
    pipeline_digest text not null,
    params jsonb not null,
    options jsonb not null,
    state text not null,
    reason text,
    actor text not null,
    idempotency_key text,
    body_digest text not null,
    open integer not null default 0,
    failed integer not null default 0,
    cancel_requested_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    unique (project, idempotency_key),
    foreign key (project, pipeline_digest) references pipeline_version (project, digest)
  )`.execute(db)
  await sql`comment on table pipeline_run is 'retention: runs'`.execute(db)
  await sql`create index pipeline_run_queued on pipeline_run (created_at) where state in ('queued', 'running', 'cancelling')`.execute(
    db,
  )
  await sql`create index pipeline_run_page on pipeline_run (project, id)`.execute(db)
  await sql`create table step (
    project text not null,
    run text not null references pipeline_run (id),
    key text collate "C" not null,
    kind text not null,
    definition jsonb not null,
    position integer not null,
    state text not null,
    reason text,
    waiting integer not null,
    up_failed integer not null default 0,
    eligible_at timestamptz not null default clock_timestamp(),
    attempts_used integer not null default 0,
    infra_used integer not null default 0,
    fence bigint,
    lease_owner text,
    lease_expires_at timestamptz,
    tracked_run text,
    spec jsonb,
    inputs jsonb,
    cache_key text,
    cache_verdict jsonb,
    outputs jsonb,
    result jsonb,
    progress jsonb,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (run, key)
  ) with (fillfactor = 70)`.execute(db)
  await sql`comment on table step is 'retention: runs'`.execute(db)
  await sql`create index step_ready on step (run, eligible_at, key) where state = 'ready'`.execute(db)
  await sql`create index step_leased on step (lease_expires_at) where state = 'running'`.execute(db)
  await sql`create table edge (
    project text not null,
    run text not null references pipeline_run (id),
    src text collate "C" not null,
    dst text collate "C" not null,
    primary key (run, src, dst)
  )`.execute(db)
  await sql`comment on table edge is 'retention: runs'`.execute(db)
  await sql`create table attempt (
    project text not null,
    fence bigint primary key,
    run text not null,
    key text collate "C" not null,
    number integer not null,
    state text not null,
    executor text not null,
    external_ref text,
    work_dir text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    exit_code integer,
    signal text,
    failure_class text,
    message text,
    log_digest text,
    log_bytes bigint,
    usage jsonb,
    foreign key (run, key) references step (run, key)
  )`.execute(db)
  await sql`comment on table attempt is 'retention: runs'`.execute(db)
  await sql`create index attempt_step on attempt (run, key, number)`.execute(db)
  await sql`create table cache_entry (
    project text not null,
    key text not null,
    pipeline text not null,
    step text not null,
    components jsonb not null,
    outputs jsonb not null,
    source_run text not null,
    source_step text not null,
    created_at timestamptz not null default clock_timestamp(),
    last_hit_at timestamptz,
    hits integer not null default 0,
    is_tainted boolean not null default false,
    primary key (project, key)
  )`.execute(db)
  await sql`comment on table cache_entry is 'retention: cache'`.execute(db)
  await sql`create index cache_entry_newest on cache_entry (project, pipeline, step, created_at desc)`.execute(db)
}
