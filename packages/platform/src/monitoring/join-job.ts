import type { BlobStore } from '@plimsoll/sdk/seams'
import type { Tx } from '../kernel/db/index.ts'
import { enqueue, type JobHandler } from '../kernel/jobs/index.ts'
import { joinLabels } from './label.ts'

const KIND = 'monitoring.join_labels'
/** Predictions ship every few seconds; labels that come right after them find them then. */
const DELAY_MS = 2_000
const ROUNDS_MAX = 1_000

/** Asks for the labels that wait to be joined soon; once for all that come meanwhile. */
export async function requestJoin(tx: Tx): Promise<void> {
  await enqueue(tx, { kind: KIND, dedupeKey: 'labels', runAfterMs: DELAY_MS })
}

/** Joins labels of a project beside the requests; what it misses is joined when somebody looks. */
export function openLabelJoin(blobs: BlobStore): JobHandler {
  return {
    kind: KIND,
    run: async ({ ctx, signal }) => {
      for (let round = 0; round < ROUNDS_MAX && (await joinLabels(ctx, blobs)) > 0; round++) signal.throwIfAborted()
      return undefined
    },
  }
}
