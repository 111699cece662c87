import { sql } from 'kysely'
import { unpinBlobs } from '../../kernel/blob/index.ts'
import type { Context } from '../../kernel/db/index.ts'
import { segmentOwner } from './segment.ts'
import './tables.ts'

const BATCH = 500

/**
 * Forgets some segments that arrived longer ago than `ageMs`, with what only they pin, and counts and gateways of that age.
 * Returns how many segments went.
 */
export async function forgetPredictions(ctx: Context, ageMs: number): Promise<number> {
  const beforeMs = Math.floor(ctx.clock.nowMs() - ageMs)
  await ctx.db.deleteFrom('prediction_count').where('hour_ms', '<', BigInt(beforeMs)).execute()
  await sql`delete from gateway_status where seen_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'`.execute(
    ctx.db,
  )
  return ctx.transaction(async (tx) => {
    const { rows } = await sql<{ project: string; gateway: string; boot: string; sequence: number }>`
      with old as materialized (
        select gateway, boot, sequence from prediction_segment
        where received_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'
        order by received_at limit ${BATCH} for update skip locked)
      delete from prediction_segment s using old
      where s.gateway = old.gateway and s.boot = old.boot and s.sequence = old.sequence
      returning s.project, s.gateway, s.boot, s.sequence`.execute(tx.db)
    for (const project of new Set(rows.map((row) => row.project))) {
      const own = rows.filter((row) => row.project === project)
      await unpinBlobs(tx.as({ project }), ...own.map(segmentOwner))
    }
    return rows.length
  })
}
