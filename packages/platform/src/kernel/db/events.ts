import assert from 'node:assert/strict'
import { joinFaults } from '@plimsoll/sdk/wire'
import type { z } from 'zod'
import { pointerOf } from '../errors.ts'

/**
 * Data of every outbox event by its type. Each domain adds its own from its `events.ts`, and whoever emits imports it:
 * `declare module '../kernel/db/events.ts' { interface Events extends EventsOf<typeof registryEvents> {} }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging in each domain
export interface Events {}

export type EventType = keyof Events

export interface DeclaredEvent<Data extends z.ZodType = z.ZodType> {
  /** What has happened, as a sentence. */
  readonly happened: string
  /** What the subject names: events of one subject are delivered in order. */
  readonly subject: string
  readonly data: Data
}

type Declarations = Readonly<Record<string, DeclaredEvent>>

/** The data of each declared type. */
export type EventsOf<Declared extends Declarations> = {
  readonly [Type in keyof Declared]: z.output<Declared[Type]['data']>
}

const declared = new Map<string, DeclaredEvent>()

/** Declares the events of a domain, whose types begin with its name. */
export function declareEvents<const Declared extends Declarations>(events: Declared): Declared {
  for (const [type, event] of Object.entries(events)) {
    assert.match(type, /^[a-z_]+\.[a-z_]+$/, `Event "${type}" is not named domain.what_happened`)
    assert.ok(!declared.has(type), `Event "${type}" is declared twice`)
    declared.set(type, event)
  }
  return events
}

/** Every declared event of the modules that are loaded. */
export function declaredEvents(): ReadonlyMap<string, DeclaredEvent> {
  return declared
}

/** The schema of an event's data. A type without one is a programmer's error: nobody has loaded its `events.ts`. */
export function dataSchema(type: string): z.ZodType {
  const event = declared.get(type)
  assert.ok(event, `Event "${type}" is not declared`)
  return event.data
}

/** What of an event's data does not fit, in one line. */
export function dataFaults({ issues }: z.ZodError): string {
  return joinFaults(issues.map(({ path, message }) => `${pointerOf(path)} ${message}`.trim()))
}
