import type { OnlineStore } from '@plimsoll/sdk/seams'
import { sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { generationOf } from './online/index.ts'
import './tables.ts'

const BATCH_RECORDS = 5_000

export interface GenerationRetention {
  /** How long a generation stays after it was last declared, replaced or materialized. */
  readonly graceMs: number
  /** Generations that something else still needs, such as what serves. */
  readonly bound: (ctx: Context) => Promise<ReadonlySet<number>>
  readonly signal?: AbortSignal
}

/** Of the generations, those that no view has now, and with which nothing happened for the grace. Spans projects. */
async function findOld(ctx: Context, generations: readonly number[], graceMs: number): Promise<number[]> {
  if (generations.length === 0) return []
  const cutoff = sql`clock_timestamp() - ${graceMs}::float8 * interval '1 millisecond'`
  const { rows } = await sql<{ generation: number }>`
    select g.generation from unnest(${`{${generations.join(',')}}`}::integer[]) as g (generation)
    where not exists (select from feature_definition d where d.generation = g.generation)
      and not exists (select from feature_version v where v.generation = g.generation and v.created_at > ${cutoff})
      and not exists (select from materialization m where m.generation = g.generation and m.created_at > ${cutoff})
      and not exists (select from feature_version v join feature_definition d using (project, kind, name)
        where v.generation = g.generation and d.updated_at > ${cutoff})
    order by g.generation`.execute(ctx.db)
  return rows.map((row) => row.generation)
}

/** Says that the generations are gone, before they are: from here on no release can take them for filled. */
async function markDropped(
  ctx: Context,
  generations: readonly number[],
  { graceMs, bound }: GenerationRetention,
): Promise<number[]> {
  if (generations.length === 0) return []
  return ctx.transaction(async (tx) => {
    // A release that holds one of them comes first, and is then among what is bound.
    await tx.db
      .selectFrom('materialization')
      .select('generation')
      .where('generation', 'in', [...generations])
      .forUpdate()
      .execute()
    const needed = await bound(tx)
    const dropped = (await findOld(tx, generations, graceMs)).filter((generation) => !needed.has(generation))
    if (dropped.length > 0)
      await tx.db.updateTable('materialization').set({ state: 'dropped' }).where('generation', 'in', dropped).execute()
    return dropped
  })
}

/**
 * Drops generations of views that nothing needs any longer from the online store, a few records at a time, so that
 * who materializes waits for none of it. Returns the generations that went.
 */
export async function dropGenerations(
  ctx: Context,
  store: OnlineStore,
  retention: GenerationRetention,
): Promise<number[]> {
  const sections = await store.generations()
  const stored = [...new Set(sections.map(generationOf))]
  const old = await findOld(ctx, stored, retention.graceMs)
  const dropped = await markDropped(ctx, old, retention)
  const going = sections.filter((section) => dropped.includes(generationOf(section)))
  // All are begun before the first takes its time: one that is filled again meanwhile is then left as it is.
  for (const section of going) await store.drop(section, 0)
  for (const section of going) {
    while ((await store.drop(section, BATCH_RECORDS)) === BATCH_RECORDS) retention.signal?.throwIfAborted()
  }
  return dropped
}
