import { type Kysely, sql } from 'kysely'

/**
 * One more check of a key that nothing can violate: experiments are never deleted, and who writes a run has just read its
 * experiment. It locked the experiment's row for each run, which writes that row anew.
 */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table tracked_run drop constraint tracked_run_project_experiment_fkey`.execute(db)
}
