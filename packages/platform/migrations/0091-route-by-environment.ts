import { type Kysely, sql } from 'kysely'

/** A route belongs to its environment: outside production its declared name says which. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`update declared set name = (definition->>'environment') || '/' || name
    where kind = 'route' and definition->>'environment' <> 'production'`.execute(db)
}
