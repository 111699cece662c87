import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TERMINAL_RUNS } from '@plimsoll/sdk/wire'
import { type SqlBool, sql } from 'kysely'
import { unpinBlobs } from '../kernel/blob/index.ts'
import { type Context, databaseClock, type Tx } from '../kernel/db/index.ts'
import { cacheOwner, runOwner } from './pins.ts'

const BATCH = 100

/** Says which of these runs a later domain still names: they are kept, however old. */
export type RunsHeld = (ctx: Context, runs: readonly string[]) => Promise<ReadonlySet<string>>

/**
 * Forgets runs that ended longer ago than `ageMs`: their rows, and what only they pin. A run from which a cache entry came
 * stays as long as the entry; so does one that is held. Returns how many went.
 */
export async function forgetRuns(
  ctx: Context,
  options: { ageMs: number; isHeld: RunsHeld; signal?: AbortSignal },
): Promise<number> {
  let forgotten = 0
  for (let after = ''; ; ) {
    options.signal?.throwIfAborted()
    const page = await ctx.db
      .selectFrom('pipeline_run')
      .select(['id', 'project'])
      .where('id', '>', after)
      .where(sql<SqlBool>`finished_at < ${databaseClock()} - ${options.ageMs}::float8 * interval '1 millisecond'`)
      .where(sql<SqlBool>`not exists (select 1 from cache_entry c where c.source_run = pipeline_run.id)`)
      .orderBy('id')
      .limit(BATCH)
      .execute()
    for (const project of new Set(page.map((run) => run.project))) {
      const own = page.filter((run) => run.project === project).map((run) => run.id)
      forgotten += await ctx.as({ project }).transaction(async (tx) => {
        const held = await options.isHeld(tx, own)
        return deleteRuns(
          tx,
          own.filter((run) => !held.has(run)),
        )
      })
    }
    if (page.length < BATCH) return forgotten
    after = page.at(-1)!.id
  }
}

async function deleteRuns(tx: Tx, runs: readonly string[]): Promise<number> {
  if (runs.length === 0) return 0
  for (const table of ['attempt', 'edge', 'step'] as const)
    await tx.db
      .deleteFrom(table)
      .where('run', 'in', [...runs])
      .execute()
  await tx.db
    .deleteFrom('pipeline_run')
    .where('id', 'in', [...runs])
    .execute()
  await unpinBlobs(tx, ...runs.map(runOwner))
  return runs.length
}

/** Forgets some of what the cache knows and nobody has used for `ageMs`. Returns how many entries went. */
export async function forgetCacheEntries(ctx: Context, ageMs: number): Promise<number> {
  return ctx.transaction(async (tx) => {
    const rows = await sql<{ project: string; key: string }>`
      with old as materialized (
        select project, key from cache_entry
        where coalesce(last_hit_at, created_at) < ${databaseClock()} - ${ageMs}::float8 * interval '1 millisecond'
        order by project, key limit ${BATCH} for update skip locked)
      delete from cache_entry c using old where c.project = old.project and c.key = old.key
      returning c.project, c.key`.execute(tx.db)
    for (const project of new Set(rows.rows.map((row) => row.project))) {
      const own = rows.rows.filter((row) => row.project === project)
      await unpinBlobs(tx.as({ project }), ...own.map((row) => cacheOwner(row.key)))
    }
    return rows.rows.length
  })
}

/** Removes the work directories of runs that ended longer ago than `ageMs`, and of runs that are no more. */
export async function removeWorkDirectories(ctx: Context, runsDir: string, ageMs: number): Promise<number> {
  const names = await readdir(runsDir).catch(() => [])
  let removed = 0
  for (let at = 0; at < names.length; at += BATCH) {
    const some = names.slice(at, at + BATCH)
    const wanted = await ctx.db
      .selectFrom('pipeline_run')
      .select('id')
      .where('id', 'in', some)
      .where((eb) =>
        eb.or([
          eb('state', 'not in', [...TERMINAL_RUNS]),
          sql<SqlBool>`finished_at >= ${databaseClock()} - ${ageMs}::float8 * interval '1 millisecond'`,
        ]),
      )
      .execute()
    const kept = new Set(wanted.map((run) => run.id))
    for (const name of some.filter((run) => run.startsWith('run_') && !kept.has(run))) {
      await rm(join(runsDir, name), { recursive: true, force: true })
      removed++
    }
  }
  return removed
}
