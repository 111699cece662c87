import { sql } from 'kysely'
import { MIGRATIONS } from '../../../migrations/all.ts'
import { type Clock, realClock } from '../clock.ts'
import { silentLog } from '../log.ts'
import { openPgliteCopy } from './database-template.fixture.ts'
import { type Context, dataSchema, migrate, openContext, openDatabase, type SqlBackend } from './index.ts'
import './kernel-tables.ts'

export interface TestDatabase {
  ctx: Context
  backend: SqlBackend
  /** All events so far, in order. Those that SQL wrote fit their schemas too. */
  events(): Promise<{ type: string; subject: string; data: unknown }[]>
  /** Empties every table but the migrations. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** Rows that nothing may remove go as well. `truncate` would make each file of a table anew: a hundred times the work. */
async function clearTables(db: Context['db']): Promise<void> {
  const tables = await sql<{
    name: string
  }>`select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'migration'`.execute(db)
  const deletes = tables.rows.map(({ name }) => sql`${sql.ref(`of_${name}`)} as (delete from ${sql.table(name)})`)
  await db.transaction().execute(async (tx) => {
    await sql`set local session_replication_role = replica`.execute(tx) // no trigger, no foreign key
    await sql`with ${sql.join(deletes)} select 1`.execute(tx)
    await sql`select setval(seqrelid, seqstart, false) from pg_sequence`.execute(tx)
  })
}

/** A real, migrated PGlite. Costs about a second: open one per test file and `clear` between tests. */
export async function openTestDatabase(options: { clock?: Clock; onEvents?: () => void } = {}): Promise<TestDatabase> {
  return migrateTestDatabase(await openPgliteCopy({ isMigrated: true }), options)
}

/** The same over any empty backend. */
export async function migrateTestDatabase(
  backend: SqlBackend,
  options: { clock?: Clock; onEvents?: () => void } = {},
): Promise<TestDatabase> {
  const db = openDatabase(backend)
  await migrate(db, backend, MIGRATIONS)
  const ctx = openContext({
    db,
    backend,
    clock: options.clock ?? realClock,
    log: silentLog,
    ...(options.onEvents ? { onEvents: options.onEvents } : {}),
  })
  return {
    ctx,
    backend,
    async events() {
      const events = await ctx.db.selectFrom('outbox').select(['type', 'subject', 'data']).orderBy('seq').execute()
      for (const { type, data } of events) dataSchema(type).parse(data)
      return events
    },
    clear: () => clearTables(db),
    close: () => db.destroy(),
  }
}
