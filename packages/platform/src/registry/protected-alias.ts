import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { isProtectedAlias } from './alias.ts'

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

/** @throws precondition registry.still_served */
export async function refuseServed(tx: Tx, verb: string, key: { model: string; version?: number }): Promise<void> {
  const aliases = await servedAliases(tx, key)
  if (aliases.length === 0) return
  const what = key.version === undefined ? `model ${key.model}` : `version ${key.version} of ${key.model}`
  throw new PlimsollError(
    'precondition',
    'registry.still_served',
    `Cannot ${verb} ${what}: a route serves it (${aliases.join(', ')})`,
    {
      action: 'Release another version to the route first',
    },
  )
}
