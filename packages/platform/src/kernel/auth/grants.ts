import { ROLES, type Role } from '@plimsoll/sdk/wire'
import type { Selectable } from 'kysely'
import { realClock } from '../clock.ts'
import type { Context } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import { newId } from '../ids.ts'
import type { GrantRow, KeyRow, ProjectRow } from './tables.ts'
import { parseSshKeyLine } from './verify/index.ts'

/** Stands for every project, in the place of one. */
export const ALL_PROJECTS = '*'
const PROJECTS_MAX = 1_000
const KEYS_MAX = 1_000
const GRANTS_MAX = 10_000

/** Role of a principal on a project, by a grant on it or on all projects; the higher one counts. */
export async function grantedRole(ctx: Context, project: string, principal: string): Promise<Role | undefined> {
  const rows = await ctx.db
    .selectFrom('auth_grant')
    .select('role')
    .where('principal', '=', principal)
    .where('project', 'in', [project, ALL_PROJECTS])
    .execute()
  return ROLES.findLast((role) => rows.some((row) => row.role === role))
}

export async function setGrant(ctx: Context, principal: string, role: Role): Promise<void> {
  await ctx.transaction(async (tx) => {
    const row = { role, created_at: new Date(realClock.nowMs()), created_by: tx.principal.id }
    await tx.db
      .insertInto('auth_grant')
      .values({ project: tx.project, principal, ...row })
      .onConflict((conflict) => conflict.columns(['project', 'principal']).doUpdateSet(row))
      .execute()
    await tx.audit({ action: 'grant.set', subject: principal, data: { role } })
  })
}

export async function removeGrant(ctx: Context, principal: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const result = await tx.db
      .deleteFrom('auth_grant')
      .where('project', '=', tx.project)
      .where('principal', '=', principal)
      .executeTakeFirst()
    if (result.numDeletedRows === 0n)
      throw new PlimsollError('not_found', 'auth.grant_not_found', `${principal} has no role here`)
    await tx.audit({ action: 'grant.remove', subject: principal })
  })
}

export async function listGrants(ctx: Context): Promise<GrantRow[]> {
  return ctx.db
    .selectFrom('auth_grant')
    .selectAll()
    .where('project', '=', ctx.project)
    .orderBy('principal')
    .limit(GRANTS_MAX)
    .execute()
}

/** Registers a person's SSH key in the project. @throws invalid auth.bad_ssh · conflict auth.key_taken */
export async function registerKey(ctx: Context, principal: string, line: string): Promise<KeyRow> {
  const parsed = parseSshKeyLine(line)
  return ctx.transaction(async (tx) => {
    const taken = await tx.db
      .selectFrom('auth_key')
      .select('principal')
      .where('project', '=', tx.project)
      .where('fingerprint', '=', parsed.fingerprint)
      .where('revoked_at', 'is', null)
      .executeTakeFirst()
    if (taken !== undefined)
      throw new PlimsollError('conflict', 'auth.key_taken', `Cannot register the key: it belongs to ${taken.principal}`)
    const row: KeyRow = {
      id: newId('key'),
      project: tx.project,
      principal,
      fingerprint: parsed.fingerprint,
      public_key: `${parsed.algorithm} ${parsed.blob}`,
      created_at: new Date(realClock.nowMs()),
      created_by: tx.principal.id,
      revoked_at: null,
    }
    await tx.db.insertInto('auth_key').values(row).execute()
    await tx.audit({ action: 'key.register', subject: row.id, data: { principal, fingerprint: row.fingerprint } })
    return row
  })
}

export async function listKeys(ctx: Context): Promise<KeyRow[]> {
  return ctx.db
    .selectFrom('auth_key')
    .selectAll()
    .where('project', '=', ctx.project)
    .orderBy('id')
    .limit(KEYS_MAX)
    .execute()
}

export async function revokeKey(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const result = await tx.db
      .updateTable('auth_key')
      .set({ revoked_at: new Date(realClock.nowMs()) })
      .where('project', '=', tx.project)
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirst()
    if (result.numUpdatedRows === 0n)
      throw new PlimsollError('not_found', 'auth.key_not_found', `There is no live key ${id}`)
    await tx.audit({ action: 'key.revoke', subject: id })
  })
}

/** The live key of that fingerprint which may speak for the principal in the project. */
export async function findKey(
  ctx: Context,
  project: string,
  principal: string,
  fingerprint: string,
): Promise<KeyRow | undefined> {
  return ctx.db
    .selectFrom('auth_key')
    .selectAll()
    .where('project', 'in', [project, ALL_PROJECTS])
    .where('principal', '=', principal)
    .where('fingerprint', '=', fingerprint)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
}

/** The operator, and admins of all projects. */
export async function mayEverywhere(ctx: Context): Promise<boolean> {
  return ctx.principal.id === 'operator' || (await grantedRole(ctx, ALL_PROJECTS, ctx.principal.id)) === 'admin'
}

/** @throws forbidden auth.not_operator */
export async function requireEverywhere(ctx: Context, what: string): Promise<void> {
  if (await mayEverywhere(ctx)) return
  throw new PlimsollError(
    'forbidden',
    'auth.not_operator',
    `${ctx.principal.id} may not ${what}: only the operator and admins of all projects may`,
  )
}

/** @throws forbidden auth.not_operator · conflict auth.project_taken */
export async function createProject(ctx: Context, project: string): Promise<void> {
  await requireEverywhere(ctx, 'make projects')
  await ctx.transaction(async (tx) => {
    const made = await tx.db
      .insertInto('auth_project')
      .values({ project, created_by: tx.principal.id })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst()
    if (made.numInsertedOrUpdatedRows === 0n)
      throw new PlimsollError('conflict', 'auth.project_taken', `There is a project ${project} already`)
    await tx.audit({ action: 'project.create', subject: project })
  })
}

/** Projects on which the caller has a role. */
export async function listProjects(
  ctx: Context,
  roleOn: (project: string) => Promise<Role | undefined>,
): Promise<(Selectable<ProjectRow> & { role: Role })[]> {
  const rows = await ctx.db.selectFrom('auth_project').selectAll().orderBy('project').limit(PROJECTS_MAX).execute()
  const seen: (Selectable<ProjectRow> & { role: Role })[] = []
  for (const row of rows) {
    const role = await roleOn(row.project)
    if (role !== undefined) seen.push({ ...row, role })
  }
  return seen
}
