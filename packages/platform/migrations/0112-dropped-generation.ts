import { type Kysely, sql } from 'kysely'

/** What a materialization wrote may be dropped again, and is then known to be gone. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table materialization drop constraint materialization_state_check`.execute(db)
  await sql`alter table materialization add constraint materialization_state_check check (state in ('committed', 'dropped'))`.execute(
    db,
  )
  await sql`create index materialization_generation on materialization (generation)`.execute(db)
}
