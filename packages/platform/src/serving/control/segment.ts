import type { BlobStore } from '@plimsoll/sdk/seams'
import { type PredictionRecord, predictionRecord } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { pinBlobs, readBlob } from '../../kernel/blob/index.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { PlimsollError, toPlimsollError } from '../../kernel/errors.ts'
import { uuidv7Ms } from '../../kernel/ids.ts'
import { readFrames } from '../gateway/index.ts'
import './tables.ts'

const HOUR_MS = 3_600_000
export const SEGMENT_BYTES_MAX = 64 << 20
const SEGMENTS_SEARCHED_MAX = 2_000

export interface SegmentKey {
  gateway: string
  boot: string
  sequence: number
}

/** Who holds the bytes of a segment. */
export function segmentOwner({ gateway, boot, sequence }: SegmentKey): string {
  return `segment:${gateway}/${boot}/${sequence}`
}

/** Undefined, which is no record, for what is no JSON. */
function parseRecord(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'))
  } catch {
    return undefined
  }
}

const ID_OPENING = Buffer.from('{"id":"')
const ID_BYTES = 36

/** False for what cannot be a record of one of the ids. The gateway writes the id first; of another order nothing is known. */
function mayBeOf(payload: Buffer, ids: ReadonlySet<string>): boolean {
  const start = ID_OPENING.length
  return !payload.subarray(0, start).equals(ID_OPENING) || ids.has(payload.toString('latin1', start, start + ID_BYTES))
}

/**
 * All records of a segment, or those of the given ids at least: the others were read when it came.
 * @throws invalid serving.segment_damaged
 */
export function decodeSegment(bytes: Uint8Array, ids?: ReadonlySet<string>): PredictionRecord[] {
  const { payloads, wholeBytes } = readFrames(bytes)
  if (wholeBytes !== bytes.length)
    throw new PlimsollError(
      'invalid',
      'serving.segment_damaged',
      `Cannot read the segment: ${bytes.length - wholeBytes} of ${bytes.length} bytes are no whole frame`,
    )
  return payloads.flatMap((payload, index) => {
    if (ids && !mayBeOf(payload, ids)) return []
    const parsed = predictionRecord.safeParse(parseRecord(payload))
    if (!parsed.success)
      throw new PlimsollError(
        'invalid',
        'serving.segment_damaged',
        `Cannot read record ${index} of the segment: ${parsed.error.issues[0]?.message}`,
      )
    return parsed.data
  })
}

interface Counted {
  record: PredictionRecord
  hourMs: number
  predictions: number
  rows: number
}

function countRecords(records: readonly PredictionRecord[]): Counted[] {
  const counted = new Map<string, Counted>()
  for (const record of records) {
    const hourMs = Math.floor(record.atMs / HOUR_MS) * HOUR_MS
    const key = JSON.stringify([record.project, record.environment, record.route, record.release, record.arm, hourMs])
    const entry = counted.get(key) ?? { record, hourMs, predictions: 0, rows: 0 }
    entry.predictions++
    entry.rows += record.rows
    counted.set(key, entry)
  }
  return [...counted].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
}

/** Takes a stored segment in, once by its key: a repeat changes nothing. */
export async function commitSegment(
  tx: Tx,
  blobs: BlobStore,
  key: SegmentKey,
  stored: { digest: string; sizeBytes: number },
  records: readonly PredictionRecord[],
): Promise<boolean> {
  // A prediction is looked for by the time of its id, which comes before that of its features: under a replay clock by hours.
  const times = records.flatMap(({ id, atMs }) => [atMs, uuidv7Ms(id) ?? atMs])
  const inserted = await tx.db
    .insertInto('prediction_segment')
    .values({
      ...key,
      project: tx.project,
      digest: stored.digest,
      size_bytes: BigInt(stored.sizeBytes),
      records: records.length,
      first_ms: BigInt(Math.floor(times.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY))),
      last_ms: BigInt(Math.ceil(times.reduce((a, b) => Math.max(a, b), 0))),
    })
    .onConflict((conflict) => conflict.columns(['gateway', 'boot', 'sequence']).doNothing())
    .executeTakeFirst()
  if (inserted.numInsertedOrUpdatedRows === 0n) return false
  await pinBlobs(tx, blobs, { owner: segmentOwner(key), digests: [stored.digest] })
  for (const { record, hourMs, predictions, rows } of countRecords(records)) {
    const { project, environment, route, release, arm, artifact } = record
    await tx.db
      .insertInto('prediction_count')
      .values({
        project,
        environment,
        route,
        release,
        arm,
        artifact,
        hour_ms: BigInt(hourMs),
        predictions: BigInt(predictions),
        row_count: BigInt(rows),
      })
      .onConflict((conflict) =>
        conflict.columns(['project', 'environment', 'route', 'release', 'arm', 'hour_ms']).doUpdateSet((eb) => ({
          predictions: eb('prediction_count.predictions', '+', BigInt(predictions)),
          row_count: eb('prediction_count.row_count', '+', BigInt(rows)),
        })),
      )
      .execute()
  }
  return true
}

export interface FoundPredictions {
  readonly found: ReadonlyMap<string, { record: PredictionRecord; segment: string }>
  /** Segments that could have held more and cannot be read. */
  readonly damaged: readonly DamagedSegment[]
}

export interface DamagedSegment {
  readonly segment: string
  readonly state: 'altered' | 'missing'
  readonly problem: string
}

/**
 * Records of the given predictions, found by the time that their ids carry. Those not shipped yet are absent. A segment
 * that cannot be read takes only its own predictions with it. Its bytes are read whole: it has one digest, and a part of
 * it could have been altered unseen.
 */
export async function findPredictions(
  ctx: Context,
  blobs: BlobStore,
  ids: ReadonlySet<string>,
): Promise<FoundPredictions> {
  const found = new Map<string, { record: PredictionRecord; segment: string }>()
  const damaged: DamagedSegment[] = []
  const times = [...ids].map(uuidv7Ms).filter((ms) => ms !== undefined)
  if (times.length === 0) return { found, damaged }
  const segments = await ctx.db
    .selectFrom('prediction_segment')
    .select('digest')
    .where(
      sql<boolean>`exists (select from unnest(${`{${times.join(',')}}`}::bigint[]) as t (ms)
        where t.ms between first_ms and last_ms)`,
    )
    .orderBy('first_ms')
    .limit(SEGMENTS_SEARCHED_MAX)
    .execute()
  for (const { digest } of segments) {
    if (found.size === ids.size) break
    try {
      for (const record of decodeSegment(await readBlob(blobs, digest, { maxBytes: SEGMENT_BYTES_MAX }), ids)) {
        if (record.project === ctx.project && ids.has(record.id)) found.set(record.id, { record, segment: digest })
      }
    } catch (thrown) {
      const error = toPlimsollError(thrown)
      ctx.log.error({ segment: digest, error: error.message }, 'a segment of predictions cannot be read')
      damaged.push({
        segment: digest,
        state: error.code === 'blob.missing' ? 'missing' : 'altered',
        problem: error.message,
      })
    }
  }
  return { found, damaged }
}

/**
 * The record of a prediction, or the segment that should hold it and cannot be read.
 * @throws invalid serving.bad_prediction_id · not_found serving.prediction_unknown
 */
export async function lookUpPrediction(
  ctx: Context,
  blobs: BlobStore,
  id: string,
): Promise<{ record: PredictionRecord; segment: string } | DamagedSegment> {
  if (uuidv7Ms(id) === undefined) {
    throw new PlimsollError(
      'invalid',
      'serving.bad_prediction_id',
      `Cannot find prediction "${id.slice(0, 80)}": expected the id that the gateway answered, a UUID of version 7`,
    )
  }
  const { found, damaged } = await findPredictions(ctx, blobs, new Set([id]))
  const prediction = found.get(id)
  if (prediction) return prediction
  if (damaged[0]) return damaged[0]
  throw new PlimsollError(
    'not_found',
    'serving.prediction_unknown',
    `Cannot find prediction ${id}: no segment of its time holds it`,
    {
      action:
        'A fresh prediction arrives within seconds: try again. Of another platform, name that one with --server or --data-dir',
    },
  )
}

/** @throws conflict serving.segment_unreadable, and as `lookUpPrediction` */
export async function requirePrediction(
  ctx: Context,
  blobs: BlobStore,
  id: string,
): Promise<{ record: PredictionRecord; segment: string }> {
  const looked = await lookUpPrediction(ctx, blobs, id)
  if ('record' in looked) return looked
  throw new PlimsollError(
    'conflict',
    'serving.segment_unreadable',
    `Cannot read prediction ${id}: the segment of its time is ${looked.state}. ${looked.problem}`,
    { segment: looked.segment, action: 'Restore the blob from a backup; what was served before and after can be read' },
  )
}
