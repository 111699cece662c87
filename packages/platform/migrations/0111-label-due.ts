import { type Kysely, sql } from 'kysely'

/**
 * When a waiting label is looked up next: a sweep finds those whose turn has come without reading the others. `tried_at`
 * stays while a release that reads it may run beside this schema.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table prediction_label add column due_at timestamptz not null default now()`.execute(db)
  await sql`drop index prediction_label_waiting`.execute(db)
  await sql`create index prediction_label_due on prediction_label (project, due_at, prediction) where not joined`.execute(
    db,
  )
}
