import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { BlobStore } from '@plimsoll/sdk/seams'
import { awaitedSnapshot, COUNT_MAX, countText, storedPrediction, takenSegment, wholeText } from '@plimsoll/sdk/wire'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Context } from '../../kernel/db/index.ts'
import { type AnyEndpoint, endpoint } from '../../kernel/http/index.ts'
import { gatewayEndpoints, gatewayName } from './gateways.ts'
import { openSnapshotPublisher } from './publisher.ts'
import { commitSegment, decodeSegment, requirePrediction, SEGMENT_BYTES_MAX } from './segment.ts'
import { findSnapshot, type SnapshotDeps } from './snapshot.ts'

const WAIT_STEP_MS = 250

export interface ServingControlDeps extends SnapshotDeps {
  readonly blobs: BlobStore
}

async function awaitSnapshot(
  ctx: Context,
  refresh: (ctx: Context) => Promise<void>,
  after: number,
  waitMs: number,
  signal: AbortSignal,
) {
  const untilMs = ctx.clock.monotonicMs() + waitMs
  for (;;) {
    // First, so that a gateway which cannot take the newest one is given the next as soon as there is reason for it.
    const failure = await refresh(ctx).then(
      () => undefined,
      (thrown: unknown) => ({ thrown }),
    )
    const found = await findSnapshot(ctx, after)
    if (found) return found
    if (failure) throw failure.thrown
    if (ctx.clock.monotonicMs() >= untilMs) return undefined
    await ctx.clock.sleep(WAIT_STEP_MS, signal).catch(() => {}) // the end is seen next
    if (signal.aborted) return undefined
  }
}

/** Aborted when the caller has left, or the server begins to drain. */
function endOf(request: FastifyRequest): AbortSignal {
  const left = new AbortController()
  request.raw.once('close', () => left.abort())
  return AbortSignal.any([left.signal, request.closing])
}

/** What gateways ask of the control plane, and what people ask of predictions. */
export function servingEndpoints(deps: ServingControlDeps): AnyEndpoint[] {
  const refresh = openSnapshotPublisher(deps)
  return [
    endpoint({
      method: 'GET',
      path: '/api/v1/serving/snapshot',
      scope: 'operator',
      summary: 'The newest signed snapshot after an epoch; waits for one',
      query: z.strictObject({
        after: wholeText({ min: -1, max: COUNT_MAX }).default(-1),
        wait_ms: wholeText({ min: 0, max: 30_000 }).default(0),
      }),
      response: awaitedSnapshot,
      handler: async ({ ctx, query, request }) => {
        const signal = endOf(request)
        return { snapshot: (await awaitSnapshot(ctx, refresh, query.after, query.wait_ms, signal)) ?? null }
      },
    }),
    ...gatewayEndpoints(),
    endpoint({
      method: 'PUT',
      path: '/api/v1/serving/segments/:gateway/:boot/:sequence',
      scope: 'operator',
      summary: 'A gateway ships a segment of predictions; idempotent',
      params: z.strictObject({
        gateway: gatewayName,
        boot: z.string().regex(/^boot_[0-9a-f]{32}$/),
        sequence: countText,
      }),
      bodyKind: 'stream',
      bodyLimitBytes: SEGMENT_BYTES_MAX,
      response: takenSegment,
      handler: async ({ ctx, params, body }) => {
        const bytes = await buffer(body as unknown as Readable) // a stream of at most that many bytes, as it has no schema
        const records = decodeSegment(bytes)
        if (records.length === 0) return { records: 0 }
        const stored = await deps.blobs.put(bytes)
        await ctx.transaction((tx) => commitSegment(tx, deps.blobs, params, stored, records))
        return { records: records.length }
      },
    }),
    endpoint({
      method: 'GET',
      path: '/api/v1/predictions/:prediction',
      scope: 'viewer',
      summary: 'The identity record of one prediction',
      params: z.strictObject({ prediction: z.string().max(64) }),
      response: storedPrediction,
      handler: async ({ ctx, params }) => requirePrediction(ctx, deps.blobs, params.prediction),
    }),
  ]
}
