import { type Selectable, sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { ModelAliasRow, ModelTagRow, ModelVersionRow, RegisteredModelRow } from './tables.ts'
import { STAGES } from './version-edit.ts'

type VersionRow = Selectable<ModelVersionRow> & { readonly shown_stage: string }
type ModelRow = Selectable<RegisteredModelRow>

/** `Production` is what serves, whatever a row was called before; every other stage is a label. */
const SHOWN_STAGE = sql<string>`case
  when exists (select 1 from model_alias a where a.project = model_version.project and a.model = model_version.model
    and a.version = model_version.version and a.alias = 'champion') then 'Production'
  when model_version.stage = 'Production' then 'None'
  else model_version.stage end`.as('shown_stage')

function wireVersion(row: VersionRow, tags: readonly ModelTagRow[], aliases: readonly string[]): object {
  return {
    name: row.model,
    version: String(row.version),
    creation_timestamp: row.created_at.getTime(),
    last_updated_timestamp: row.updated_at.getTime(),
    user_id: row.created_by,
    current_stage: row.shown_stage,
    description: row.description,
    source: row.source,
    run_id: row.tracked_run ?? '',
    run_link: row.run_link,
    status: 'READY',
    ...(row.logged_model === null ? {} : { model_id: row.logged_model }),
    // the platform's own facts, which nobody can set
    tags: [
      ...tags.map(({ key, value }) => ({ key, value })),
      ...(row.artifact === null ? [] : [{ key: 'plimsoll.artifact', value: row.artifact }]),
      { key: 'plimsoll.passport', value: row.passport_digest },
    ],
    aliases,
  }
}

export function versionNotFound(key: { model: string; version: number | string }): PlimsollError {
  return new PlimsollError(
    'not_found',
    'registry.version_not_found',
    `Model Version (name=${key.model}, version=${key.version}) not found`,
  )
}

export function modelNotFound(name: string): PlimsollError {
  return new PlimsollError('not_found', 'registry.model_not_found', `Registered Model with name=${name} not found`)
}

async function tagsOf(ctx: Context, models: readonly string[]): Promise<Map<string, ModelTagRow[]>> {
  const rows = await ctx.db
    .selectFrom('model_tag')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', 'in', models)
    .orderBy('key')
    .execute()
  return Map.groupBy(rows, (row) => `${row.model}/${row.version}`)
}

async function aliasesOf(ctx: Context, models: readonly string[]): Promise<Selectable<ModelAliasRow>[]> {
  return ctx.db
    .selectFrom('model_alias')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('model', 'in', models)
    .orderBy('alias')
    .execute()
}

/** The versions in the order of the keys. @throws not_found registry.version_not_found */
export async function readVersions(
  ctx: Context,
  keys: readonly { model: string; version: number }[],
): Promise<object[]> {
  if (keys.length === 0) return []
  const models = [...new Set(keys.map((key) => key.model))]
  const rows = await ctx.db
    .selectFrom('model_version')
    .selectAll()
    .select(SHOWN_STAGE)
    .where('project', '=', ctx.project)
    .where('model', 'in', models)
    .where('version', 'in', [...new Set(keys.map((key) => key.version))])
    .where('deleted_at', 'is', null)
    .execute()
  const byKey = new Map(rows.map((row) => [`${row.model}/${row.version}`, row]))
  const tags = await tagsOf(ctx, models)
  const aliases = await aliasesOf(ctx, models)
  return keys.map((key) => {
    const name = `${key.model}/${key.version}`
    const row = byKey.get(name)
    if (!row) throw versionNotFound(key)
    return wireVersion(
      row,
      tags.get(name) ?? [],
      aliases.filter((alias) => alias.model === key.model && alias.version === key.version).map((alias) => alias.alias),
    )
  })
}

export async function readVersion(ctx: Context, key: { model: string; version: number }): Promise<object> {
  return (await readVersions(ctx, [key]))[0]!
}

/** Of each model the newest version of each stage; aliases are not filled in there, as upstream. */
async function latestOf(ctx: Context, models: readonly string[]): Promise<VersionRow[]> {
  return ctx.db
    .selectFrom('model_version')
    .selectAll()
    .select(SHOWN_STAGE)
    .distinctOn(['model', sql`shown_stage`])
    .where('project', '=', ctx.project)
    .where('model', 'in', models)
    .where('deleted_at', 'is', null)
    .orderBy('model')
    .orderBy('shown_stage')
    .orderBy('version', 'desc')
    .execute()
}

export async function readLatest(ctx: Context, model: string, stages: readonly string[]): Promise<object[]> {
  const rows = (await latestOf(ctx, [model])).filter((row) => stages.length === 0 || stages.includes(row.shown_stage))
  const order = rows.toSorted((a, b) => STAGES.indexOf(a.shown_stage as never) - STAGES.indexOf(b.shown_stage as never)) // stages that transitionStage wrote
  return readVersions(
    ctx,
    order.map(({ version }) => ({ model, version })),
  )
}

export async function readModels(ctx: Context, names: readonly string[]): Promise<object[]> {
  if (names.length === 0) return []
  const rows = await ctx.db
    .selectFrom('registered_model')
    .selectAll()
    .where('project', '=', ctx.project)
    .where('name', 'in', names)
    .where('deleted_at', 'is', null)
    .execute()
  const byName = new Map<string, ModelRow>(rows.map((row) => [row.name, row]))
  const tags = await tagsOf(ctx, names)
  const aliases = await aliasesOf(ctx, names)
  const latest = Map.groupBy(await latestOf(ctx, names), (row) => row.model)
  return names.map((name) => {
    const row = byName.get(name)
    if (!row) throw modelNotFound(name)
    return {
      name,
      creation_timestamp: row.created_at.getTime(),
      last_updated_timestamp: row.updated_at.getTime(),
      description: row.description,
      latest_versions: (latest.get(name) ?? []).map((version) =>
        wireVersion(version, tags.get(`${name}/${version.version}`) ?? [], []),
      ),
      tags: (tags.get(`${name}/0`) ?? []).map(({ key, value }) => ({ key, value })),
      aliases: aliases
        .filter((alias) => alias.model === name)
        .map(({ alias, version }) => ({ alias, version: String(version) })),
    }
  })
}

export async function readModel(ctx: Context, name: string): Promise<object> {
  return (await readModels(ctx, [name]))[0]!
}
