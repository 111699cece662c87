import { type Kysely, sql } from 'kysely'

/** The notes of each model as they are, as canonical JSON: `to_json` of a text escapes what RFC 8785 does, in the same way. */
async function keepNotesOfNow(db: Kysely<never>): Promise<void> {
  await sql`insert into model_notes (project, model, revision, notes, digest, definition_digest, changed_by, changed_at)
    select project, name, 1, text::jsonb, 'sha256:' || encode(sha256(convert_to(text, 'UTF8')), 'hex'), definition_digest,
      'system', updated_at
    from (select *, '{"description":' || to_json(description) || ',"intendedUse":' || coalesce(to_json(definition #>> '{intent,intendedUse}'), 'null')
        || ',"licence":' || coalesce(to_json(definition #>> '{intent,licence}'), 'null')
        || ',"limitations":' || coalesce(to_json(definition #>> '{intent,limitations}'), 'null')
        || ',"outOfScope":' || coalesce(to_json(definition #>> '{intent,outOfScope}'), 'null')
        || ',"owner":' || coalesce(to_json(definition #>> '{owner}'), 'null')
        || ',"riskClass":' || coalesce(to_json(definition #>> '{intent,riskClass}'), 'null') || '}' as text
      from registered_model where deleted_at is null) as said
    where description <> '' or definition is not null`.execute(db)
}

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
  await keepNotesOfNow(db)
}
