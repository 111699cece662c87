import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { isProtectedAlias } from './alias.ts'
import { passportGaps } from './passport.ts'
import { lockModelVersion } from './version.ts'

/** Protected aliases (what routes serve) that point at the model, or at one version of it. */
async function servedAliases(ctx: Context, key: { model: string; version?: number }): Promise<string[]> {
  let query = ctx.db
    .selectFrom('model_alias')
    .select('alias')
    .where('project', '=', ctx.project)
    .where('model', '=', key.model)
  if (key.version !== undefined) query = query.where('version', '=', key.version)
  return (await query.execute()).map((row) => row.alias).filter(isProtectedAlias)
}

/**
 * Keeps the version from being deleted for as long as the holder, such as `production/delay`, holds no other.
 * @throws not_found registry.version_not_found
 */
export async function holdVersion(tx: Tx, hold: { holder: string; model: string; version: number }): Promise<void> {
  const { model, version } = hold
  await lockModelVersion(tx, hold, 'share')
  await tx.db
    .insertInto('version_hold')
    .values({ project: tx.project, ...hold })
    .onConflict((conflict) => conflict.columns(['project', 'holder']).doUpdateSet({ model, version }))
    .execute()
}

/** Lets go of what the holder holds. */
export async function releaseHold(tx: Tx, holder: string): Promise<void> {
  await tx.db.deleteFrom('version_hold').where('project', '=', tx.project).where('holder', '=', holder).execute()
}

async function holdersOf(ctx: Context, key: { model: string; version?: number }): Promise<string[]> {
  let query = ctx.db
    .selectFrom('version_hold')
    .select('holder')
    .where('project', '=', ctx.project)
    .where('model', '=', key.model)
  if (key.version !== undefined) query = query.where('version', '=', key.version)
  return (await query.orderBy('holder').execute()).map((row) => row.holder)
}

/** Call it with the versions locked, or a release may come between. @throws precondition registry.still_served */
export async function refuseServed(tx: Tx, verb: string, key: { model: string; version?: number }): Promise<void> {
  const users = [...(await servedAliases(tx, key)), ...(await holdersOf(tx, key))]
  if (users.length === 0) return
  const what = key.version === undefined ? `model ${key.model}` : `version ${key.version} of ${key.model}`
  throw new PlimsollError(
    'precondition',
    'registry.still_served',
    `Cannot ${verb} ${what}: a route serves it (${users.join(', ')})`,
    {
      action: 'Release another version to the route first, or retire the route',
    },
  )
}

/** What a client that would move what follows a route is told: the criteria that the version does not meet yet. */
export async function unmetForRelease(ctx: Context, key: { model: string; version: number }): Promise<string> {
  const gaps = await passportGaps(ctx, { ...key, environment: 'production' })
  const unmet = gaps.map((gap) => `${gap.field}: ${gap.detail}`).join('; ')
  return `follows what a route serves. Release the version with plimsoll release${gaps.length === 0 ? '' : `. Unmet: ${unmet}`}`
}

/** True of the version that `champion` names: what serves in production. */
export async function isChampion(ctx: Context, key: { model: string; version: number }): Promise<boolean> {
  return (await servedAliases(ctx, key)).includes('champion')
}
