import type { ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import { digestBytes } from '../../kernel/digest.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import type { MlflowReply } from './errors.ts'

const KEPT_MS = 300_000
const ENTRIES_MAX = 10_000
/** Of all kept replies, taken to be as long as what was asked: a create gives back what it got. */
const KEPT_CHARS_MAX = 64 << 20

interface Kept {
  readonly reply: Promise<MlflowReply>
  readonly untilMs: number
  readonly bodyDigest: string
  readonly chars: number
}

export interface ReplayKey {
  /** Principal, project, method and path. */
  readonly scope: string
  readonly body: string
  readonly idempotencyKey: string | undefined
}

/**
 * Remembers the reply of a create whose caller went away before it was flushed, and gives it to the identical request that
 * the client sends again. A delivered reply is never repeated, unless the caller named the request by `Idempotency-Key`.
 * Kept in memory for five minutes: a retry across a restart runs again.
 */
export function openReplay(clock: Clock) {
  const kept = new Map<string, Kept>()
  let keptChars = 0

  const drop = (key: string): void => {
    keptChars -= kept.get(key)?.chars ?? 0
    kept.delete(key)
  }
  const find = (key: string): Kept | undefined => {
    const entry = kept.get(key)
    if (entry && entry.untilMs > clock.monotonicMs()) return entry
    drop(key)
    return undefined
  }
  const keep = (key: string, entry: Omit<Kept, 'untilMs'>): void => {
    drop(key)
    for (const oldest of kept.keys()) {
      if (kept.size < ENTRIES_MAX && keptChars + entry.chars <= KEPT_CHARS_MAX) break
      drop(oldest)
    }
    kept.set(key, { ...entry, untilMs: clock.monotonicMs() + KEPT_MS })
    keptChars += entry.chars
    entry.reply.catch(() => drop(key))
  }

  return async (key: ReplayKey, raw: ServerResponse, run: () => Promise<MlflowReply>): Promise<MlflowReply> => {
    const bodyDigest = digestBytes(key.body)
    const chars = key.body.length
    const name = digestBytes(
      JSON.stringify([key.scope, key.idempotencyKey ?? null, key.idempotencyKey ? null : bodyDigest]),
    )
    const earlier = find(name)
    if (earlier && earlier.bodyDigest !== bodyDigest) {
      throw new PlimsollError(
        'conflict',
        'tracking.idempotency_key_reused',
        'Invalid Idempotency-Key: it was used for another request body',
      )
    }
    const reply = earlier?.reply ?? run()
    if (key.idempotencyKey !== undefined) {
      if (!earlier) keep(name, { reply, bodyDigest, chars })
      return reply
    }
    // taken by this request: a second identical one that was not cut off runs on its own
    if (earlier) drop(name)
    const onClose = () => {
      if (!raw.writableFinished) keep(name, { reply, bodyDigest, chars })
    }
    if (raw.destroyed) onClose()
    else raw.once('close', onClose)
    return reply
  }
}
export type Replay = ReturnType<typeof openReplay>
