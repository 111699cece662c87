import { type Kysely, sql } from 'kysely'
import { PlimsollError } from '../errors.ts'
import type { SqlBackend } from './backend.ts'
import { transactionScope } from './database.ts'
import type { Tables } from './tables.ts'

export interface Migration {
  /** Four digits and a name, for example `0007-model-alias`. */
  readonly name: string
  up(db: Kysely<Tables>): Promise<void>
}

const LOCK_KEY = 7_440_001

/**
 * Brings the schema forward, one transaction per migration, under an advisory lock. Forward only: a schema that knows
 * migrations which this release does not is refused.
 * @throws precondition db.schema_too_new
 */
export async function migrate(
  db: Kysely<Tables>,
  backend: SqlBackend,
  migrations: readonly Migration[],
): Promise<string[]> {
  await db.transaction().execute((transaction) =>
    transactionScope.run({ backend, done: false }, async () => {
      // Even "if not exists" collides when two processes create at once.
      await sql`select pg_advisory_xact_lock(${LOCK_KEY})`.execute(transaction)
      await sql`create table if not exists migration (name text primary key, applied_at timestamptz not null default clock_timestamp())`.execute(
        transaction,
      )
    }),
  )
  const applied = await sql<{ name: string }>`select name from migration order by name`.execute(db)
  const known = new Set(migrations.map((m) => m.name))
  const unknown = applied.rows.filter((row) => !known.has(row.name)).map((row) => row.name)
  if (unknown.length > 0) {
    throw new PlimsollError(
      'precondition',
      'db.schema_too_new',
      `Cannot open the database: it has migrations of a newer release (${unknown.join(', ')})`,
      {
        action: 'Start the newer release, or restore a backup made by this one',
      },
    )
  }
  const done: string[] = []
  for (const migration of [...migrations].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    await db.transaction().execute((transaction) =>
      transactionScope.run({ backend, done: false }, async () => {
        await sql`set local lock_timeout = '5s'`.execute(transaction)
        await sql`select pg_advisory_xact_lock(${LOCK_KEY})`.execute(transaction)
        const present = await sql`select 1 from migration where name = ${migration.name}`.execute(transaction)
        if (present.rows.length > 0) return
        await migration.up(transaction)
        await sql`insert into migration (name) values (${migration.name})`.execute(transaction)
        done.push(migration.name)
      }),
    )
  }
  return done
}
