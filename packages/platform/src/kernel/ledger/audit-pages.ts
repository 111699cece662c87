import { sql } from 'kysely'
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

/** A mark before which every transaction has ended: its rows and their audit are all seen from now on. */
export async function settledNow(ctx: Context): Promise<string> {
  const { rows } = await sql<{ xid: string }>`select pg_snapshot_xmin(pg_current_snapshot())::text as xid`.execute(
    ctx.db,
  )
  return rows[0]!.xid // it always has one
}

/** What audit rows of these actions, which are not before the mark, speak of, and the name that it had before. */
export async function movedSince(
  ctx: Context,
  mark: string,
  actions: readonly string[],
): Promise<readonly { readonly project: string; readonly subject: string; readonly from: string | null }[]> {
  return ctx.db
    .selectFrom('audit')
    .select(['project', 'subject', sql<string | null>`data ->> 'from'`.as('from')])
    .where('xid', '>=', mark)
    .where('action', 'in', actions)
    .execute()
}
