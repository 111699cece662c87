import type { Role } from '@plimsoll/sdk/wire'
import type { Kysely, RawBuilder } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Events, EventType } from './events.ts'
import type { Tables } from './tables.ts'

/** Who acts. `named` is false for the anonymous caller on loopback and for the platform itself. */
export interface Principal {
  readonly id: string
  readonly kind: 'anonymous' | 'user' | 'token' | 'run' | 'system'
  readonly named: boolean
  /** Role on the project of the context. */
  readonly role: Role
  /** How the identity was shown: `token:tok_…`, `ssh:SHA256:…`, `oidc:issuer`, `none`. */
  readonly proof: string
}

export const SYSTEM_PRINCIPAL: Principal = { id: 'system', kind: 'system', named: false, role: 'admin', proof: 'none' }

/** An event of a declared type, with data of its schema. */
export type OutboxEvent = {
  readonly [Type in EventType]: {
    /** `domain.what_happened`, for example `registry.alias_moved`. */
    readonly type: Type
    /** Events of one subject are delivered in commit order. */
    readonly subject: string
    readonly data: Events[Type]
  }
}[EventType]

export interface AuditEntry {
  /** Verb in the domain's words, for example `release.create`. */
  readonly action: string
  readonly subject: string
  readonly data?: unknown
}

/** The rows of each of several queries. */
export type RowsOf<Queries extends readonly RawBuilder<unknown>[]> = {
  -readonly [Index in keyof Queries]: Queries[Index] extends RawBuilder<infer Row> ? Row[] : never
}

/** What every domain function receives first. Its project and principal are already authorised. */
export interface Context {
  readonly db: Kysely<Tables>
  readonly clock: Clock
  readonly log: Logger
  readonly project: string
  readonly principal: Principal
  /**
   * Runs `work` in one transaction; a nested call joins the outer one. Serialisation failures are retried up to three
   * times, so `work` must have no effect outside the database. Never await outside I/O inside.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /**
   * Runs statements that need nothing of each other's results as one transaction, in as few messages as the database
   * allows; retried in the same way. Gives the rows of each. Inside a transaction they join it.
   */
  together<const Queries extends readonly RawBuilder<unknown>[]>(queries: Queries): Promise<RowsOf<Queries>>
  /** Says that statements wrote outbox events themselves: dispatch need not wait for its next poll. */
  emitted(): void
  /** The same context for another project or principal. */
  as(change: { project?: string; principal?: Principal }): Context
}

/** A context inside a transaction: the only place from which state may change. */
export interface Tx extends Context {
  /** Writes an outbox event in this transaction. Data that do not fit its schema are a programmer's error. */
  emit(event: OutboxEvent): Promise<void>
  /** Writes an audit row of this transaction's principal. */
  audit(entry: AuditEntry): Promise<void>
  /** The same transaction for another project or principal. */
  as(change: { project?: string; principal?: Principal }): Tx
  /** Runs after a successful commit, outside the transaction; its failure is logged, never thrown. */
  afterCommit(hook: () => void): void
}
