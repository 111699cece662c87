import { type Kysely, sql } from 'kysely'

/** When a waiting label was last looked up in vain: those that never find their prediction take turns with the rest. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table prediction_label add column tried_at timestamptz`.execute(db)
  await sql`drop index prediction_label_unjoined`.execute(db)
  await sql`create index prediction_label_waiting on prediction_label (project, tried_at nulls first, prediction)
    where not joined`.execute(db)
}
