import { sql } from 'kysely'
import type { Context } from '../kernel/db/index.ts'
import { refusal } from './failure.ts'
import { LIMITS } from './limits.ts'
import { pageQuery, readPageToken, writePageToken } from './page-token.ts'
import { findRunRow } from './run.ts'
import type { MetricLatestRow } from './tables.ts'

export type MetricOfRun = MetricLatestRow & { run: string }

/** Points of one metric, by (time, step, value). Without `max` all of them, up to a million; none of a run that is not there. */
export async function metricHistory(
  ctx: Context,
  asked: { run: string; key: string; max?: number | undefined; pageToken?: string | undefined },
): Promise<{ points: MetricLatestRow[]; nextPageToken?: string }> {
  const run = await findRunRow(ctx, asked.run)
  const query = pageQuery('metric-history', [asked.run, asked.key])
  const after = readPageToken(asked.pageToken, query)
  if (!run) return { points: [] }
  const max = asked.max ?? 1_000_000
  let select = ctx.db
    .selectFrom('tracked_metric')
    .select(['project', 'run_no', 'key', 'ts_ms', 'step', 'value', 'is_nan'])
    .where('run_no', '=', run.no)
    .where('key', '=', asked.key)
    .orderBy('ts_ms')
    .orderBy('step')
    .orderBy('value')
    .orderBy('is_nan')
    .limit(max + 1)
  if (after) {
    const [ts, step, value, isNan] = after as [string, string, number | string, boolean]
    select = select.where(
      sql<boolean>`(ts_ms, step, value, is_nan) > (${ts}::bigint, ${step}::bigint, ${value}::float8, ${isNan}::boolean)`,
    )
  }
  const rows = await select.execute()
  const points = rows.slice(0, max)
  const last = points.at(-1)
  if (rows.length <= max || !last) return { points }
  return {
    points,
    nextPageToken: writePageToken(query, [String(last.ts_ms), String(last.step), printed(last.value), last.is_nan]),
  }
}

function printed(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

/** Of the runs that are there: an id of none has no points, as upstream. */
async function numbersOf(ctx: Context, runs: readonly string[]): Promise<Map<bigint, string>> {
  if (runs.length < 1 || runs.length > LIMITS.runIdsInHistory) {
    throw refusal(
      `GetMetricHistoryBulk request must specify at least one run_id and at most ${LIMITS.runIdsInHistory} run_ids. Got ${runs.length} run_ids.`,
    )
  }
  const rows = await ctx.db
    .selectFrom('tracked_run')
    .select(['no', 'id'])
    .where('project', '=', ctx.project)
    .where('id', 'in', [...runs])
    .execute()
  return new Map(rows.map(({ no, id }) => [no, id]))
}

export async function metricHistoryBulk(
  ctx: Context,
  asked: { runs: readonly string[]; key: string; max: number },
): Promise<MetricOfRun[]> {
  const numbers = await numbersOf(ctx, asked.runs)
  if (numbers.size === 0) return []
  const rows = await selectPoints(ctx, numbers, asked.key).limit(asked.max).execute()
  return rows.map((row) => ({ ...row, run: numbers.get(row.run_no)! }))
}

function selectPoints(ctx: Context, numbers: ReadonlyMap<bigint, string>, key: string) {
  return ctx.db
    .selectFrom('tracked_metric')
    .select(['project', 'run_no', 'key', 'ts_ms', 'step', 'value', 'is_nan'])
    .where('run_no', 'in', [...numbers.keys()])
    .where('key', '=', key)
    .orderBy('run_no')
    .orderBy('ts_ms')
    .orderBy('step')
    .orderBy('value')
}

/**
 * A sample of at most `max` steps and the last one, chosen over the steps of all runs, with the first and last step of
 * each run; every point at a chosen step.
 * @source MLflow: get-history-bulk-interval, as its REST suite pins it
 */
export async function metricHistorySample(
  ctx: Context,
  asked: { runs: readonly string[]; key: string; start?: bigint | undefined; end?: bigint | undefined; max: number },
): Promise<MetricOfRun[]> {
  const numbers = await numbersOf(ctx, asked.runs)
  if ((asked.start === undefined) !== (asked.end === undefined)) {
    throw refusal('If either start step or end step are specified, both must be specified.')
  }
  if (asked.start !== undefined && asked.end !== undefined && asked.start > asked.end) {
    throw refusal(
      `end_step must be greater than start_step. Found start_step=${asked.start} and end_step=${asked.end}.`,
    )
  }
  if (numbers.size === 0) return []
  let steps = ctx.db
    .selectFrom('tracked_metric')
    .select(['run_no', 'step'])
    .distinct()
    .where('run_no', 'in', [...numbers.keys()])
    .where('key', '=', asked.key)
  if (asked.start !== undefined && asked.end !== undefined)
    steps = steps.where('step', '>=', asked.start).where('step', '<=', asked.end)
  const chosen = sampleSteps(await steps.execute(), asked.max)
  if (chosen.length === 0) return []
  const rows = await selectPoints(ctx, numbers, asked.key).where('step', 'in', chosen).execute()
  return rows.map((row) => ({ ...row, run: numbers.get(row.run_no)! }))
}

export function sampleSteps(rows: readonly { run_no: bigint; step: bigint }[], max: number): bigint[] {
  const all = [...new Set(rows.map((row) => row.step))].sort((a, b) => (a < b ? -1 : 1))
  if (all.length <= max) return all
  const chosen = new Set<bigint>([all.at(-1)!])
  for (let i = 0; i < max; i++) chosen.add(all[Math.floor((i * all.length) / max)]!)
  for (const own of Map.groupBy(rows, (row) => row.run_no).values()) {
    let [low, high] = [own[0]!.step, own[0]!.step]
    for (const { step } of own) {
      if (step < low) low = step
      if (step > high) high = step
    }
    chosen.add(low).add(high)
  }
  return [...chosen]
}
