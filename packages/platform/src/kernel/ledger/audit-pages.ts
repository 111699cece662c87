import { type SqlBool, sql } from 'kysely'
import type { Context } from '../db/index.ts'

const SEQ_SPAN = 5_000n

/** What an audit row says, without its place and time: what checks compare. */
export const AUDIT_ENTRY_COLUMNS = ['project', 'actor', 'proof', 'action', 'subject', 'data'] as const

export interface AuditEntryRow {
  readonly project: string
  readonly actor: string
  readonly proof: string
  readonly action: string
  readonly subject: string
  readonly data: unknown
}

/** Audit rows of these actions, of all projects, oldest first. By ranges of `seq`, so that all of it is linear. */
export async function* readAudit(ctx: Context, actions: readonly string[]): AsyncGenerator<AuditEntryRow> {
  const { last } = await ctx.db
    .selectFrom('audit')
    .select((eb) => eb.fn.max('seq').as('last'))
    .executeTakeFirstOrThrow()
  for (let from = 0n; from < BigInt(last ?? 0); from += SEQ_SPAN) {
    yield* await ctx.db
      .selectFrom('audit')
      .select(AUDIT_ENTRY_COLUMNS)
      .where('seq', '>', from)
      .where('seq', '<=', from + SEQ_SPAN)
      .where('action', 'in', actions)
      .orderBy('seq')
      .execute()
  }
}

/** What is seen by now; what is committed later is not in it. */
export async function seenNow(ctx: Context): Promise<string> {
  const { rows } = await sql<{ snapshot: string }>`select pg_current_snapshot()::text as snapshot`.execute(ctx.db)
  return rows[0]!.snapshot // it always has one
}

/**
 * What audit rows of these actions speak of that were committed since the snapshot, and the name that it had before. A
 * transaction of a time to come, such as that of another cluster whose dump was restored, has committed nothing since.
 */
export async function movedSince(
  ctx: Context,
  snapshot: string,
  actions: readonly string[],
): Promise<readonly { readonly project: string; readonly subject: string; readonly from: string | null }[]> {
  return ctx.db
    .selectFrom('audit')
    .select(['project', 'subject', sql<string | null>`data ->> 'from'`.as('from')])
    .where(sql<SqlBool>`not pg_visible_in_snapshot(xid, ${snapshot}::pg_snapshot)`)
    .where(sql<SqlBool>`pg_visible_in_snapshot(xid, pg_current_snapshot())`)
    .where('action', 'in', actions)
    .execute()
}
