import { type Kysely, sql } from 'kysely'

/** Rows of the ledger, who waits for a seal, and the seals. Audit rows enter by a trigger; nothing here is ever changed. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table ledger_row (
    seq bigint generated always as identity primary key,
    project text not null,
    kind text not null,
    subject text not null,
    at timestamptz not null default clock_timestamp(),
    data jsonb not null
  )`.execute(db)
  await sql`create index ledger_row_subject on ledger_row (project, kind, subject, seq)`.execute(db)
  await sql`create unique index ledger_row_audit on ledger_row (((data->>'seq')::bigint)) where kind = 'audit'`.execute(
    db,
  )
  await sql`comment on table ledger_row is 'retention: forever'`.execute(db)
  await sql`create table ledger_pending (
    seq bigint primary key,
    xid xid8 not null default pg_current_xact_id()
  )`.execute(db)
  await sql`comment on table ledger_pending is 'retention: until sealed'`.execute(db)
  await sql`create table ledger_seal (
    position bigint primary key,
    seq bigint not null unique,
    hash text not null
  )`.execute(db)
  await sql`comment on table ledger_seal is 'retention: forever'`.execute(db)
  await createFeeds(db)
  await createRefusals(db)
}

async function createFeeds(db: Kysely<never>): Promise<void> {
  await sql`create function ledger_audit(a audit) returns jsonb language sql immutable as $$
    select jsonb_build_object('seq', a.seq::text, 'actor', a.actor, 'proof', a.proof, 'action', a.action, 'data', a.data)
  $$`.execute(db)
  await sql`create function ledger_take_audit() returns trigger language plpgsql as $$ begin
    insert into ledger_row (project, kind, subject, at, data) values (new.project, 'audit', new.subject, new.at, ledger_audit(new));
    return null;
  end $$`.execute(db)
  await sql`create trigger audit_ledger after insert on audit for each row execute function ledger_take_audit()`.execute(
    db,
  )
  await sql`create function ledger_wait() returns trigger language plpgsql as $$ begin
    insert into ledger_pending (seq) values (new.seq);
    return null;
  end $$`.execute(db)
  await sql`create trigger ledger_row_wait after insert on ledger_row for each row execute function ledger_wait()`.execute(
    db,
  )
}

async function createRefusals(db: Kysely<never>): Promise<void> {
  await sql`create function ledger_refuse() returns trigger language plpgsql as $$ begin
    raise exception 'Cannot change %: its rows are only ever added', tg_table_name using errcode = 'insufficient_privilege';
  end $$`.execute(db)
  for (const table of ['audit', 'ledger_row', 'ledger_seal']) {
    await sql`create trigger ${sql.id(`${table}_frozen`)} before update or delete on ${sql.table(table)}
      for each row execute function ledger_refuse()`.execute(db)
  }
}
