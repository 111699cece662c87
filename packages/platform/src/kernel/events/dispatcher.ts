import { type Context, type DatabaseClock, databaseClock } from '../db/index.ts'
import { toPlimsollError } from '../errors.ts'
import type { Consumer } from './consumer.ts'
import { type Delivery, deliverFresh, deliverParked } from './delivery.ts'
import { openPulse } from './pulse.ts'
import { placeEvents } from './sequencer.ts'
import './tables.ts'

export interface DispatcherOptions {
  pollMs?: number
  /** Failed deliveries of one event until it becomes a dead letter. */
  attemptsMax?: number
  /** First pause after a failure; it doubles up to a hundred times as much. */
  backoffMs?: number
  clock?: DatabaseClock
}

export interface Dispatcher {
  /** For `ContextOptions.onEvents`: dispatch now rather than at the next poll. */
  wake(): void
  /** Delivers until nothing is left that could be delivered now. */
  settle(): Promise<void>
  close(): Promise<void>
}

/**
 * Delivers outbox events to consumers: at least once, in order per subject. Several control planes may run one each; the
 * cursor rows let one at a time move.
 */
export async function openDispatcher(
  ctx: Context,
  consumers: readonly Consumer[],
  options: DispatcherOptions = {},
): Promise<Dispatcher> {
  const delivery: Delivery = {
    ctx,
    attemptsMax: options.attemptsMax ?? 8,
    backoffMs: options.backoffMs ?? 500,
    clock: options.clock ?? databaseClock,
  }
  for (const { name } of consumers) {
    await ctx.db
      .insertInto('outbox_consumer')
      .values({ consumer: name, position: 0n })
      .onConflict((c) => c.doNothing())
      .execute()
  }
  const pulse = openPulse(ctx.clock)
  let isClosed = false
  const deliver = async (): Promise<number> => {
    let moved = await placeEvents(ctx)
    for (const consumer of consumers) {
      if (isClosed) break
      moved += (await deliverFresh(delivery, consumer)) + (await deliverParked(delivery, consumer))
    }
    return moved
  }
  let turn: Promise<number> = Promise.resolve(0)
  // One round at a time: two at once would take the cursor from each other.
  const round = () => {
    turn = turn.then(deliver, deliver)
    return turn
  }
  const loop = async () => {
    while (!isClosed) {
      let moved = 0
      try {
        moved = await round()
      } catch (error) {
        if (!isClosed) ctx.log.error({ error: toPlimsollError(error).message }, 'a round of event delivery failed')
      }
      if (moved === 0 && !isClosed) await pulse.wait(options.pollMs ?? 1_000)
    }
  }
  const looping = loop()
  return {
    wake: pulse.wake,
    settle: async () => {
      while ((await round()) > 0);
    },
    close: async () => {
      isClosed = true
      pulse.wake()
      await looping
    },
  }
}
