import type { Context } from '../kernel/db/index.ts'
import { requireDefinition } from './definition-store.ts'
import './tables.ts'

const MICROS_PER_MS = 1_000n

/** What of a view was written into the online store, newest first. @throws not_found features.view_not_found */
export async function listMaterializations(ctx: Context, view: string, limit: number) {
  await requireDefinition(ctx, 'feature-view', view)
  const rows = await ctx.db
    .selectFrom('materialization')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('view', '=', view)
    .orderBy('until_us', 'desc')
    .orderBy('created_at', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    viewVersion: row.view_version,
    generation: row.generation,
    source: row.source,
    until: new Date(Number(BigInt(row.until_us) / MICROS_PER_MS)).toISOString(),
    rowsApplied: Number(row.rows_applied),
    rowsStale: Number(row.rows_stale),
    run: row.run,
    step: row.step,
    createdAt: row.created_at.toISOString(),
  }))
}

/** Those of the views that were never brought to the online store under the generation that they name. */
export async function findUnmaterialized<View extends { readonly view: string; readonly generation: number }>(
  ctx: Context,
  views: readonly View[],
): Promise<View[]> {
  if (views.length === 0) return []
  const rows = await ctx.db
    .selectFrom('materialization')
    .select('generation')
    .distinct()
    .where('project', '=', ctx.project)
    .where('generation', 'in', [...new Set(views.map(({ generation }) => generation))])
    .where('state', '=', 'committed')
    .execute()
  const filled = new Set(rows.map(({ generation }) => generation))
  return views.filter(({ generation }) => !filled.has(generation))
}
