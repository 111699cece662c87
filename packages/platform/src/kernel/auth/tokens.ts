import type { Role } from '@plimsoll/sdk/wire'
import { type SqlBool, sql } from 'kysely'
import { type Clock, realClock } from '../clock.ts'
import type { Context, Tx } from '../db/context.ts'
import { PlimsollError } from '../errors.ts'
import { newId, randomHex } from '../ids.ts'
import { ALL_PROJECTS, mayEverywhere, requireEverywhere } from './grants.ts'
import type { TokenRow } from './tables.ts'
import { ASK_FOR_TOKEN, formatToken, hashToken } from './verify/index.ts'
import './events.ts'

const DAY_MS = 86_400_000
/** Writes of `last_used_at` are spared within this time. */
const LAST_USED_GRAIN_MS = 60_000

export interface IssuedToken {
  id: string
  /** Shown once; only its hash is stored. */
  token: string
  expiresAt: Date
}

async function insertToken(
  tx: Tx,
  row: Pick<TokenRow, 'project' | 'name' | 'principal' | 'role' | 'kind'>,
  ttlMs: number,
): Promise<IssuedToken> {
  const token = formatToken(randomHex(32))
  const id = newId('tok')
  const nowMs = realClock.nowMs() // tokens live in real time, also under a replay clock
  const expiresAt = new Date(nowMs + ttlMs)
  await tx.db
    .insertInto('auth_token')
    .values({
      ...row,
      id,
      hash: hashToken(token),
      created_at: new Date(nowMs),
      created_by: tx.principal.id,
      expires_at: expiresAt,
      last_used_at: null,
      revoked_at: null,
    })
    .execute()
  await emitTokensChanged(tx, id)
  return { id, token, expiresAt }
}

/** Gateways that ask for tokens learn by it whom to take. */
async function emitTokensChanged(tx: Tx, token: string): Promise<void> {
  await tx.emit({ type: 'auth.tokens_changed', subject: token, data: {} })
}

/**
 * A token of a named person or program: a named principal.
 * @throws forbidden auth.not_operator when it is for all projects
 */
export async function createToken(
  ctx: Context,
  wanted: { principal: string; name: string; role: Role; days: number; allProjects: boolean },
): Promise<IssuedToken> {
  if (wanted.allProjects) await requireEverywhere(ctx, 'make tokens for all projects')
  return ctx.transaction(async (tx) => {
    const issued = await insertToken(
      tx,
      {
        project: wanted.allProjects ? ALL_PROJECTS : tx.project,
        name: wanted.name,
        principal: wanted.principal,
        role: wanted.role,
        kind: 'named',
      },
      wanted.days * DAY_MS,
    )
    await tx.audit({
      action: 'token.create',
      subject: issued.id,
      data: {
        principal: wanted.principal,
        role: wanted.role,
        allProjects: wanted.allProjects,
        expires_at: issued.expiresAt.toISOString(),
      },
    })
    return issued
  })
}

/** The operator's token of this data directory, for the CLI on the same machine: admin everywhere, but not a named principal. */
export async function createOperatorToken(ctx: Context, ttlMs: number): Promise<IssuedToken> {
  return ctx.transaction(async (tx) => {
    await tx.db
      .updateTable('auth_token')
      .set({ revoked_at: new Date(realClock.nowMs()) })
      .where('kind', '=', 'operator')
      .where('revoked_at', 'is', null)
      .execute()
    return insertToken(
      tx,
      { project: ALL_PROJECTS, name: 'operator', principal: 'operator', role: 'admin', kind: 'operator' },
      ttlMs,
    )
  })
}

/** True when this is the operator's token and it holds for `forMs` more. */
export async function isOperatorTokenLive(ctx: Context, text: string, forMs: number): Promise<boolean> {
  const row = await ctx.db
    .selectFrom('auth_token')
    .select(['expires_at', 'revoked_at'])
    .where('hash', '=', hashToken(text))
    .where('kind', '=', 'operator')
    .executeTakeFirst()
  return row !== undefined && row.revoked_at === null && row.expires_at.getTime() > realClock.nowMs() + forMs
}

/** Whose tokens the caller, an admin of the project, sees and ends. */
async function projectsInReach(ctx: Context): Promise<string[]> {
  return (await mayEverywhere(ctx)) ? [ctx.project, ALL_PROJECTS] : [ctx.project]
}

export async function revokeToken(ctx: Context, id: string): Promise<void> {
  await ctx.transaction(async (tx) => {
    const result = await tx.db
      .updateTable('auth_token')
      .set({ revoked_at: new Date(realClock.nowMs()) })
      .where('id', '=', id)
      .where('project', 'in', await projectsInReach(tx))
      .where('kind', '!=', 'operator')
      .where('revoked_at', 'is', null)
      .executeTakeFirst()
    if (result.numUpdatedRows === 0n)
      throw new PlimsollError('not_found', 'auth.token_not_found', `There is no live token ${id}`)
    await tx.audit({ action: 'token.revoke', subject: id })
    await emitTokensChanged(tx, id)
  })
}

export async function listTokens(
  ctx: Context,
  page: { after: string; limit: number },
): Promise<Omit<TokenRow, 'hash'>[]> {
  return ctx.db
    .selectFrom('auth_token')
    .select([
      'id',
      'project',
      'name',
      'principal',
      'role',
      'kind',
      'created_at',
      'created_by',
      'expires_at',
      'last_used_at',
      'revoked_at',
    ])
    .where('project', 'in', await projectsInReach(ctx))
    .where('kind', '=', 'named')
    .where('id', '>', page.after)
    .orderBy('id')
    .limit(page.limit)
    .execute()
}

/** What tells live tokens of all projects apart, for whoever has to know them without the database. */
export async function liveTokens(ctx: Context): Promise<Pick<TokenRow, 'hash' | 'project' | 'expires_at'>[]> {
  return ctx.db
    .selectFrom('auth_token')
    .select(['hash', 'project', 'expires_at'])
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', new Date(realClock.nowMs()))
    .orderBy('hash')
    .execute()
}

/** Forgets tokens that expired longer ago than `ageMs`. */
export async function pruneTokens(ctx: Context, ageMs: number): Promise<void> {
  await ctx.db
    .deleteFrom('auth_token')
    .where(sql<SqlBool>`expires_at < clock_timestamp() - ${ageMs}::float8 * interval '1 millisecond'`)
    .execute()
}

/**
 * The live token of that text.
 * @throws unauthenticated auth.token_unknown · auth.token_expired
 */
export async function requireToken(ctx: Context, text: string, clock: Clock = realClock): Promise<TokenRow> {
  const row = await ctx.db.selectFrom('auth_token').selectAll().where('hash', '=', hashToken(text)).executeTakeFirst()
  if (row === undefined || row.revoked_at !== null)
    throw new PlimsollError('unauthenticated', 'auth.token_unknown', 'The token is not known here, or was revoked', {
      action: ASK_FOR_TOKEN,
    })
  const nowMs = clock.nowMs()
  if (row.expires_at.getTime() <= nowMs) {
    throw new PlimsollError('unauthenticated', 'auth.token_expired', 'The token has expired', {
      action: ASK_FOR_TOKEN,
    })
  }
  if (row.last_used_at === null || nowMs - row.last_used_at.getTime() > LAST_USED_GRAIN_MS) {
    await ctx.db
      .updateTable('auth_token')
      .set({ last_used_at: new Date(nowMs) })
      .where('id', '=', row.id)
      .execute()
  }
  return row
}
