import type { LedgerFault } from '@plimsoll/sdk/wire'
import { type Selectable, type SqlBool, sql } from 'kysely'
import { type Context, rowsById } from '../../kernel/db/index.ts'
import { type Digest, digestValue } from '../../kernel/digest.ts'
import { AUDIT_ENTRY_COLUMNS, readAudit, unauditedRow } from '../../kernel/ledger/index.ts'
import { AUDIT_ACTIONS } from './assignment.ts'
import type { ReleaseRow } from './tables.ts'

const COLUMNS = [
  'id',
  'project',
  'environment',
  'route',
  'epoch',
  'action',
  'model',
  'version',
  'artifact',
  'passport',
  'from_artifact',
  'actor',
  'proof',
  'is_self_approved',
  'reason',
  'created_at',
] as const

type Stored = Pick<Selectable<ReleaseRow>, (typeof COLUMNS)[number]>

interface Found {
  readonly id: string
  readonly subject: string
  readonly at: Date
}

function subjectOf(row: Stored): string {
  return `${row.environment}/${row.route}`
}

/** Digest of what a release says. */
function saidByRow(row: Stored): Digest {
  const { project, actor, proof, id: release, epoch, model, version, artifact, passport, reason } = row
  const data = { release, epoch, model, version, artifact, passport, reason }
  const rest = { from: row.from_artifact, isSelfApproved: row.is_self_approved }
  const action = AUDIT_ACTIONS[row.action]
  return digestValue({ project, subject: subjectOf(row), actor, proof, action, data: { ...data, ...rest } })
}

/** Whether the audit tells of a release what its row says. */
export async function isReleaseRecorded(ctx: Context, id: string): Promise<boolean> {
  const row = await ctx.db
    .selectFrom('release')
    .select(COLUMNS)
    .where('project', '=', ctx.project)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) return false
  const audit = await ctx.db
    .selectFrom('audit')
    .select(AUDIT_ENTRY_COLUMNS)
    .where('project', '=', ctx.project)
    .where('subject', '=', subjectOf(row))
    .where(sql<SqlBool>`data->>'release' = ${id}`)
    .execute()
  const said = saidByRow(row)
  return audit.some((entry) => digestValue(entry) === said)
}

/** The first release, rollback or retirement of any project of which no audit row says the same. */
export async function findUnrecordedRelease(ctx: Context): Promise<LedgerFault | undefined> {
  const stored = ctx.db.selectFrom('release').select(COLUMNS).orderBy('id')
  const releases = new Map<Digest, Stored>()
  for await (const row of rowsById((after, limit) => stored.where('id', '>', after).limit(limit).execute()))
    releases.set(saidByRow(row), row)
  // After the releases: one that is made meanwhile has its audit row by the time it is seen.
  for await (const entry of readAudit(ctx, Object.values(AUDIT_ACTIONS))) releases.delete(digestValue(entry))
  const [row] = releases.values()
  return (
    row &&
    unauditedRow(
      'release',
      { id: row.id, subject: `${subjectOf(row)} epoch ${row.epoch} by ${row.actor}`, at: row.created_at },
      'The audit has no row that says what the release says',
    )
  )
}

/** The first route of any project that serves something else than its last release says. */
export async function findUnreleasedAssignment(ctx: Context): Promise<LedgerFault | undefined> {
  const { rows } = await sql<Found>`
    select s.release as id, s.environment || '/' || s.route || ' epoch ' || s.epoch as subject, s.updated_at as at
    from assignment s left join (
      select distinct on (project, environment, route) * from release order by project, environment, route, epoch desc
    ) r on r.project = s.project and r.environment = s.environment and r.route = s.route and r.action <> 'retire'
      and r.id = s.release and r.epoch = s.epoch and r.model = s.model and r.version = s.version
      and r.artifact = s.artifact and r.passport = s.passport and r.signature is not distinct from s.signature
    where r.id is null order by s.project, s.environment, s.route limit 1`.execute(ctx.db)
  return rows[0] && unauditedRow('assignment', rows[0], 'What the route serves is not what its last release says')
}
