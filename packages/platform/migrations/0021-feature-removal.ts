import { type Kysely, sql } from 'kysely'

/** What a definition meant stays known by digest after it was taken away: its versions need it no longer. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table feature_version drop constraint feature_version_fk`.execute(db)
}
