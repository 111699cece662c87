import type { z } from 'zod'
import { dataFaults, dataSchema, type Events, type EventType, type Tx } from '../db/index.ts'
import { PlimsollError } from '../errors.ts'

/** An event as the outbox has it. */
export interface StoredEvent {
  /** Place in the order of delivery: the same at every delivery, so it is also the idempotency key. */
  readonly position: bigint
  readonly type: string
  readonly project: string
  readonly subject: string
  readonly data: unknown
  readonly at: Date
}

/** An event of one of the types, with the data that its schema says. */
export type DeliveredEvent<Types extends EventType> = {
  readonly [Type in Types]: StoredEvent & { readonly type: Type; readonly data: Events[Type] }
}[Types]

/**
 * Who reacts to events. `handle` runs in the transaction that also moves the consumer's cursor, so its rows change once
 * per event; effects outside the database need their own idempotency. `tx` is of the event's project.
 */
export interface Consumer {
  /** Stable: the cursor is kept under it. */
  readonly name: string
  readonly types: readonly string[]
  handle(tx: Tx, event: StoredEvent): Promise<void>
}

/** Declares a consumer of some types of events. One that does not fit its schema is parked as if handling it had failed. */
export function consume<Types extends EventType>(wanted: {
  name: string
  types: readonly Types[]
  handle(tx: Tx, event: DeliveredEvent<Types>): Promise<void>
}): Consumer {
  const schemas = new Map<string, z.ZodType>(wanted.types.map((type) => [type, dataSchema(type)]))
  return {
    name: wanted.name,
    types: wanted.types,
    // Its type has a schema here, by which its data were read.
    handle: async (tx, event) => wanted.handle(tx, readEvent(schemas, event) as DeliveredEvent<Types>),
  }
}

/** @throws internal events.unreadable when another release wrote it with other data, or the consumer took its type then */
function readEvent(schemas: ReadonlyMap<string, z.ZodType>, event: StoredEvent): StoredEvent {
  const read = schemas.get(event.type)?.safeParse(event.data)
  if (read?.success) return { ...event, data: read.data }
  throw new PlimsollError(
    'internal',
    'events.unreadable',
    `Cannot read event ${event.position}, ${event.type}: ${read ? dataFaults(read.error) : 'this consumer does not take its type'}`,
  )
}
