import type { Context, Tx } from '../kernel/db/index.ts'
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

/**
 * Those of the views that are not in the online store under the generation that they name. The others stay there until
 * this transaction ends.
 */
export async function findUnmaterialized<View extends { readonly view: string; readonly generation: number }>(
  tx: Tx,
  views: readonly View[],
): Promise<View[]> {
  const missing: View[] = []
  for (const view of views) {
    const row = await tx.db
      .selectFrom('materialization')
      .select('generation')
      .where('project', '=', tx.project)
      .where('view', '=', view.view)
      .where('generation', '=', view.generation)
      .where('state', '=', 'committed')
      .limit(1)
      .forShare()
      .executeTakeFirst()
    if (!row) missing.push(view)
  }
  return missing
}

/** Whether one of the generations was materialized once and has been dropped since. */
export async function isDropped(ctx: Context, generations: readonly number[]): Promise<boolean> {
  if (generations.length === 0) return false
  const rows = await ctx.db
    .selectFrom('materialization')
    .select(['generation', 'state'])
    .distinct()
    .where('project', '=', ctx.project)
    .where('generation', 'in', [...generations])
    .execute()
  const isThere = (generation: number) => rows.some((row) => row.generation === generation && row.state === 'committed')
  return rows.some(({ generation }) => !isThere(generation))
}
