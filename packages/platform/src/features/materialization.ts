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

/** Whether the generation is in the online store; it then stays there until this transaction ends. */
async function holdGeneration(tx: Tx, generation: number): Promise<boolean> {
  const row = await tx.db
    .selectFrom('materialization')
    .select('generation')
    .where('project', '=', tx.project)
    .where('generation', '=', generation)
    .where('state', '=', 'committed')
    .limit(1)
    .forShare()
    .executeTakeFirst()
  return row !== undefined
}

/**
 * Those of the views that are not in the online store under the generation that they name. The others stay there until
 * this transaction ends.
 */
export async function findUnmaterialized<View extends { readonly generation: number }>(
  tx: Tx,
  views: readonly View[],
): Promise<View[]> {
  const missing: View[] = []
  for (const view of views) if (!(await holdGeneration(tx, view.generation))) missing.push(view)
  return missing
}

/**
 * Whether one of the generations was materialized once and has been dropped since. Those that are there stay until this
 * transaction ends.
 */
export async function isDropped(tx: Tx, generations: readonly number[]): Promise<boolean> {
  for (const generation of generations) {
    if (await holdGeneration(tx, generation)) continue
    const before = await tx.db
      .selectFrom('materialization')
      .select('generation')
      .where('project', '=', tx.project)
      .where('generation', '=', generation)
      .limit(1)
      .executeTakeFirst()
    if (before) return true
  }
  return false
}
