import { sql } from 'kysely'
import type { Context } from '../db/index.ts'
import './tables.ts'

const BATCH = 1_000

/**
 * Gives committed events their place in the order of delivery; returns how many it placed.
 *
 * A row is placed only when every transaction that began before its writer has ended (`xid` below the oldest running
 * one): a cursor on `seq` alone would pass a row that commits late. Rows are placed by `seq`, and one waits for earlier
 * rows of its subject that are still above that line, so a subject's order is that of its row locks.
 */
export async function placeEvents(ctx: Context): Promise<number> {
  const waiting = await ctx.db.selectFrom('outbox').select('seq').where('position', 'is', null).limit(1).execute()
  if (waiting.length === 0) return 0
  let total = 0
  for (let placed = BATCH; placed === BATCH; total += placed) placed = await placeBatch(ctx)
  return total
}

async function placeBatch(ctx: Context): Promise<number> {
  return ctx.transaction(async (tx) => {
    // Also the lock that lets one sequencer at a time place rows.
    const head = await sql<{ position: bigint }>`insert into outbox_head (position) values (0)
      on conflict (only_row) do update set position = outbox_head.position returning position`.execute(tx.db)
    const placed = await sql`
      with horizon as (select pg_snapshot_xmin(pg_current_snapshot()) as xmin),
      early as materialized (
        select o.seq, o.project, o.subject from outbox o, horizon
        where o.position is null and o.xid < horizon.xmin order by o.seq limit ${BATCH}
      ),
      ready as materialized (
        select early.seq, row_number() over (order by early.seq) as place from early, horizon
        where not exists (
          select 1 from outbox e where e.position is null and e.project = early.project and e.subject = early.subject
            and e.seq < early.seq and e.xid >= horizon.xmin
        )
      )
      update outbox set position = ${head.rows[0]!.position}::bigint + ready.place from ready where outbox.seq = ready.seq
    `.execute(tx.db)
    const count = placed.numAffectedRows ?? 0n
    if (count > 0n)
      await tx.db
        .updateTable('outbox_head')
        .set((eb) => ({ position: eb('position', '+', count) }))
        .execute()
    return Number(count)
  })
}
