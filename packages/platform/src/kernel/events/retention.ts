import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import './tables.ts'

const BATCH = 5_000

/**
 * Removes events that every known consumer has passed, that nothing parked refers to, and that are older than `ageMs`.
 * Returns how many; at most `BATCH` a call.
 */
export async function pruneEvents(ctx: Context, ageMs: number): Promise<number> {
  const result = await sql`
    with passed as (
      select coalesce((select min(position) from outbox_consumer), (select position from outbox_head), 0) as position
    ),
    old as materialized (
      select o.seq from outbox o, passed
      where o.position <= passed.position and o.at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'
        and not exists (select 1 from outbox_parked p where p.position = o.position)
      order by o.position limit ${BATCH}
    )
    delete from outbox using old where outbox.seq = old.seq
  `.execute(ctx.db)
  return Number(result.numAffectedRows ?? 0n)
}
