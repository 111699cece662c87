import type { RouteDefinition } from '@plimsoll/sdk/wire'
import { countText } from '../../kernel/count-text.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { digestValue } from '../../kernel/digest.ts'
import { PlimsollError, refuseFaults } from '../../kernel/errors.ts'
import { compileSignature } from './route-signature.ts'
import './events.ts'
import './tables.ts'

export interface RouteRecord {
  environment: string
  name: string
  definition: RouteDefinition
  digest: string
}

/** Makes the route so. Repeating it is free. @throws invalid delivery.route_invalid */
export async function declareRoute(tx: Tx, definition: RouteDefinition): Promise<RouteRecord> {
  const { faults } = await compileSignature(tx, definition)
  refuseFaults(
    'delivery.route_invalid',
    `Cannot declare route "${definition.name}": ${countText(faults.length, 'fault')}, ${faults[0]?.detail}`,
    faults,
  )
  const digest = digestValue(definition)
  const { environment, name, model } = definition
  const present = await findRoute(tx, { environment, name })
  if (present?.digest !== digest) {
    const row = {
      project: tx.project,
      environment,
      name,
      model,
      definition: JSON.stringify(definition),
      definition_digest: digest,
    }
    await tx.db
      .insertInto('route')
      .values(row)
      .onConflict((conflict) =>
        conflict
          .columns(['project', 'environment', 'name'])
          .doUpdateSet({ model, definition: row.definition, definition_digest: digest }),
      )
      .execute()
    await tx.emit({ type: 'delivery.route_declared', subject: `${environment}/${name}`, data: { digest } })
    await tx.audit({ action: 'route.declare', subject: `${environment}/${name}`, data: { digest } })
  }
  return { environment, name, definition, digest }
}

/** Takes a route away. @throws precondition delivery.route_serves while a release is assigned to it */
export async function removeRoute(tx: Tx, key: { environment: string; name: string }): Promise<void> {
  const assigned = await tx.db
    .selectFrom('assignment')
    .select('release')
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.name)
    .executeTakeFirst()
  if (assigned)
    throw new PlimsollError(
      'precondition',
      'delivery.route_serves',
      `Cannot delete route "${key.name}": release ${assigned.release} serves on it`,
      {
        action: `Retire it first: plimsoll retire ${key.name} --reason WHY${key.environment === 'production' ? '' : ` --environment ${key.environment}`} --token-file APPROVER.token`,
      },
    )
  await tx.db
    .deleteFrom('route')
    .where('project', '=', tx.project)
    .where('environment', '=', key.environment)
    .where('name', '=', key.name)
    .execute()
  await tx.audit({ action: 'route.delete', subject: `${key.environment}/${key.name}` })
}

export async function findRoute(
  ctx: Context,
  key: { environment: string; name: string },
): Promise<RouteRecord | undefined> {
  const row = await ctx.db
    .selectFrom('route')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('name', '=', key.name)
    .executeTakeFirst()
  return (
    row && { environment: row.environment, name: row.name, definition: row.definition, digest: row.definition_digest }
  )
}

/** @throws not_found delivery.route_not_found */
export async function requireRoute(ctx: Context, key: { environment: string; name: string }): Promise<RouteRecord> {
  const route = await findRoute(ctx, key)
  if (!route) {
    throw new PlimsollError(
      'not_found',
      'delivery.route_not_found',
      `Cannot find route "${key.name}" in ${key.environment}`,
      { action: 'Declare it in plimsoll.project.mts and run plimsoll apply' },
    )
  }
  return route
}

const ENVIRONMENTS_MAX = 20

/** Environments in which routes are declared, by name: so many, and `wanted` where it is one of them. */
export async function listEnvironments(ctx: Context, wanted: string): Promise<string[]> {
  const rows = await ctx.db
    .selectFrom('route')
    .select('environment')
    .groupBy('environment')
    .where('project', '=', ctx.project)
    .orderBy((eb) => eb('environment', '!=', wanted))
    .orderBy('environment')
    .limit(ENVIRONMENTS_MAX)
    .execute()
  return rows.map(({ environment }) => environment).sort()
}

export async function listRoutes(ctx: Context): Promise<RouteRecord[]> {
  const rows = await ctx.db
    .selectFrom('route')
    .selectAll()
    .where('project', '=', ctx.project)
    .orderBy('environment')
    .orderBy('name')
    .limit(1_000)
    .execute()
  return rows.map((row) => ({
    environment: row.environment,
    name: row.name,
    definition: row.definition,
    digest: row.definition_digest,
  }))
}
