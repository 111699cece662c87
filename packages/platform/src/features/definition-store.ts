import type { FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { FeatureDefinition, FeatureKind } from './tables.ts'
import './events.ts'
import './tables.ts'

/** What a definition is now. `digest` is its version: that of all that changes its meaning. */
export interface Declared<D extends FeatureDefinition> {
  readonly definition: D
  readonly digest: Digest
  /** Of a view: number under which its values are stored online; it changes with the meaning. */
  readonly generation: number | null
  readonly updatedAt: Date
}

const PAGE_MAX = 200
const WORDS: Record<FeatureKind, [string, string]> = {
  entity: ['entity', 'features.entity_not_found'],
  'feature-view': ['feature view', 'features.view_not_found'],
  'feature-service': ['feature service', 'features.service_not_found'],
}

/** Digest of what a definition means; description and owner count for nothing. */
export function meaningDigest(definition: FeatureDefinition): Digest {
  const { description: _description, owner: _owner, ...meaning } = definition
  return digestValue(meaning)
}

/** Hashes a stored version of a definition again. Undefined when there is none of this digest. */
export async function isVersionWhole(
  ctx: Context,
  { kind, name, digest }: { kind: FeatureKind; name: string; digest: string },
): Promise<boolean | undefined> {
  const stored = await ctx.db
    .selectFrom('feature_version')
    .select('definition')
    .where('project', '=', ctx.project)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return stored && meaningDigest(stored.definition) === digest
}

/** Stores a checked definition. Repeating it is free. */
export async function storeDefinition(
  tx: Tx,
  definition: FeatureDefinition,
): Promise<{ digest: Digest; isChanged: boolean }> {
  const { kind, name } = definition
  const digest = meaningDigest(definition)
  const text = JSON.stringify(definition)
  const current = await tx.db
    .selectFrom('feature_definition')
    .selectAll()
    .where('project', '=', tx.project)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
  if (current?.digest === digest && digestValue(current.definition) === digestValue(definition))
    return { digest, isChanged: false }
  const generation = await generationOf(tx, definition, digest)
  await tx.db
    .insertInto('feature_definition')
    .values({ project: tx.project, kind, name, digest, definition: text, generation })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'kind', 'name'])
        .doUpdateSet({ digest, definition: text, generation, updated_at: sql<Date>`clock_timestamp()` }),
    )
    .execute()
  await tx.db
    .insertInto('feature_version')
    .values({ project: tx.project, kind, name, digest, definition: text, generation })
    .onConflict((conflict) => conflict.columns(['project', 'kind', 'name', 'digest']).doUpdateSet({ definition: text }))
    .execute()
  await tx.emit({
    type: 'features.definition_declared',
    subject: `${kind}/${name}`,
    data: { digest, previous: current?.digest ?? null },
  })
  await tx.audit({ action: 'feature.declare', subject: `${kind}/${name}`, data: { digest } })
  return { digest, isChanged: true }
}

/** A view gets a new number with each new meaning, and its old one when it goes back to an old meaning. */
async function generationOf(tx: Tx, { kind, name }: FeatureDefinition, digest: Digest): Promise<number | null> {
  if (kind !== 'feature-view') return null
  const known = await tx.db
    .selectFrom('feature_version')
    .select('generation')
    .where('project', '=', tx.project)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .where('digest', '=', digest)
    .executeTakeFirst()
  if (known) return known.generation
  const { rows } = await sql<{ next: number | string | bigint }>`select nextval('feature_generation') as next`.execute(
    tx.db,
  )
  return Number(rows[0]?.next)
}

export async function findDefinition<D extends FeatureDefinition>(
  ctx: Context,
  kind: D['kind'],
  name: string,
): Promise<Declared<D> | undefined> {
  const row = await ctx.db
    .selectFrom('feature_definition')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst()
  return (
    row && {
      definition: row.definition as D,
      digest: row.digest as Digest,
      generation: row.generation,
      updatedAt: row.updated_at,
    }
  ) // stored by kind, above only
}

export async function requireDefinition<D extends FeatureDefinition>(
  ctx: Context,
  kind: D['kind'],
  name: string,
): Promise<Declared<D>> {
  const found = await findDefinition<D>(ctx, kind, name)
  if (found) return found
  const [word, code] = WORDS[kind]
  throw new PlimsollError('not_found', code, `Cannot find ${word} "${name}" in project "${ctx.project}"`, {
    action: 'Declare it in the project and run plimsoll apply',
  })
}

/** What a view meant under the given generations, oldest first. */
export async function listMeanings(
  ctx: Context,
  view: string,
  generations: readonly number[],
): Promise<Omit<Declared<FeatureViewDefinition>, 'updatedAt'>[]> {
  if (generations.length === 0) return []
  const rows = await ctx.db
    .selectFrom('feature_version')
    .select(['definition', 'digest', 'generation'])
    .where('project', '=', ctx.project)
    .where('kind', '=', 'feature-view')
    .where('name', '=', view)
    .where('generation', 'in', [...generations])
    .orderBy('generation')
    .execute()
  return rows.map((row) => ({
    definition: row.definition as FeatureViewDefinition,
    digest: row.digest as Digest,
    generation: row.generation,
  })) // stored by kind, above only
}

/** Definitions of a kind by name; `after` is the last name of the page before. */
export async function listDefinitions(ctx: Context, kind: FeatureKind, page: { after?: string; limit?: number }) {
  const limit = Math.min(page.limit ?? 50, PAGE_MAX)
  const rows = await ctx.db
    .selectFrom('feature_definition')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('kind', '=', kind)
    .where('name', '>', page.after ?? '')
    .orderBy('name')
    .limit(limit + 1)
    .execute()
  const definitions = rows
    .slice(0, limit)
    .map(({ name, digest, generation, definition }) => ({ name, digest, generation, definition }))
  return { definitions, next: rows.length > limit ? (definitions.at(-1)?.name ?? null) : null }
}

const USERS: Record<
  FeatureKind,
  { kind: FeatureKind; uses: (definition: FeatureDefinition, name: string) => boolean } | undefined
> = {
  entity: { kind: 'feature-view', uses: (view, name) => view.kind === 'feature-view' && view.entity === name },
  'feature-view': {
    kind: 'feature-service',
    uses: (service, name) => service.kind === 'feature-service' && service.views.some(({ view }) => view === name),
  },
  'feature-service': undefined,
}

/**
 * Takes a definition away; what it meant before stays known by digest.
 * @throws precondition features.in_use while another definition names it
 */
export async function removeDefinition(tx: Tx, kind: FeatureKind, name: string): Promise<void> {
  const users = USERS[kind]
  const rows = users
    ? await tx.db
        .selectFrom('feature_definition')
        .select(['name', 'definition'])
        .where('project', '=', tx.project)
        .where('kind', '=', users.kind)
        .execute()
    : []
  const using = rows.filter(({ definition }) => users?.uses(definition, name)).map((row) => `"${row.name}"`)
  if (using.length > 0)
    throw new PlimsollError(
      'precondition',
      'features.in_use',
      `Cannot delete ${WORDS[kind][0]} "${name}": ${WORDS[users!.kind][0]} ${using.join(', ')} uses it`,
    )
  await tx.db
    .deleteFrom('feature_definition')
    .where('project', '=', tx.project)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .execute()
  await tx.emit({ type: 'features.definition_removed', subject: `${kind}/${name}`, data: {} })
  await tx.audit({ action: 'feature.delete', subject: `${kind}/${name}` })
}
