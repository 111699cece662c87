export type { SqlBackend, SqlSession, Statement, StatementResult } from './backend.ts'
export {
  type AuditEntry,
  type Context,
  type OutboxEvent,
  type Principal,
  SYSTEM_PRINCIPAL,
  type Tx,
} from './context.ts'
export { openDatabase } from './database.ts'
export {
  after,
  type DatabaseClock,
  databaseClock,
  type ShiftedDatabaseClock,
  shiftedDatabaseClock,
} from './database-clock.ts'
export {
  type DeclaredEvent,
  dataFaults,
  dataSchema,
  declaredEvents,
  declareEvents,
  type Events,
  type EventsOf,
  type EventType,
} from './events.ts'
export { givenRows } from './given-rows.ts'
export type { Filled, Jsonb } from './kernel-tables.ts'
export { type Migration, migrate } from './migrate.ts'
export { observeCounts } from './observe-counts.ts'
export { type ContextOptions, emittingEvents, openContext } from './open-context.ts'
export { rowsById } from './rows-by-id.ts'
export type { Tables } from './tables.ts'
