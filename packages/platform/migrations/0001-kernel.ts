import { type Kysely, sql } from 'kysely'

/** Outbox and audit: what every transaction may write. Jobs, ledger and tokens follow in their own files. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table outbox (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    project text not null,
    type text not null,
    subject text not null,
    data jsonb not null,
    at timestamptz not null default clock_timestamp()
  )`.execute(db)
  await sql`create index outbox_cursor on outbox (xid, seq)`.execute(db)
  await sql`create table audit (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    project text not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    proof text not null,
    action text not null,
    subject text not null,
    data jsonb not null
  )`.execute(db)
  await sql`create index audit_subject on audit (project, subject, seq)`.execute(db)
}
