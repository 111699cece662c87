import { type Kysely, sql } from 'kysely'

/** How far the journal was written, and when each seal was made: so that a journal cut short shows. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table ledger_seal add column sealed_at timestamptz not null default now()`.execute(db)
  await sql`create table ledger_mark (
    id boolean primary key default true check (id),
    position bigint not null,
    hash text not null
  )`.execute(db)
  await sql`comment on table ledger_mark is 'retention: forever'`.execute(db)
}
