import { type Kysely, sql } from 'kysely'

/**
 * Two more checks of keys that nothing can violate: who writes steps and edges has just locked their run, and what forgets
 * a run forgets them first. A step that becomes ready and is claimed in one transaction was checked at each claim.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table step drop constraint step_run_fkey`.execute(db)
  await sql`alter table edge drop constraint edge_run_fkey`.execute(db)
}
