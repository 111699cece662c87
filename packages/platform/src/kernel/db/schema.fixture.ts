import { type Kysely, sql } from 'kysely'
import type { SqlBackend, SqlSession } from './backend.ts'
import type { Tables } from './tables.ts'

/** Everything that the migrations made, one line each: columns, constraints, indexes, functions, triggers, comments. */
export async function describeSchema(db: Kysely<Tables>): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    select concat_ws(' ', 'column', table_name, column_name, data_type, collation_name, is_nullable, column_default,
      is_identity) as line from information_schema.columns where table_schema = 'public'
    union all
    select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
      where connamespace = 'public'::regnamespace and contype <> 'n' -- PostgreSQL 18 lists "not null" here as well
    union all
    select concat_ws(' ', 'index', indexdef) from pg_indexes where schemaname = 'public'
    union all
    select concat_ws(' ', 'function', p.proname, pg_get_functiondef(p.oid)) from pg_proc p
      where pronamespace = 'public'::regnamespace
    union all
    select concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid)) from pg_trigger t where not tgisinternal
    union all
    select concat_ws(' ', 'sequence', sequencename, data_type, start_value, increment_by) from pg_sequences
      where schemaname = 'public'
    union all
    select concat_ws(' ', 'options', relname, array_to_string(reloptions, ',')) from pg_class
      where relnamespace = 'public'::regnamespace and reloptions is not null
    union all
    select concat_ws(' ', 'comment', relname, obj_description(oid)) from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r'
    order by line`.execute(db)
  return rows.map((row) => row.line)
}

/** A backend that calls `cut` before statement number `at` of a transaction, or of all when `isWhole`. */
export function cutting(
  inner: SqlBackend,
  options: { at: () => number; isWhole?: boolean; cut: (pid: unknown) => Promise<void> },
): SqlBackend {
  let count = 0
  const cutAt = async (session: SqlSession) => {
    if (count !== options.at()) return
    const { rows } = await session.query('select pg_backend_pid() as pid', [])
    await options.cut(rows[0]!.pid)
  }
  return {
    name: inner.name,
    close: () => inner.close(),
    acquire: async () => {
      const session = await inner.acquire()
      return {
        release: () => session.release(),
        query: async (statement, values) => {
          if (statement === 'begin' && !options.isWhole) count = 0
          else count++
          await cutAt(session)
          return session.query(statement, values)
        },
        transact: async (statements) => {
          count = options.isWhole ? count + 1 : 0
          await cutAt(session)
          return session.transact(statements)
        },
      }
    },
  }
}
