import type { BlobStore } from '@plimsoll/sdk/seams'
import type { Tx } from '../kernel/db/index.ts'
import { enqueue, type JobHandler, type Schedule } from '../kernel/jobs/index.ts'
import { joinDueLabels, projectsWithDueLabels } from './label.ts'

const KIND = 'monitoring.join_labels'
const SWEEP_KIND = 'monitoring.sweep_labels'
/** Predictions ship every few seconds; labels that come right after them find them then. */
const DELAY_MS = 2_000
const SWEEP_MS = 60_000
const ROUNDS_MAX = 1_000

/** Asks for the labels that wait to be joined soon; once for all that come meanwhile. */
export async function requestJoin(tx: Tx, runAfterMs = DELAY_MS): Promise<void> {
  await enqueue(tx, { kind: KIND, dedupeKey: 'labels', runAfterMs })
}

export interface LabelJoin {
  readonly handlers: readonly JobHandler[]
  readonly schedules: readonly Schedule[]
}

/**
 * Joins labels of a project beside the requests. What a join misses, since the prediction was not there yet or the label
 * came while the join ran, is found by a sweep that asks for the next one: each label is looked up within a minute of
 * its turn, until it is joined or forgotten.
 */
export function openLabelJoin(blobs: BlobStore): LabelJoin {
  return {
    handlers: [
      {
        kind: KIND,
        run: async ({ ctx, signal }) => {
          for (let round = 0; round < ROUNDS_MAX && (await joinDueLabels(ctx, blobs)) > 0; round++)
            signal.throwIfAborted()
          return undefined
        },
      },
      {
        kind: SWEEP_KIND,
        run: async ({ ctx, signal }) => {
          for (const project of await projectsWithDueLabels(ctx)) {
            signal.throwIfAborted()
            await ctx.as({ project }).transaction((tx) => requestJoin(tx, 0))
          }
          return undefined
        },
      },
    ],
    schedules: [{ name: SWEEP_KIND, kind: SWEEP_KIND, everyMs: SWEEP_MS }],
  }
}
