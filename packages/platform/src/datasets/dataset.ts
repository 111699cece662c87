import { type DatasetDefinition, datasetDefinition } from '@plimsoll/sdk/wire'
import { type Selectable, sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { PlimsollError, refuseFaults } from '../kernel/errors.ts'
import { checkExpectations } from './expectation/check.ts'
import './events.ts'
import type { DatasetRow } from './tables.ts'

/** A dataset as the platform knows it now. Derived ones (written by steps, such as training sets) have no definition, nor have those declared no longer. */
export interface Dataset {
  readonly name: string
  readonly origin: 'declared' | 'derived'
  readonly description: string | null
  readonly owner: string | null
  readonly definition: DatasetDefinition | null
  readonly definitionDigest: Digest | null
  readonly suiteDigest: Digest | null
  readonly versionCount: number
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** Digests by which a definition is told from another; description and owner count in none of them. */
export function definitionDigests(definition: DatasetDefinition): {
  definition: Digest
  schema: Digest
  suite: Digest
} {
  const { description: _description, owner: _owner, ...meaning } = definition
  return {
    definition: digestValue(meaning),
    schema: digestValue(definition.schema),
    suite: digestValue({ schema: definition.schema, expectations: definition.expectations }),
  }
}

/** Who makes or moves versions of a dataset goes one after the other. */
export function lockDataset(tx: Tx, name: string): Promise<Selectable<DatasetRow> | undefined> {
  return tx.db
    .selectFrom('dataset')
    .selectAll()
    .where('project', '=', tx.project)
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirst()
}

/**
 * Declares a dataset, or changes its definition; versions that exist stay as they are.
 * Repeating the call with an equal definition is free: no row is written and no event is emitted.
 *
 * @throws invalid  datasets.bad_expectations (faults list every one)
 * @throws conflict datasets.derived_name when steps write versions under that name
 */
export async function declareDataset(
  tx: Tx,
  declared: DatasetDefinition,
): Promise<{ digest: Digest; isChanged: boolean }> {
  const definition = datasetDefinition.parse(declared)
  refuseFaults(
    'datasets.bad_expectations',
    `Cannot declare dataset "${definition.name}": its expectations have faults`,
    checkExpectations(definition),
  )
  const digests = definitionDigests(definition)
  const current = await lockDataset(tx, definition.name)
  if (current?.origin === 'derived') {
    throw new PlimsollError(
      'conflict',
      'datasets.derived_name',
      `Cannot declare dataset "${definition.name}": steps write versions under that name`,
      {
        action: 'Choose another name',
      },
    )
  }
  const described = { description: definition.description ?? null, owner: definition.owner ?? null }
  const isEqual = current?.definition_digest === digests.definition
  if (isEqual && current?.description === described.description && current?.owner === described.owner) {
    return { digest: digests.definition, isChanged: false }
  }
  await tx.db
    .insertInto('dataset')
    .values({
      project: tx.project,
      name: definition.name,
      origin: 'declared',
      ...described,
      definition_digest: digests.definition,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'name'])
        .doUpdateSet({ ...described, definition_digest: digests.definition, updated_at: sql<Date>`clock_timestamp()` }),
    )
    .execute()
  await tx.db
    .insertInto('dataset_definition')
    .values({
      project: tx.project,
      dataset: definition.name,
      digest: digests.definition,
      schema_digest: digests.schema,
      suite_digest: digests.suite,
      definition: JSON.stringify(definition),
    })
    .onConflict((conflict) =>
      conflict.columns(['project', 'dataset', 'digest']).doUpdateSet({ definition: JSON.stringify(definition) }),
    )
    .execute()
  await tx.emit({
    type: 'datasets.dataset_declared',
    subject: definition.name,
    data: { digest: digests.definition, previous: current?.definition_digest ?? null },
  })
  await tx.audit({ action: 'dataset.declare', subject: definition.name, data: { digest: digests.definition } })
  return { digest: digests.definition, isChanged: true }
}

/** Takes the definition away. Versions stay, and with them the dataset; of one without any nothing is left. */
export async function undeclareDataset(tx: Tx, name: string): Promise<void> {
  const current = await lockDataset(tx, name)
  if (!current?.definition_digest) return
  if (current.version_count === 0) {
    await sql`delete from dataset_definition where project = ${tx.project} and dataset = ${name}`.execute(tx.db)
    await sql`delete from dataset where project = ${tx.project} and name = ${name}`.execute(tx.db)
  } else
    await tx.db
      .updateTable('dataset')
      .set({ definition_digest: null, updated_at: sql<Date>`clock_timestamp()` })
      .where('project', '=', tx.project)
      .where('name', '=', name)
      .execute()
  await tx.emit({
    type: 'datasets.dataset_undeclared',
    subject: name,
    data: { previous: current.definition_digest },
  })
  await tx.audit({ action: 'dataset.undeclare', subject: name })
}

/** Makes the row of a dataset whose versions only steps write; one that is declared no longer is such a one from now on. */
export async function declareDerivedDataset(tx: Tx, name: string): Promise<void> {
  await tx.db
    .insertInto('dataset')
    .values({ project: tx.project, name, origin: 'derived', description: null, owner: null, definition_digest: null })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'name'])
        .doUpdateSet({ origin: 'derived' })
        .where('dataset.origin', '=', 'declared')
        .where('dataset.definition_digest', 'is', null),
    )
    .execute()
}

export async function findDataset(ctx: Context, name: string): Promise<Dataset | undefined> {
  const row = await ctx.db
    .selectFrom('dataset')
    .leftJoin('dataset_definition', (join) =>
      join
        .onRef('dataset_definition.project', '=', 'dataset.project')
        .onRef('dataset_definition.dataset', '=', 'dataset.name')
        .onRef('dataset_definition.digest', '=', 'dataset.definition_digest'),
    )
    .selectAll('dataset')
    .select(['dataset_definition.definition', 'dataset_definition.suite_digest'])
    .where('dataset.project', '=', ctx.project)
    .where('dataset.name', '=', name)
    .executeTakeFirst()
  if (!row) return undefined
  return {
    name: row.name,
    origin: row.origin,
    description: row.description,
    owner: row.owner,
    definition: row.definition,
    definitionDigest: row.definition_digest as Digest | null, // written by declareDataset only
    suiteDigest: row.suite_digest as Digest | null, // written by declareDataset only
    versionCount: row.version_count,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

/** @throws not_found datasets.dataset_not_found */
export async function requireDataset(ctx: Context, name: string): Promise<Dataset> {
  const found = await findDataset(ctx, name)
  if (found) return found
  throw new PlimsollError(
    'not_found',
    'datasets.dataset_not_found',
    `Cannot find dataset "${name}" in project "${ctx.project}"`,
    {
      action: 'Declare it (defineDataset(), or kind: dataset in YAML) and run plimsoll apply',
    },
  )
}

/** Of these names, those that datasets have, and whether one is declared now. */
export async function namesOfDatasets(
  ctx: Context,
  names: readonly string[],
): Promise<{ readonly name: string; readonly isDeclared: boolean }[]> {
  const rows = await ctx.db
    .selectFrom('dataset')
    .select(['name', 'definition_digest'])
    .where('project', '=', ctx.project)
    .where(sql<boolean>`name = any(${[...names]}::text[])`)
    .execute()
  return rows.map(({ name, definition_digest }) => ({ name, isDeclared: definition_digest !== null }))
}

const PAGE_MAX = 200

/** Datasets by name; `after` is the last name of the page before. */
export async function listDatasets(ctx: Context, page: { after?: string; limit?: number } = {}) {
  const limit = Math.min(page.limit ?? 50, PAGE_MAX)
  const rows = await ctx.db
    .selectFrom('dataset')
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('dataset_version')
          .select(['verdict', 'version'])
          .whereRef('dataset_version.project', '=', 'dataset.project')
          .whereRef('dataset_version.dataset', '=', 'dataset.name')
          .orderBy('seen_at', 'desc')
          .orderBy('version', 'desc')
          .limit(1)
          .as('newest'),
      (join) => join.onTrue(),
    )
    .selectAll('dataset')
    .select(['newest.verdict', 'newest.version'])
    .where('dataset.project', '=', ctx.project)
    .where('dataset.name', '>', page.after ?? '')
    .orderBy('dataset.name')
    .limit(limit + 1)
    .execute()
  const datasets = rows.slice(0, limit)
  return { datasets, next: rows.length > limit ? (datasets.at(-1)?.name ?? null) : null }
}
