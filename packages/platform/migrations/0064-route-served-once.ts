import { type Kysely, sql } from 'kysely'

/** Gateways know routes by environment and name: one project serves under a name. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create unique index assignment_served_once on assignment (environment, route)`.execute(db)
}
