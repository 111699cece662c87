import type { LedgerFault, PassportBound } from '@plimsoll/sdk/wire'
import type { Context } from '../kernel/db/index.ts'
import { type Digest, digestValue } from '../kernel/digest.ts'
import { type AuditEntryRow, lastingFault, readAudit, unauditedRow } from '../kernel/ledger/index.ts'
import './tables.ts'

const PAGE = 1_000
const ACTIONS = ['version.register', 'version.delete', 'alias.move', 'alias.delete', 'model.rename', 'model.delete']

/** What the audit says that the registry holds, by `project`, then by `model/version` and `model@alias`. */
interface Told {
  readonly versions: Map<string, Digest>
  readonly aliases: Map<string, number>
}

interface VersionSaid {
  readonly actor: string
  readonly artifact: string | null
  readonly passport: string
  readonly run: string | null
  readonly source: string
}

const saidOf = ({ actor, artifact, passport, run, source }: VersionSaid) =>
  digestValue({ actor, artifact, passport, run, source })

/** What the audit names, in all projects. */
export const keyOf = (project: string, subject: string) => `${project}\0${subject}`
/** Its subject alone, for a message. */
export const subjectOf = (key: string) => key.slice(key.indexOf('\0') + 1)

/** What is kept under one name is kept under another from now on. */
function moveKeys<V>(map: Map<string, V>, from: string, to: string, after: '/' | '@'): void {
  for (const [key, value] of [...map]) {
    if (!key.startsWith(from + after)) continue
    map.delete(key)
    map.set(to + key.slice(from.length), value)
  }
}

function forgetAliases(aliases: Map<string, number>, model: string, version?: number): void {
  for (const [key, held] of [...aliases])
    if (key.startsWith(`${model}@`) && (version === undefined || held === version)) aliases.delete(key)
}

function take({ versions, aliases }: Told, { action, project, subject, actor, data }: AuditEntryRow): void {
  const key = keyOf(project, subject)
  switch (action) {
    case 'version.register':
      versions.set(key, saidOf({ ...(data as Omit<VersionSaid, 'actor'>), actor }))
      break
    case 'alias.move':
      aliases.set(key, (data as { to: number }).to)
      break
    case 'alias.delete':
      aliases.delete(key)
      break
    case 'model.rename': {
      const from = keyOf(project, (data as { from: string }).from)
      moveKeys(versions, from, key, '/')
      moveKeys(aliases, from, key, '@')
      break
    }
    case 'model.delete':
      forgetAliases(aliases, key)
      break
    default: {
      const cut = key.lastIndexOf('/')
      forgetAliases(aliases, key.slice(0, cut), Number(key.slice(cut + 1)))
    }
  }
}

async function* readVersions(ctx: Context) {
  const query = ctx.db
    .selectFrom('model_version')
    .select(['project', 'model', 'version', 'artifact', 'passport', 'passport_digest', 'run', 'source'])
    .select(['created_by', 'created_at'])
    .orderBy('project')
    .orderBy('model')
    .orderBy('version')
    .limit(PAGE)
  let rows = await query.execute()
  for (;;) {
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    rows = await query
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('project', 'model', 'version'), '>', tuple(last.project, last.model, last.version)),
      )
      .execute()
  }
}

/** One look at the registry, then at the audit: the first row that the audit tells otherwise. */
async function look(ctx: Context): Promise<LedgerFault | undefined> {
  const aliases = await ctx.db.selectFrom('model_alias').selectAll().orderBy('model').orderBy('alias').execute()
  const versions: { key: string; said: Digest; isWhole: boolean; row: { id: string; subject: string; at: Date } }[] = []
  for await (const row of readVersions(ctx)) {
    const subject = `${row.model}/${row.version}`
    versions.push({
      key: keyOf(row.project, subject),
      said: saidOf({ ...row, actor: row.created_by, passport: row.passport_digest }),
      isWhole: digestValue(row.passport satisfies PassportBound) === row.passport_digest,
      row: { id: subject, subject, at: row.created_at },
    })
  }
  const told: Told = { versions: new Map(), aliases: new Map() }
  for await (const entry of readAudit(ctx, ACTIONS)) take(told, entry)
  const damaged = versions.find(({ isWhole }) => !isWhole)
  if (damaged) return unauditedRow('model-version', damaged.row, 'Its passport is not the one of its digest')
  const loose = versions.find(({ key, said }) => told.versions.get(key) !== said)
  if (loose) return unauditedRow('model-version', loose.row, 'The audit has no row that says what the version says')
  const moved = aliases.find(
    ({ project, model, alias, version }) => told.aliases.get(keyOf(project, `${model}@${alias}`)) !== version,
  )
  if (!moved) return undefined
  const subject = `${moved.model}@${moved.alias}`
  const row = { id: subject, subject, at: moved.updated_at }
  return unauditedRow('model-alias', row, `The audit does not say that it names version ${moved.version}`)
}

/** The first version or alias of any project of which the audit tells otherwise, or nothing. */
export const findUnrecordedRegistry = (ctx: Context): Promise<LedgerFault | undefined> => lastingFault(ctx, look)
