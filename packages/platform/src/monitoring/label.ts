import type { BlobStore } from '@plimsoll/sdk/seams'
import { LOGGED_ROWS_MIN, type PredictionRecord } from '@plimsoll/sdk/wire'
import { type Insertable, type SqlBool, sql } from 'kysely'
import { type Context, databaseClock, type Tx } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { refuseFaults } from '../kernel/errors.ts'
import { uuidv7Ms } from '../kernel/ids.ts'
import { type FoundPredictions, findPredictions } from '../serving/index.ts'
import type { OutcomeRow } from './tables.ts'

export interface Label {
  prediction: string
  row: number
  label: number
  knownAtMs: number
}

const JOIN_BATCH = 2_000
/** A label in vain is looked up again after as long as it has waited, within these bounds. */
const RETRY_MS_MIN = 30_000
const RETRY_MS_MAX = 6 * 3_600_000

const keyOf = ({ prediction, row }: Pick<Label, 'prediction' | 'row'>) => `${prediction}\0${row}`

/** Which of two different labels of one row is true, nobody could tell later. */
function refuseContradictions(labels: readonly Label[]): void {
  const first = new Map<string, number>()
  refuseFaults(
    'monitoring.contradicting_labels',
    'Cannot take the labels: a row of a prediction has two different ones',
    labels.flatMap((label, index) => {
      const before = first.getOrInsert(keyOf(label), index)
      return labels[before]!.label === label.label
        ? []
        : [{ pointer: `/labels/${index}/label`, detail: `differs from /labels/${before}/label, of the same row` }]
    }),
  )
}

/**
 * Stores labels, also before their prediction has arrived; another one of the same row replaces the one before and is
 * joined again.
 * @throws invalid monitoring.bad_prediction_id, monitoring.contradicting_labels
 */
export async function recordLabels(tx: Tx, labels: readonly Label[]): Promise<void> {
  refuseFaults(
    'monitoring.bad_prediction_id',
    'Cannot take the labels: expected the ids that the gateway answered, UUIDs of version 7',
    labels.flatMap(({ prediction }, index) =>
      uuidv7Ms(prediction) === undefined
        ? [{ pointer: `/labels/${index}/prediction`, detail: 'is no UUID of version 7' }]
        : [],
    ),
  )
  refuseContradictions(labels)
  const unique = new Map(labels.map((label) => [keyOf(label), label]))
  const changed = await tx.db
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
      conflict
        .columns(['project', 'prediction', 'row_index'])
        .doUpdateSet((eb) => ({
          label: eb.ref('excluded.label'),
          known_at_ms: eb.ref('excluded.known_at_ms'),
          joined: false,
          received_at: databaseClock(),
          due_at: databaseClock(),
        }))
        .where((eb) =>
          eb.or([
            eb('prediction_label.label', '!=', eb.ref('excluded.label')),
            eb('prediction_label.known_at_ms', '!=', eb.ref('excluded.known_at_ms')),
          ]),
        ),
    )
    .returning(['prediction', 'row_index as row'])
    .execute()
  const changedKeys = new Set(changed.map(keyOf))
  const told = [...unique.values()].filter((label) => changedKeys.has(keyOf(label)))
  if (told.length < unique.size) await lookAgain(tx, [...unique.values()])
  if (told.length === 0) return
  // Who moves the live figures is named; the digest says by what.
  const data = { rows: told.length, digest: digestValue(told.map((label) => ({ ...label }))) }
  await tx.audit({ action: 'labels.put', subject: 'labels', data })
}

/** Who sends a label again that waits for its prediction may know that it has come. */
async function lookAgain(tx: Tx, labels: readonly Label[]): Promise<void> {
  await sql`update prediction_label l set due_at = ${databaseClock()}
    from unnest(${labels.map(({ prediction }) => prediction)}::text[], ${labels.map(({ row }) => row)}::int4[]) as s(prediction, row_index)
    where l.project = ${tx.project} and l.prediction = s.prediction and l.row_index = s.row_index and not l.joined`.execute(
    tx.db,
  )
}

/** The score of one row: the last of its values in the last numeric output, which for a binary classifier is the probability of the positive class. */
function scoreOf({ outputs, rows, loggedRows }: PredictionRecord, row: number): number | undefined {
  const logged = loggedRows ?? Math.min(rows, LOGGED_ROWS_MIN)
  if (row >= logged) return undefined
  for (const values of Object.values(outputs ?? {}).reverse()) {
    const width = values.length / logged
    const value = values[row * width + width - 1]
    if (Number.isInteger(width) && typeof value === 'number') return value
  }
  return undefined
}

interface WaitingLabel {
  prediction: string
  row_index: number
  label: number
  known_at_ms: bigint
}

type Found = FoundPredictions['found']

/** The score of an outcome whose row is not in the record: it is counted, and measures nothing. */
const NO_SCORE = Number.NaN

function outcomeOf(ctx: Context, label: WaitingLabel, found: Found): Insertable<OutcomeRow> | undefined {
  const record = found.get(label.prediction)?.record
  if (!record) return undefined
  const { environment, route, release, arm, artifact } = record
  return {
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
    score: scoreOf(record, label.row_index) ?? NO_SCORE,
    label: label.label,
  }
}

/** A label that was replaced meanwhile is not the one that was read: it stays, and is joined by the next call. */
async function settle(tx: Tx, labels: readonly WaitingLabel[]): Promise<void> {
  if (labels.length === 0) return
  const keys = labels.map(
    ({ prediction, row_index, label, known_at_ms }) =>
      sql`(${prediction}, ${row_index}::integer, ${label}::double precision, ${known_at_ms}::bigint)`,
  )
  await sql`update prediction_label set joined = true where project = ${tx.project}
    and (prediction, row_index, label, known_at_ms) in (${sql.join(keys)})`.execute(tx.db)
}

async function postpone(tx: Tx, labels: readonly WaitingLabel[]): Promise<void> {
  if (labels.length === 0) return
  const keys = labels.map(({ prediction, row_index }) => sql`(${prediction}, ${row_index}::integer)`)
  const now = databaseClock()
  const millisecond = sql`interval '1 millisecond'`
  await sql`update prediction_label set due_at = ${now} + greatest(${RETRY_MS_MIN}::float8 * ${millisecond},
      least(${RETRY_MS_MAX}::float8 * ${millisecond}, ${now} - received_at))
    where project = ${tx.project} and not joined and (prediction, row_index) in (${sql.join(keys)})`.execute(tx.db)
}

/** Labels that wait, those whose turn is next first. */
function waitingLabels(ctx: Context) {
  return ctx.db
    .selectFrom('prediction_label')
    .select(['prediction', 'row_index', 'label', 'known_at_ms'])
    .where('project', '=', ctx.project)
    .where('joined', '=', false)
    .orderBy('due_at')
    .orderBy('prediction')
    .limit(JOIN_BATCH)
}

const isDue = sql<SqlBool>`due_at <= ${databaseClock()}`

/** Projects with labels whose turn has come. */
export async function projectsWithDueLabels(ctx: Context): Promise<string[]> {
  const rows = await ctx.db
    .selectFrom('prediction_label')
    .select('project')
    .distinct()
    .where('joined', '=', false)
    .where(isDue)
    .execute()
  return rows.map((row) => row.project)
}

/**
 * Joins labels that wait with the predictions that have arrived, whether it is their turn or not. Returns how many were
 * joined. A label of a row whose outputs were not logged has nothing to join and is settled without a score; one without
 * a prediction waits behind those that were not looked up yet.
 */
export async function joinLabels(ctx: Context, blobs: BlobStore): Promise<number> {
  return joinBatch(ctx, blobs, await waitingLabels(ctx).execute())
}

/** The same for labels whose turn has come. Returns how many were looked up: none means that all were. */
export async function joinDueLabels(ctx: Context, blobs: BlobStore): Promise<number> {
  const due = await waitingLabels(ctx).where(isDue).execute()
  await joinBatch(ctx, blobs, due)
  return due.length
}

async function joinBatch(ctx: Context, blobs: BlobStore, waiting: readonly WaitingLabel[]): Promise<number> {
  if (waiting.length === 0) return 0
  const { found } = await findPredictions(ctx, blobs, new Set(waiting.map((label) => label.prediction)))
  const outcomes = waiting.flatMap((label) => outcomeOf(ctx, label, found) ?? [])
  await ctx.transaction(async (tx) => {
    if (outcomes.length > 0)
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
    await settle(
      tx,
      waiting.filter(({ prediction }) => found.has(prediction)),
    )
    await postpone(
      tx,
      waiting.filter(({ prediction }) => !found.has(prediction)),
    )
  })
  return outcomes.filter(({ score }) => !Number.isNaN(score)).length
}
