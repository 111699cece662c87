import type { BlobStore } from '@plimsoll/sdk/seams'
import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import { findPredictions } from '../serving/index.ts'
import './tables.ts'

export interface Label {
  prediction: string
  row: number
  label: number
  knownAtMs: number
}

const JOIN_BATCH = 2_000

/** Stores labels; a repeated one replaces the one before and is joined again. */
export async function recordLabels(tx: Tx, labels: readonly Label[]): Promise<void> {
  const unique = new Map(labels.map((label) => [`${label.prediction}\0${label.row}`, label]))
  await tx.db
    .insertInto('prediction_label')
    .values(
      [...unique.values()].map((label) => ({
        project: tx.project,
        prediction: label.prediction,
        row_index: label.row,
        label: label.label,
        known_at_ms: BigInt(Math.floor(label.knownAtMs)),
        joined: false,
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['project', 'prediction', 'row_index']).doUpdateSet((eb) => ({
        label: eb.ref('excluded.label'),
        known_at_ms: eb.ref('excluded.known_at_ms'),
        joined: false,
      })),
    )
    .execute()
}

/** The score of one row: the last of its values in the last numeric output, which for a binary classifier is the probability of the positive class. */
function scoreOf(
  outputs: Record<string, readonly unknown[]> | undefined,
  rows: number,
  row: number,
): number | undefined {
  for (const values of Object.values(outputs ?? {}).reverse()) {
    const logged = Math.min(rows, 64)
    const width = values.length / logged
    const value = values[row * width + width - 1]
    if (Number.isInteger(width) && typeof value === 'number') return value
  }
  return undefined
}

/** Joins labels that wait with the predictions that have arrived. Returns how many were joined; the rest waits. */
export async function joinLabels(ctx: Context, blobs: BlobStore): Promise<number> {
  const waiting = await ctx.db
    .selectFrom('prediction_label')
    .select(['prediction', 'row_index', 'label', 'known_at_ms'])
    .where('project', '=', ctx.project)
    .where('joined', '=', false)
    .orderBy('prediction')
    .limit(JOIN_BATCH)
    .execute()
  if (waiting.length === 0) return 0
  const found = await findPredictions(ctx, blobs, new Set(waiting.map((label) => label.prediction)))
  const outcomes = waiting.flatMap((label) => {
    const record = found.get(label.prediction)?.record
    const score = record && scoreOf(record.outputs, record.rows, label.row_index)
    if (!record || score === undefined) return []
    const { environment, route, release, arm, artifact } = record
    return [
      {
        project: ctx.project,
        prediction: label.prediction,
        row_index: label.row_index,
        environment,
        route,
        release,
        arm,
        artifact,
        at_ms: BigInt(Math.floor(record.atMs)),
        known_at_ms: label.known_at_ms,
        score,
        label: label.label,
      },
    ]
  })
  if (outcomes.length === 0) return 0
  await ctx.transaction(async (tx) => {
    await tx.db
      .insertInto('outcome')
      .values(outcomes)
      .onConflict((conflict) =>
        conflict.columns(['project', 'prediction', 'row_index']).doUpdateSet((eb) => ({
          label: eb.ref('excluded.label'),
          score: eb.ref('excluded.score'),
          known_at_ms: eb.ref('excluded.known_at_ms'),
        })),
      )
      .execute()
    const keys = outcomes.map((outcome) => sql`(${outcome.prediction}, ${outcome.row_index}::integer)`)
    await sql`update prediction_label set joined = true where project = ${tx.project} and (prediction, row_index) in (${sql.join(keys)})`.execute(
      tx.db,
    )
  })
  return outcomes.length
}
