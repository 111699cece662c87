import type { ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import { digestBytes } from '../../kernel/digest.ts'
import { refusal } from '../failure.ts'
import type { MlflowReply } from './errors.ts'

const KEPT_MS = 300_000
const ENTRIES_MAX = 10_000

interface Kept {
  readonly reply: Promise<MlflowReply>
  readonly untilMs: number
  readonly bodyDigest: string
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

  const find = (key: string): Kept | undefined => {
    const entry = kept.get(key)
    if (entry && entry.untilMs > clock.monotonicMs()) return entry
    kept.delete(key)
    return undefined
  }
  const keep = (key: string, entry: Omit<Kept, 'untilMs'>): void => {
    if (kept.size >= ENTRIES_MAX) for (const oldest of [...kept.keys()].slice(0, ENTRIES_MAX / 10)) kept.delete(oldest)
    kept.delete(key)
    kept.set(key, { ...entry, untilMs: clock.monotonicMs() + KEPT_MS })
    entry.reply.catch(() => kept.delete(key))
  }

  return async (key: ReplayKey, raw: ServerResponse, run: () => Promise<MlflowReply>): Promise<MlflowReply> => {
    const bodyDigest = digestBytes(key.body)
    const name = digestBytes(
      JSON.stringify([key.scope, key.idempotencyKey ?? null, key.idempotencyKey ? null : bodyDigest]),
    )
    const earlier = find(name)
    if (earlier && earlier.bodyDigest !== bodyDigest) {
      throw refusal('Invalid Idempotency-Key: it was used for another request body')
    }
    const reply = earlier?.reply ?? run()
    if (key.idempotencyKey !== undefined) {
      if (!earlier) keep(name, { reply, bodyDigest })
      return reply
    }
    // taken by this request: a second identical one that was not cut off runs on its own
    if (earlier) kept.delete(name)
    const onClose = () => {
      if (!raw.writableFinished) keep(name, { reply, bodyDigest })
    }
    if (raw.destroyed) onClose()
    else raw.once('close', onClose)
    return reply
  }
}
export type Replay = ReturnType<typeof openReplay>
