import { choiceText } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { findModel } from './model.ts'

/** Delivery knows where routes serve. */
export interface EnvironmentDeps {
  /** Environments of the project's routes: `wanted`, where it is one, and some others. */
  environments(ctx: Context, wanted: string): Promise<readonly string[]>
}

/**
 * A misspelt environment asks for nothing, so that nothing would be missing for it, and an approval for it counts nowhere.
 * There are `production`, those of the routes, and those for which the model asks for approvals.
 *
 * @throws not_found registry.environment_not_found
 */
export async function requireEnvironment(
  ctx: Context,
  deps: EnvironmentDeps,
  key: { model: string; environment: string },
): Promise<void> {
  const asked = Object.keys((await findModel(ctx, key.model))?.definition?.approvals ?? {})
  const known = new Set(['production', ...asked, ...(await deps.environments(ctx, key.environment))])
  if (known.has(key.environment)) return
  throw new PlimsollError(
    'not_found',
    'registry.environment_not_found',
    `Cannot find environment "${key.environment}": ${choiceText([...known].sort())}`,
    { action: `Declare a route in it, or name it in the approvals of defineModel({ name: '${key.model}' })` },
  )
}
