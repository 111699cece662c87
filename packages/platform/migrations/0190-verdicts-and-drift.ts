import { type Kysely, sql } from 'kysely'

/**
 * Records of CI, CT and CD, and what is watched of a route. Records of CI and CT are added and never rewritten: a later one
 * names the one of the same question that it supersedes, and only the first of a question names none. Two records of one
 * statement may still supersede each other: the writer adds one at a time. What binds is a digest, never a name.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await addCi(db)
  await addCt(db)
  await addCd(db)
  await addMonitors(db)
  await addWindows(db)
}

async function addCi(db: Kysely<never>): Promise<void> {
  await sql`create table ci_record (
    project text not null,
    id text not null,
    repository text not null,
    commit text not null check (commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    pipeline_digest text not null check (pipeline_digest ~ '^sha256:[0-9a-f]{64}$'),
    config_digest text not null check (config_digest ~ '^sha256:[0-9a-f]{64}$'),
    verdict text not null check (verdict in ('pass', 'fail', 'inconclusive', 'error')),
    checks jsonb not null,
    actor text not null,
    trigger text not null check (trigger in ('webhook', 'cli', 'poll')),
    supersedes text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, id),
    unique (project, supersedes),
    unique (project, id, repository, commit, pipeline_digest, config_digest),
    constraint ci_record_not_itself check (supersedes <> id),
    constraint ci_record_question foreign key (project, supersedes, repository, commit, pipeline_digest, config_digest)
      references ci_record (project, id, repository, commit, pipeline_digest, config_digest)
  )`.execute(db)
  await sql`comment on table ci_record is 'retention: kept'`.execute(db)
  await sql`create unique index ci_record_first on ci_record (project, repository, commit, pipeline_digest, config_digest)
    where supersedes is null`.execute(db)
}

/** A foreign key holds nothing of a row with a null in it, and the champion may be null: `champion_key` never is. */
async function addCt(db: Kysely<never>): Promise<void> {
  await sql`create table evaluation (
    project text not null,
    id text not null,
    model text collate "C" not null,
    artifact text not null check (artifact ~ '^sha256:[0-9a-f]{64}$'),
    passport text not null check (passport ~ '^sha256:[0-9a-f]{64}$'),
    champion_artifact text check (champion_artifact ~ '^sha256:[0-9a-f]{64}$'),
    champion_key text not null generated always as (coalesce(champion_artifact, '')) stored,
    holdout_digest text not null check (holdout_digest ~ '^sha256:[0-9a-f]{64}$'),
    evidence_digest text check (evidence_digest ~ '^sha256:[0-9a-f]{64}$'),
    policy_digest text not null check (policy_digest ~ '^sha256:[0-9a-f]{64}$'),
    ci_record text not null,
    verdict text not null check (verdict in ('pass', 'fail', 'inconclusive', 'error')),
    actor text not null,
    supersedes text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, id),
    foreign key (project, ci_record) references ci_record (project, id),
    unique (project, supersedes),
    unique (project, id, model, artifact, passport, champion_key, holdout_digest),
    constraint evaluation_not_itself check (supersedes <> id),
    constraint evaluation_question foreign key (project, supersedes, model, artifact, passport, champion_key, holdout_digest)
      references evaluation (project, id, model, artifact, passport, champion_key, holdout_digest),
    constraint evaluation_measured check (verdict = 'error' or evidence_digest is not null)
  )`.execute(db)
  await sql`comment on table evaluation is 'retention: kept'`.execute(db)
  await sql`create unique index evaluation_first on evaluation (project, model, artifact, passport,
    champion_key, holdout_digest) where supersedes is null`.execute(db)
  await sql`create table gate_result (
    project text not null,
    evaluation text not null,
    position integer not null check (position >= 0),
    slice text collate "C" not null,
    gate text not null,
    metric text,
    test text,
    statistic double precision,
    difference double precision,
    interval_low double precision,
    interval_high double precision,
    margin double precision,
    alpha double precision check (alpha > 0 and alpha < 1),
    p double precision check (p >= 0 and p <= 1),
    n bigint not null check (n >= 0),
    n_needed bigint check (n_needed >= 0),
    seed bigint,
    verdict text not null check (verdict in ('pass', 'fail', 'inconclusive', 'error')),
    primary key (project, evaluation, position, slice),
    foreign key (project, evaluation) references evaluation (project, id),
    constraint gate_result_numbers check (not array[statistic, difference, interval_low, interval_high, margin]
      && array['NaN', 'Infinity', '-Infinity']::double precision[]),
    constraint gate_result_interval check (interval_low <= interval_high)
  )`.execute(db)
  await sql`comment on table gate_result is 'retention: kept'`.execute(db)
}

async function addCd(db: Kysely<never>): Promise<void> {
  // Refuses nothing, as ids are unique: it is there for a rollout to name a release of its own route.
  await sql`create unique index release_of_route on release (project, environment, route, id)`.execute(db)
  await sql`create table rollout (
    project text not null,
    id text not null,
    environment text not null,
    route text not null,
    from_artifact text check (from_artifact ~ '^sha256:[0-9a-f]{64}$'),
    artifact text not null check (artifact ~ '^sha256:[0-9a-f]{64}$'),
    policy_digest text not null check (policy_digest ~ '^sha256:[0-9a-f]{64}$'),
    release text not null unique,
    evaluation text not null,
    state text not null check (state in
      ('planned', 'shadow', 'canary', 'baking', 'paused', 'promoted', 'rolled_back', 'aborted')),
    epoch integer not null check (epoch >= 0),
    verdict text check (verdict in ('pass', 'fail', 'inconclusive', 'error')),
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    primary key (project, id),
    foreign key (project, environment, route, release) references release (project, environment, route, id),
    foreign key (project, evaluation) references evaluation (project, id),
    constraint rollout_end check ((state in ('promoted', 'rolled_back', 'aborted')) = (verdict is not null)
      and (verdict is null) = (ended_at is null))
  )`.execute(db)
  await sql`comment on table rollout is 'retention: kept'`.execute(db)
  await sql`create unique index rollout_live on rollout (project, environment, route)
    where state not in ('promoted', 'rolled_back', 'aborted')`.execute(db)
  await sql`create table rollout_stage (
    project text not null,
    rollout text not null,
    position integer not null check (position >= 0),
    kind text not null check (kind in ('shadow', 'canary', 'full')),
    weight double precision not null,
    limits jsonb not null,
    epoch integer check (epoch >= 0),
    guards jsonb,
    evidence_digest text check (evidence_digest ~ '^sha256:[0-9a-f]{64}$'),
    verdict text check (verdict in ('pass', 'fail', 'inconclusive', 'error')),
    started_at timestamptz,
    ended_at timestamptz,
    primary key (project, rollout, position),
    foreign key (project, rollout) references rollout (project, id),
    constraint rollout_stage_weight check (case kind when 'shadow' then weight = 0 when 'full' then weight = 100
      else weight > 0 and weight < 100 end),
    constraint rollout_stage_start check ((started_at is null) = (epoch is null)
      and (started_at is not null or ended_at is null and verdict is null))
  )`.execute(db)
  await sql`comment on table rollout_stage is 'retention: kept'`.execute(db)
  await sql`create unique index rollout_stage_open on rollout_stage (project, rollout)
    where started_at is not null and ended_at is null`.execute(db)
}

async function addMonitors(db: Kysely<never>): Promise<void> {
  await sql`create table monitor (
    project text not null,
    environment text not null,
    name text collate "C" not null,
    route text not null,
    definition jsonb not null,
    definition_digest text not null check (definition_digest ~ '^sha256:[0-9a-f]{64}$'),
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, environment, name)
  )`.execute(db)
  await sql`comment on table monitor is 'retention: definitions'`.execute(db)
  await sql`create table reference_profile (
    project text not null,
    artifact text not null check (artifact ~ '^sha256:[0-9a-f]{64}$'),
    subject text not null check (subject in ('features', 'predictions')),
    profile_digest text not null check (profile_digest ~ '^sha256:[0-9a-f]{64}$'),
    dataset_digest text not null check (dataset_digest ~ '^sha256:[0-9a-f]{64}$'),
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, artifact, subject)
  )`.execute(db)
  await sql`comment on table reference_profile is 'retention: kept'`.execute(db)
}

async function addWindows(db: Kysely<never>): Promise<void> {
  await sql`create table monitor_window (
    project text not null,
    id text not null,
    environment text not null,
    route text not null,
    monitor text not null,
    monitor_digest text not null check (monitor_digest ~ '^sha256:[0-9a-f]{64}$'),
    artifact text not null check (artifact ~ '^sha256:[0-9a-f]{64}$'),
    start_ms bigint not null,
    end_ms bigint not null,
    revision integer not null check (revision > 0),
    row_count bigint not null,
    labelled bigint not null,
    profile_digest text not null check (profile_digest ~ '^sha256:[0-9a-f]{64}$'),
    created_at timestamptz not null default clock_timestamp(),
    primary key (project, id),
    unique (project, environment, monitor, artifact, start_ms, end_ms, revision),
    constraint monitor_window_span check (end_ms > start_ms),
    constraint monitor_window_labelled check (labelled >= 0 and labelled <= row_count)
  )`.execute(db)
  await sql`comment on table monitor_window is 'retention: predictions'`.execute(db)
  await sql`create index monitor_window_created on monitor_window (created_at)`.execute(db)
  await sql`create table drift (
    project text not null,
    monitor_window text not null,
    subject text not null check (subject in ('features', 'predictions')),
    column_name text collate "C" not null,
    statistic text not null,
    reference_digest text not null check (reference_digest ~ '^sha256:[0-9a-f]{64}$'),
    distance double precision,
    threshold double precision,
    p double precision check (p >= 0 and p <= 1),
    n bigint not null check (n >= 0),
    n_reference bigint not null check (n_reference >= 0),
    draws integer check (draws > 0),
    seed bigint,
    is_drift boolean,
    primary key (project, monitor_window, subject, column_name, statistic),
    foreign key (project, monitor_window) references monitor_window (project, id) on delete cascade,
    constraint drift_numbers check (not array[distance, threshold]
      && array['NaN', 'Infinity', '-Infinity']::double precision[])
  )`.execute(db)
  await sql`comment on table drift is 'retention: predictions, with their window'`.execute(db)
  await sql`create table alert (
    project text not null,
    fingerprint text not null check (fingerprint ~ '^sha256:[0-9a-f]{64}$'),
    environment text not null,
    monitor text not null,
    labels jsonb not null,
    state text not null check (state in ('ok', 'pending', 'firing', 'resolving')),
    since_ms bigint not null,
    monitor_window text,
    is_silenced boolean not null default false,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (project, fingerprint),
    foreign key (project, environment, monitor) references monitor (project, environment, name) on delete cascade,
    foreign key (project, monitor_window) references monitor_window (project, id) on delete set null (monitor_window)
  )`.execute(db)
  await sql`comment on table alert is 'retention: definitions'`.execute(db)
}
