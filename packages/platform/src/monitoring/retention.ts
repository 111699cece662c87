import { type SqlBool, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import './tables.ts'

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
