import type { Clock } from '../../kernel/clock.ts'
import type { SqlBackend } from '../../kernel/db/backend.ts'

/** When a table is due. @source postgresql.org, "The Autovacuum Daemon": the defaults of its thresholds */
const DUE = `
  select name, is_littered from (
    select quote_ident(s.schemaname) || '.' || quote_ident(s.relname) as name, s.n_dead_tup,
      s.n_dead_tup > 50 + 0.2 * size or s.n_ins_since_vacuum > 1000 + 0.2 * size as is_littered,
      s.n_mod_since_analyze > 50 + 0.1 * size as is_changed
    from pg_stat_user_tables s join pg_class c on c.oid = s.relid, greatest(c.reltuples, 0) as size) t
  where is_littered or is_changed order by n_dead_tup desc limit 100`

const UNSAVED = `
  select pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn)::int8 as bytes from pg_control_checkpoint()`
/** Also what has to be replayed after a kill. */
const UNSAVED_BYTES_MAX = 16n << 20n

/** A table rests so many times as long as its upkeep took: one that is great and busy costs a hundredth of the time at most. */
const REST = 100

/**
 * What PostgreSQL's own processes do beside a server, and nobody does for PGlite: removes old versions of rows, renews the
 * planner's statistics, and cuts off the write-ahead log, which all grow without end otherwise. Each statement takes its
 * own turn, so that others wait for one table at most. The function that is returned looks once, and says what it did.
 */
export function openUpkeep(acquire: SqlBackend['acquire'], clock: Clock): () => Promise<string[]> {
  /** When a table may be looked after again. */
  const restsUntilMs = new Map<string, number>()

  const run = async (sql: string) => {
    const session = await acquire()
    const startedMs = clock.monotonicMs()
    try {
      const { rows } = await session.query(sql, [])
      return { rows, tookMs: clock.monotonicMs() - startedMs }
    } finally {
      await session.release()
    }
  }

  return async () => {
    const done: string[] = []
    const isRested = (table: string) => clock.monotonicMs() >= (restsUntilMs.get(table) ?? 0)
    for (const { name, is_littered } of (await run(DUE)).rows) {
      const table = String(name)
      if (!isRested(table)) continue
      const statement = `${is_littered ? 'vacuum (analyze)' : 'analyze'} ${table}`
      // One that fails must not keep the others from their turn.
      await run(statement).then(
        ({ tookMs }) => {
          restsUntilMs.set(table, clock.monotonicMs() + tookMs * REST)
          done.push(statement)
        },
        () => {},
      )
    }
    const [unsaved] = (await run(UNSAVED)).rows
    if ((unsaved?.['bytes'] as bigint) > UNSAVED_BYTES_MAX) {
      await run('checkpoint')
      done.push('checkpoint')
    }
    return done
  }
}
