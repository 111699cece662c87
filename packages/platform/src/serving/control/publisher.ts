import type { Context } from '../../kernel/db/index.ts'
import { type EventMark, markEvents } from '../../kernel/events/index.ts'
import { publishSnapshot, type SnapshotDeps } from './snapshot.ts'

/** Whose events may change what should serve. */
const DOMAINS = ['delivery', 'registry', 'features', 'auth'] as const

/**
 * Publishes a snapshot when something has happened that could change it, and at first. Gateways ask several times a
 * second: what costs a query for each route is done once per change, and once for all who ask at the same time.
 */
export function openSnapshotPublisher(deps: SnapshotDeps): (ctx: Context) => Promise<void> {
  let seen: EventMark | undefined
  let running: Promise<void> | undefined
  const refresh = async (ctx: Context) => {
    // Marked before compiling: what is committed meanwhile is new at the next look.
    const { mark, isNew } = await markEvents(ctx, DOMAINS, seen)
    if (isNew) await ctx.transaction((tx) => publishSnapshot(tx, deps))
    seen = mark
  }
  return (ctx) => {
    running ??= refresh(ctx).finally(() => {
      running = undefined
    })
    return running
  }
}
