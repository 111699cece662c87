import type { Context, Tx } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { listModelVersions, lockModelVersion } from './version.ts'
import './events.ts'

/** Aliases that follow what routes serve: nobody else moves them. */
const PROTECTED = /^(?:champion|challenger|canary)(?:@.*)?$/
/** Letters and digits of any script, as Python's `\w`. */
const PATTERN = /^[\p{L}\p{N}_-]{1,255}$/u

const LATEST = /^latest$/i

export function isProtectedAlias(alias: string): boolean {
  return PROTECTED.test(alias)
}

export interface AliasMove {
  readonly model: string
  readonly alias: string
  readonly version: number
  /** Version that the caller believes it points at; null for none. Checked when given. */
  readonly expected?: number | null
}

export interface Alias {
  readonly model: string
  readonly alias: string
  readonly version: number
}

/** @throws invalid registry.bad_alias · forbidden registry.alias_protected */
export function checkAlias(alias: string): void {
  if (!PATTERN.test(alias) || LATEST.test(alias) || /^v\p{Nd}+$/iu.test(alias)) {
    throw new PlimsollError(
      'invalid',
      'registry.bad_alias',
      `Cannot use alias "${alias.slice(0, 80)}": expected letters, digits, _ or -, and neither "latest" nor a version`,
    )
  }
  if (PROTECTED.test(alias)) {
    throw new PlimsollError(
      'forbidden',
      'registry.alias_protected',
      `Cannot move alias "${alias}": it follows what a route serves`,
      { action: 'Release the version: plimsoll release ROUTE VERSION --reason WHY' },
    )
  }
}

function aliasRow(ctx: Context, { model, alias }: { model: string; alias: string }) {
  return ctx.db
    .selectFrom('model_alias')
    .select('version')
    .where('project', '=', ctx.project)
    .where('model', '=', model)
    .where('alias', '=', alias)
}

async function setAlias(tx: Tx, { model, alias, version, expected }: AliasMove): Promise<Alias> {
  await lockModelVersion(tx, { model, version }, 'share')
  const current = await aliasRow(tx, { model, alias }).forUpdate().executeTakeFirst()
  const actual = current?.version ?? null
  const moved = () =>
    new PlimsollError(
      'precondition',
      'registry.alias_moved',
      `Cannot move alias "${alias}" of ${model}: expected version ${expected ?? 'none'}, found ${actual ?? 'none'}`,
      { expected, actual },
    )
  if (expected !== undefined && expected !== actual) throw moved()
  if (actual === version) return { model, alias, version }
  const insert = tx.db.insertInto('model_alias').values({ project: tx.project, model, alias, version })
  // The lock above holds nothing when there is no row: two first writers meet here, and only one may win.
  const written = await insert
    .onConflict((conflict) =>
      expected === null
        ? conflict.columns(['project', 'model', 'alias']).doNothing()
        : conflict.columns(['project', 'model', 'alias']).doUpdateSet({ version }),
    )
    .executeTakeFirst()
  if (written.numInsertedOrUpdatedRows === 0n) throw moved()
  await tx.emit({ type: 'registry.alias_moved', subject: `${model}@${alias}`, data: { from: actual, to: version } })
  await tx.audit({ action: 'alias.move', subject: `${model}@${alias}`, data: { from: actual, to: version } })
  return { model, alias, version }
}

/** Cyrillic and Greek letters that look like one of the protected names'. */
const LATIN: Readonly<Record<string, string>> = {
  ...{ а: 'a', е: 'e', о: 'o', р: 'p', с: 'c', у: 'y', һ: 'h', і: 'i', ӏ: 'l', п: 'n', м: 'm', г: 'r', ԁ: 'd' },
  ...{ α: 'a', ε: 'e', ο: 'o', ρ: 'p', ϲ: 'c', γ: 'y', ι: 'i', η: 'n', ν: 'v' },
  ...{ ɑ: 'a', ɡ: 'g', ı: 'i' },
}

/** What a reader takes the alias for: its compatibility form, in small Latin letters. */
function skeletonOf(alias: string): string {
  return alias
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\P{ASCII}/gu, (letter) => LATIN[letter] ?? letter)
}

function refuseLookAlike(alias: string): void {
  const skeleton = skeletonOf(alias)
  if (!PROTECTED.test(skeleton)) return
  throw new PlimsollError(
    'forbidden',
    'registry.alias_protected',
    `Cannot make alias "${alias}": it looks like "${skeleton}", which follows what a route serves`,
    { action: 'Take another name' },
  )
}

/**
 * Points an alias at a version. Repeating the call is free: no row is written and no event is emitted.
 * @throws invalid registry.bad_alias · forbidden registry.alias_protected · not_found registry.version_not_found · precondition registry.alias_moved (details: expected, actual)
 */
export async function moveAlias(ctx: Context, move: AliasMove): Promise<Alias> {
  checkAlias(move.alias)
  refuseLookAlike(move.alias)
  return ctx.transaction((tx) => setAlias(tx, move))
}

/** The projection of what routes serve, none when `version` is null: for delivery only. */
export async function projectChampion(
  tx: Tx,
  served: { model: string; version: number | null; environment: string },
): Promise<void> {
  const { model, version, environment } = served
  const alias = environment === 'production' ? 'champion' : `champion@${environment}`
  if (version === null) await removeAlias(tx, { model, alias })
  else await setAlias(tx, { model, alias, version })
}

async function removeAlias(tx: Tx, { model, alias }: { model: string; alias: string }): Promise<void> {
  const removed = await tx.db
    .deleteFrom('model_alias')
    .where('project', '=', tx.project)
    .where('model', '=', model)
    .where('alias', '=', alias)
    .returning('version')
    .executeTakeFirst()
  if (!removed) return
  await tx.emit({ type: 'registry.alias_deleted', subject: `${model}@${alias}`, data: {} })
  await tx.audit({ action: 'alias.delete', subject: `${model}@${alias}`, data: { from: removed.version } })
}

/** Free when there is no such alias. @throws forbidden registry.alias_protected */
export async function deleteAlias(ctx: Context, key: { model: string; alias: string }): Promise<void> {
  checkAlias(key.alias)
  await ctx.transaction((tx) => removeAlias(tx, key))
}

/**
 * The version that an alias points at; `latest`, which nobody sets, is the newest one.
 * @throws invalid registry.alias_not_found · not_found registry.version_not_found
 */
export async function versionOfAlias(
  ctx: Context,
  { model, alias }: { model: string; alias: string },
): Promise<number> {
  if (LATEST.test(alias)) {
    const newest = (await listModelVersions(ctx, model, { limit: 1 }))[0]
    if (newest) return newest.version
    throw new PlimsollError(
      'not_found',
      'registry.version_not_found',
      `Latest version not found for model ${model.slice(0, 250)}.`,
    )
  }
  const row = await aliasRow(ctx, { model, alias }).executeTakeFirst()
  if (!row)
    throw new PlimsollError(
      'invalid',
      'registry.alias_not_found',
      `Registered model alias ${alias.slice(0, 255)} not found.`,
    )
  return row.version
}

export async function listAliases(ctx: Context, model: string): Promise<Alias[]> {
  return ctx.db
    .selectFrom('model_alias')
    .select(['model', 'alias', 'version'])
    .where('project', '=', ctx.project)
    .where('model', '=', model)
    .orderBy('alias')
    .execute()
}
