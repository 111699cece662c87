import { sql } from 'kysely'
import type { Context, Tx } from '../kernel/db/index.ts'
import type { Pair } from './experiment.ts'
import { refusal } from './failure.ts'
import { checkInstant, checkKey, cutText, LIMITS } from './limits.ts'
import { acceptRunTag, lockWritableRun, type RunRow, upsertTags } from './run.ts'

export interface MetricPoint {
  readonly key: string
  readonly value: number
  readonly timestampMs: bigint
  readonly step: bigint
  readonly model?: string | undefined
  readonly datasetName?: string | undefined
  readonly datasetDigest?: string | undefined
}

export interface Batch {
  readonly metrics?: readonly MetricPoint[] | undefined
  readonly params?: readonly Pair[] | undefined
  readonly tags?: readonly Pair[] | undefined
}

/**
 * Writes metrics, params and tags of a run, all or nothing. Equal metric points and equal params are no-ops, so that the
 * client may send a batch again.
 */
export async function logBatch(ctx: Context, id: string, batch: Batch): Promise<void> {
  const { metrics, params, tags } = acceptBatch(batch)
  await ctx.transaction(async (tx) => {
    const run = await lockWritableRun(tx, id)
    if (params.length > 0) await insertParams(tx, run, params)
    if (metrics.length > 0) await insertMetrics(tx, run, metrics)
    await upsertTags(tx, run, tags)
  })
}

/** The batch as it is stored: long values are cut before they are compared with what is there. */
function acceptBatch({ metrics = [], params = [], tags = [] }: Batch): {
  [K in keyof Batch]-?: NonNullable<Batch[K]>
} {
  const total = metrics.length + params.length + tags.length
  refuseOver('metrics', metrics.length, LIMITS.batchMetrics)
  refuseOver('params', params.length, LIMITS.batchParams)
  refuseOver('tags', tags.length, LIMITS.batchTags)
  if (total > LIMITS.batchItems) {
    throw refusal(
      `A batch logging request can contain at most ${LIMITS.batchItems} metrics, params, and tags. Got ${total}.`,
    )
  }
  const keys = new Set<string>()
  metrics.forEach((metric, index) => {
    if (!keys.has(metric.key)) checkKey(metric.key, `metrics[${index}].key`)
    keys.add(metric.key)
    checkInstant(metric.timestampMs, `metrics[${index}].timestamp`)
  })
  const names = new Set<string>()
  params.forEach((param, index) => {
    checkKey(param.key, `params[${index}].key`)
    if (names.has(param.key)) throw refusal(`Duplicate parameter keys have been submitted: ${param.key}`)
    names.add(param.key)
  })
  return {
    metrics,
    params: params.map(({ key, value }) => ({ key, value: cutText(value, LIMITS.paramValue) })),
    tags: tags.map((tag, index) => acceptRunTag(tag, `tags[${index}].key`)),
  }
}

function refuseOver(what: string, count: number, max: number): void {
  if (count > max)
    throw refusal(
      `A batch logging request can contain at most ${max} ${what}. Got ${count} ${what}. Please split up ${what} across multiple requests and try again.`,
    )
}

async function insertParams(tx: Tx, run: RunRow, params: readonly Pair[]): Promise<void> {
  const inserted = await tx.db
    .insertInto('tracked_param')
    .values(params.map((param) => ({ project: tx.project, run_no: run.no, key: param.key, value: param.value })))
    .onConflict((conflict) => conflict.columns(['run_no', 'key']).doNothing())
    .returning('key')
    .execute()
  if (inserted.length === params.length) return
  const fresh = new Set(inserted.map((row) => row.key))
  const known = params.filter((param) => !fresh.has(param.key))
  const rows = await tx.db
    .selectFrom('tracked_param')
    .select(['key', 'value'])
    .where('run_no', '=', run.no)
    .where(
      'key',
      'in',
      known.map((param) => param.key),
    )
    .execute()
  const stored = new Map(rows.map((row) => [row.key, row.value]))
  const clash = known.find((param) => stored.get(param.key) !== param.value)
  if (clash) {
    throw refusal(
      `Changing param values is not allowed. Param with key='${clash.key}' was already logged with value='${stored.get(clash.key)}' for run ID='${run.id}'. Attempted logging new value '${clash.value}'.`,
    )
  }
}

interface StoredPoint {
  k: string
  t: string
  s: string
  v: number | string
  n: boolean
  m: string | null
  dn: string | null
  dd: string | null
}

function stored(point: MetricPoint): StoredPoint {
  const isNan = Number.isNaN(point.value)
  const value = isNan ? 0 : Number.isFinite(point.value) ? point.value : String(point.value)
  return {
    k: point.key,
    t: point.timestampMs.toString(),
    s: point.step.toString(),
    // -0 and 0 are one value, as in the database's comparison
    v: value === 0 ? 0 : value,
    n: isNan,
    m: point.model || null,
    dn: point.datasetName || null,
    dd: point.datasetDigest || null,
  }
}

/** True when `a` is later than `b`: by step, then time, then value. */
function isLater(a: MetricPoint, b: MetricPoint): boolean {
  if (a.step !== b.step) return a.step > b.step
  if (a.timestampMs !== b.timestampMs) return a.timestampMs > b.timestampMs
  return (Number.isNaN(a.value) ? 0 : a.value) >= (Number.isNaN(b.value) ? 0 : b.value)
}

/** Two statements for any number of points: the history, then one row per key of the latest values. */
async function insertMetrics(tx: Tx, run: RunRow, points: readonly MetricPoint[]): Promise<void> {
  const rows = JSON.stringify(points.map(stored))
  await sql`insert into tracked_metric (project, run_no, key, ts_ms, step, value, is_nan, model, dataset_name, dataset_digest)
    select ${tx.project}, ${run.no}::bigint, k, t, s, v, n, m, dn, dd
    from json_to_recordset(${rows}::json) as p(k text, t bigint, s bigint, v float8, n boolean, m text, dn text, dd text)
    on conflict do nothing`.execute(tx.db)
  const latest = new Map<string, MetricPoint>()
  for (const point of points) {
    const known = latest.get(point.key)
    if (!known || isLater(point, known)) latest.set(point.key, point)
  }
  // sorted: every writer takes the rows in one order
  const keys = [...latest.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  await sql`insert into tracked_metric_latest as l (project, run_no, key, ts_ms, step, value, is_nan)
    select ${tx.project}, ${run.no}::bigint, k, t, s, v, n
    from json_to_recordset(${JSON.stringify(keys.map(stored))}::json) as p(k text, t bigint, s bigint, v float8, n boolean)
    on conflict (run_no, key) do update
      set ts_ms = excluded.ts_ms, step = excluded.step, value = excluded.value, is_nan = excluded.is_nan
      where (excluded.step, excluded.ts_ms, excluded.value) >= (l.step, l.ts_ms, l.value)`.execute(tx.db)
}
