import { type Kysely, sql } from 'kysely'

/** Projects, tokens, keys and grants. A row of project `*` holds in every project: it is the operator's. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table auth_project (
    project text primary key check (project ~ '^[a-z][a-z0-9_-]{0,62}$'),
    created_at timestamptz not null default clock_timestamp(),
    created_by text not null
  )`.execute(db)
  await sql`comment on table auth_project is 'retention: forever'`.execute(db)
  await sql`insert into auth_project (project, created_by) values ('default', 'system')`.execute(db)
  await sql`create table auth_token (
    id text primary key,
    project text not null,
    name text not null,
    principal text not null,
    role text not null check (role in ('viewer', 'editor', 'approver', 'admin')),
    kind text not null check (kind in ('named', 'operator', 'run')),
    run text,
    hash text not null unique,
    created_at timestamptz not null,
    created_by text not null,
    expires_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz
  )`.execute(db)
  await sql`create index auth_token_project on auth_token (project, id)`.execute(db)
  await sql`create index auth_token_expiry on auth_token (expires_at)`.execute(db)
  await sql`comment on table auth_token is 'retention: 30 days after expiry'`.execute(db)
  await sql`create table auth_key (
    id text primary key,
    project text not null,
    principal text not null,
    fingerprint text not null,
    public_key text not null,
    created_at timestamptz not null,
    created_by text not null,
    revoked_at timestamptz
  )`.execute(db)
  await sql`create unique index auth_key_live on auth_key (project, fingerprint) where revoked_at is null`.execute(db)
  await sql`comment on table auth_key is 'retention: forever'`.execute(db)
  await sql`create table auth_grant (
    project text not null,
    principal text not null,
    role text not null check (role in ('viewer', 'editor', 'approver', 'admin')),
    created_at timestamptz not null,
    created_by text not null,
    primary key (project, principal)
  )`.execute(db)
  await sql`comment on table auth_grant is 'retention: forever'`.execute(db)
  await sql`create table auth_signature (
    nonce text primary key,
    project text not null,
    principal text not null,
    fingerprint text not null,
    statement text not null,
    signature text not null,
    at timestamptz not null
  )`.execute(db)
  await sql`create index auth_signature_at on auth_signature (at)`.execute(db)
  await sql`comment on table auth_signature is 'retention: forever (proof of named actions)'`.execute(db)
}
