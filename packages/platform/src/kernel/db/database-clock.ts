import { type RawBuilder, sql } from 'kysely'

/** The instant of leases, as an SQL fragment: the database's clock, the same for every process. A test binds its own. */
export type DatabaseClock = () => RawBuilder<Date>

/** `clock_timestamp()`, which moves inside a transaction; `now()` would stand still. */
export const databaseClock: DatabaseClock = () => sql<Date>`clock_timestamp()`

export interface ShiftedDatabaseClock {
  clock: DatabaseClock
  advance(ms: number): void
}

/** The database's clock plus an offset that a test moves. */
export function shiftedDatabaseClock(): ShiftedDatabaseClock {
  let offsetMs = 0
  return {
    clock: () => sql<Date>`(clock_timestamp() + ${offsetMs}::float8 * interval '1 millisecond')`,
    advance: (ms) => {
      offsetMs += ms
    },
  }
}

/** `at` plus `ms` milliseconds. */
export function after(at: RawBuilder<Date>, ms: number): RawBuilder<Date> {
  return sql<Date>`(${at} + ${ms}::float8 * interval '1 millisecond')`
}
