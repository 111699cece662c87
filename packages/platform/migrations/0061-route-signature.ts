import { type Kysely, sql } from 'kysely'

/** A release binds how requests become the model's columns; rows of before have none and take the route's own. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table release add column signature jsonb`.execute(db)
  await sql`alter table assignment add column signature jsonb`.execute(db)
}
