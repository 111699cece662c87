import { type Kysely, sql } from 'kysely'

/** What the notes of passports said, each time that they changed: rows are added and never rewritten. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create table model_notes (
    project text not null,
    model text collate "C" not null,
    revision integer not null check (revision > 0),
    notes jsonb not null,
    digest text not null check (digest ~ '^sha256:[0-9a-f]{64}$'),
    definition_digest text check (definition_digest ~ '^sha256:[0-9a-f]{64}$'),
    changed_by text not null,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (project, model, revision),
    foreign key (project, model) references registered_model (project, name) on update cascade
  )`.execute(db)
  await sql`comment on table model_notes is 'retention: kept'`.execute(db)
}
