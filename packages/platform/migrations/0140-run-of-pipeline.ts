import { type Kysely, sql } from 'kysely'

/** The last runs of a pipeline, with which a run says why it is not taken from the cache. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`create index pipeline_run_of_pipeline on pipeline_run (project, pipeline, id)`.execute(db)
}
