import { type Kysely, sql } from 'kysely'

/** A rollback names the epoch that it returned to, so that the next one goes on from there; older rows name none. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table release add column restores integer`.execute(db)
}
