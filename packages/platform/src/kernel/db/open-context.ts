import assert from 'node:assert/strict'
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { SqlBackend } from './backend.ts'
import {
  type AuditEntry,
  type Context,
  type OutboxEvent,
  type Principal,
  type RowsOf,
  SYSTEM_PRINCIPAL,
  type Tx,
} from './context.ts'
import { runTogether, transactionScope } from './database.ts'
import { dataFaults, dataSchema, type EventType } from './events.ts'
import type { Tables } from './tables.ts'

const ATTEMPTS_MAX = 4
const BACKOFF_MS = 5

export interface ContextOptions {
  db: Kysely<Tables>
  backend: SqlBackend
  clock: Clock
  log: Logger
  project?: string
  principal?: Principal
  /** Called after a commit that wrote outbox events, so that dispatch need not wait for its next poll. */
  onEvents?: () => void
}

interface Shared extends Required<Pick<ContextOptions, 'db' | 'backend' | 'clock' | 'log'>> {
  onEvents: () => void
}

/** The root context of a process: project `default`, principal the platform itself, unless told otherwise. */
export function openContext(options: ContextOptions): Context {
  const shared: Shared = { ...options, onEvents: options.onEvents ?? (() => {}) }
  return rootContext(shared, options.project ?? 'default', options.principal ?? SYSTEM_PRINCIPAL)
}

function rootContext(shared: Shared, project: string, principal: Principal): Context {
  return {
    db: shared.db,
    clock: shared.clock,
    log: shared.log,
    project,
    principal,
    transaction: (work) => runTransaction(shared, project, principal, work),
    together: (queries) => retrying(shared, async () => rowsOf<typeof queries>(await runTogether(shared.db, queries))),
    emitted: () => runHooks(shared, [shared.onEvents]),
    as: (change) => rootContext(shared, change.project ?? project, change.principal ?? principal),
  }
}

function isCollision(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown } | null)?.code
  return code === '40001' || code === '40P01'
}

function runTransaction<T>(
  shared: Shared,
  project: string,
  principal: Principal,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  return retrying(shared, async () => {
    const hooks: (() => void)[] = []
    const result = await shared.db.transaction().execute((transaction) => {
      const scope = { backend: shared.backend, done: false }
      const tx = openTx(shared, transaction, project, principal, hooks)
      return transactionScope.run(scope, async () => {
        try {
          return await work(tx)
        } finally {
          scope.done = true
        }
      })
    })
    runHooks(shared, hooks)
    return result
  })
}

async function retrying<T>(shared: Shared, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (thrown) {
      if (!isCollision(thrown) || attempt === ATTEMPTS_MAX) throw thrown
      await shared.clock.sleep(BACKOFF_MS * attempt)
    }
  }
}

function runHooks(shared: Shared, hooks: readonly (() => void)[]): void {
  for (const hook of hooks) {
    try {
      hook()
    } catch (error) {
      shared.log.error({ error }, 'a hook after commit failed')
    }
  }
}

function openTx(
  shared: Shared,
  db: Transaction<Tables>,
  project: string,
  principal: Principal,
  hooks: (() => void)[],
): Tx {
  const tx: Tx = {
    db,
    clock: shared.clock,
    log: shared.log,
    project,
    principal,
    transaction: (work) => work(tx),
    together: async (queries) => {
      const results: { rows: unknown[] }[] = []
      for (const query of queries) results.push(await query.execute(db))
      return rowsOf<typeof queries>(results)
    },
    emitted: () => noteEvents(shared, hooks),
    as: (change) => openTx(shared, db, change.project ?? project, change.principal ?? principal, hooks),
    emit: (event) => emit(tx, event),
    audit: (entry) => audit(tx, entry),
    afterCommit: (hook) => {
      hooks.push(hook)
    },
  }
  return tx
}

async function emit(tx: Tx, event: OutboxEvent): Promise<void> {
  const { error } = dataSchema(event.type).safeParse(event.data)
  assert.ok(error === undefined, `Cannot emit event "${event.type}": ${error && dataFaults(error)}`)
  await tx.db
    .insertInto('outbox')
    .values({ project: tx.project, type: event.type, subject: event.subject, data: JSON.stringify(event.data ?? null) })
    .execute()
  tx.emitted()
}

/**
 * A part of a `with`, `emitted_event`, that writes outbox events of one type: `rows` is a query of `project`, `subject` and
 * `data` (jsonb), which nothing but tests compares with the schema. Whoever has run it calls `emitted()`.
 */
export function emittingEvents(type: EventType, rows: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`emitted_event as (insert into outbox (type, project, subject, data)
    select ${type}::text, happened.* from (${rows}) as happened)`
}

function noteEvents({ onEvents }: Shared, hooks: (() => void)[]): void {
  if (!hooks.includes(onEvents)) hooks.push(onEvents)
}

function rowsOf<Queries extends readonly RawBuilder<unknown>[]>(
  results: readonly { rows: unknown[] }[],
): RowsOf<Queries> {
  return results.map(({ rows }) => rows) as RowsOf<Queries> // one for each, in order
}

async function audit(tx: Tx, entry: AuditEntry): Promise<void> {
  await tx.db
    .insertInto('audit')
    .values({
      project: tx.project,
      actor: tx.principal.id,
      proof: tx.principal.proof,
      action: entry.action,
      subject: entry.subject,
      data: JSON.stringify(entry.data ?? null),
    })
    .execute()
}
