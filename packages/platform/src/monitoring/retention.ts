import { type SqlBool, sql } from 'kysely'
import { unpinBlobs } from '../kernel/blob/index.ts'
import type { Context } from '../kernel/db/index.ts'
import './tables.ts'

const BATCH = 500

/** Who holds the profile of a window. */
export function windowOwner(id: string): string {
  return `monitor-window:${id}`
}

/** Forgets labels that arrived longer ago than `ageMs`, and outcomes of predictions of that age. */
export async function forgetOutcomes(ctx: Context, ageMs: number): Promise<void> {
  await ctx.db
    .deleteFrom('prediction_label')
    .where(sql<SqlBool>`received_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'`)
    .execute()
  await ctx.db
    .deleteFrom('outcome')
    .where('at_ms', '<', BigInt(Math.floor(ctx.clock.nowMs() - ageMs)))
    .execute()
}

/**
 * Forgets some windows that were made longer ago than `ageMs`, with their drift and what only they pin. An alert that names
 * one stays, and names none. Returns how many went.
 */
export async function forgetWindows(ctx: Context, ageMs: number): Promise<number> {
  return ctx.transaction(async (tx) => {
    const { rows } = await sql<{ project: string; id: string }>`
      with old as materialized (
        select project, id from monitor_window
        where created_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'
        order by created_at limit ${BATCH} for update skip locked)
      delete from monitor_window w using old where w.project = old.project and w.id = old.id
      returning w.project, w.id`.execute(tx.db)
    for (const [project, own] of Map.groupBy(rows, (row) => row.project))
      await unpinBlobs(tx.as({ project }), ...own.map((row) => windowOwner(row.id)))
    return rows.length
  })
}
