import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import './tables.ts'

/** How far the events of some domains had been seen. */
export interface EventMark {
  readonly position: bigint
  /** Those that had no place in the order of delivery yet. */
  readonly waiting: ReadonlySet<bigint>
}

/**
 * Where the events of the domains (`delivery` for `delivery.…`) of all projects stand, and whether any was committed
 * since an earlier mark. One that commits late has no place yet, so it is seen as well. Reads only what is newer.
 */
export async function markEvents(
  ctx: Context,
  domains: readonly string[],
  since?: EventMark,
): Promise<{ mark: EventMark; isNew: boolean }> {
  const { rows } = await sql<{ head: bigint; seq: bigint | null; position: bigint | null }>`
    with head as (select coalesce((select position from outbox_head), 0) as position)
    select head.position as head, o.seq, o.position from head left join outbox o
      on (o.position is null or o.position > ${since?.position ?? null}::bigint)
        and split_part(o.type, '.', 1) in (${sql.join(domains)})`.execute(ctx.db)
  const seen = rows.flatMap(({ seq, position }) => (seq === null ? [] : [{ seq, position }]))
  return {
    mark: {
      position: rows[0]!.head, // the head is one row
      waiting: new Set(seen.filter(({ position }) => position === null).map(({ seq }) => seq)),
    },
    isNew: since === undefined || seen.some(({ seq }) => !since.waiting.has(seq)),
  }
}
