import type { z } from 'zod'
import type { Tx } from '../db/index.ts'

export interface DeliveredEvent<T = unknown> {
  /** Place in the order of delivery: the same at every delivery, so it is also the idempotency key. */
  readonly position: bigint
  readonly type: string
  readonly project: string
  readonly subject: string
  readonly data: T
  readonly at: Date
}

/**
 * Who reacts to events. `handle` runs in the transaction that also moves the consumer's cursor, so its rows change once
 * per event; effects outside the database need their own idempotency. `tx` is of the event's project.
 */
export interface Consumer {
  /** Stable: the cursor is kept under it. */
  readonly name: string
  readonly types: readonly string[]
  handle(tx: Tx, event: DeliveredEvent): Promise<void>
}

/** Declares a consumer of one type of event, whose data is parsed by the schema that the emitter declares. */
export function consume<S extends z.ZodType>(declared: {
  name: string
  type: string
  schema: S
  handle(tx: Tx, event: DeliveredEvent<z.output<S>>): Promise<void>
}): Consumer {
  return {
    name: declared.name,
    types: [declared.type],
    handle: (tx, event) => declared.handle(tx, { ...event, data: declared.schema.parse(event.data) }),
  }
}
