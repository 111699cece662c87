import type { BlobStore } from '@plimsoll/sdk/seams'
import { type PredictionRecord, predictionRecord } from '@plimsoll/sdk/wire'
import { realClock } from '../../kernel/clock.ts'
import type { Context } from '../../kernel/db/index.ts'
import { digestValue } from '../../kernel/digest.ts'
import { uuidv7 } from '../../kernel/ids.ts'
import { frame } from '../gateway/segment-frame.ts'
import { commitSegment, type SegmentKey } from './segment.ts'

/** 2001-01-01T08:30Z. */
export const AT_MS = Date.UTC(2001, 0, 1, 8, 30)

/** The identity record of one prediction, with an id of its time. */
export function recordOf(change: Partial<PredictionRecord> = {}): PredictionRecord {
  const atMs = change.atMs ?? AT_MS
  return predictionRecord.parse({
    id: uuidv7({ ...realClock, nowMs: () => atMs }),
    atMs,
    project: 'default',
    environment: 'production',
    route: 'delay',
    release: 'rel_1',
    epoch: 1,
    snapshot: 1,
    arm: 'champion',
    artifact: digestValue('one'),
    rows: 1,
    outputs: { p: [0.25] },
    ...change,
  })
}

export function segmentOf(records: readonly object[]): Buffer {
  return Buffer.concat(records.map((record) => frame(Buffer.from(JSON.stringify(record)))))
}

export function bootOf(letter: string): string {
  return `boot_${letter.repeat(32)}`
}

/** Stores and commits a segment as the endpoint does. False when it was there already. */
export async function shipSegment(
  ctx: Context,
  blobs: BlobStore,
  records: readonly PredictionRecord[],
  change: Partial<SegmentKey> = {},
): Promise<boolean> {
  const stored = await blobs.put(segmentOf(records))
  const key = { gateway: 'gw', boot: bootOf('a'), sequence: 0, ...change }
  return ctx.transaction((tx) => commitSegment(tx, blobs, key, stored, records))
}
