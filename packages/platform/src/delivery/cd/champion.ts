import { sql } from 'kysely'
import type { Tx } from '../../kernel/db/index.ts'
import { projectChampion } from '../../registry/index.ts'
import './tables.ts'

/**
 * Points the champion of each model at what serves: the version of the newest release among those that serve a version
 * of the model in the environment, whatever their routes; at nothing when none does. Call it after each change of an
 * assignment, with every model that the route served or serves.
 */
export async function projectChampions(tx: Tx, environment: string, models: readonly string[]): Promise<void> {
  for (const model of [...new Set(models)].sort()) {
    // Routes of one model change at once: the last to look sees what all of them serve.
    await sql`select pg_advisory_xact_lock(hashtextextended(${`champion ${tx.project}/${environment}/${model}`}, 0))`.execute(
      tx.db,
    )
    const newest = await tx.db
      .selectFrom('assignment')
      .innerJoin('release', 'release.id', 'assignment.release')
      .select('assignment.version')
      .where('assignment.project', '=', tx.project)
      .where('assignment.environment', '=', environment)
      .where('assignment.model', '=', model)
      .orderBy('release.created_at', 'desc')
      .orderBy('release.id', 'desc')
      .limit(1)
      .executeTakeFirst()
    await projectChampion(tx, { model, environment, version: newest?.version ?? null })
  }
}
