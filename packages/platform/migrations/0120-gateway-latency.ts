import { type Kysely, sql } from 'kysely'

/** What a gateway last said of its routes' latencies. */
export async function up(db: Kysely<never>): Promise<void> {
  await sql`alter table gateway_status add column latency jsonb not null default '{}'`.execute(db)
}
