import { type Kysely, sql } from 'kysely'

/** What each project has declared, and from which source. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table declared (
    project text not null,
    kind text not null,
    name text collate "C" not null,
    source text not null,
    digest text not null,
    definition jsonb not null,
    applied_at timestamptz not null default clock_timestamp(),
    applied_by text not null,
    primary key (project, kind, name)
  )`.execute(db)
  await sql`comment on table declared is 'retention: definitions'`.execute(db)
}
