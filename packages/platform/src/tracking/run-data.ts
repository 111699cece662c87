import type { Context } from '../kernel/db/index.ts'
import type { Pair } from './experiment.ts'
import type { RunRow, TrackedRun } from './run.ts'
import type { MetricLatestRow } from './tables.ts'

export interface RunDataset {
  readonly name: string
  readonly digest: string
  readonly source_type: string
  readonly source: string
  readonly schema: string | null
  readonly profile: string | null
  readonly tags: readonly Pair[]
}

export interface RunModel {
  readonly direction: 'input' | 'output'
  readonly model: string
  readonly step: bigint
}

export interface RunData {
  readonly params: readonly Pair[]
  /** The latest value of each metric. */
  readonly metrics: readonly MetricLatestRow[]
  readonly tags: readonly Pair[]
  readonly datasets: readonly RunDataset[]
  readonly models: readonly RunModel[]
}

/** Adds to each run what belongs to it: five queries for a page of any length. */
export async function readRunData(ctx: Context, rows: readonly RunRow[]): Promise<TrackedRun[]> {
  if (rows.length === 0) return []
  const numbers = rows.map((row) => row.no)
  const { db } = ctx
  const params = await db
    .selectFrom('tracked_param')
    .selectAll()
    .where('run_no', 'in', numbers)
    .orderBy('key')
    .execute()
  const tags = await db.selectFrom('tracked_tag').selectAll().where('run_no', 'in', numbers).orderBy('key').execute()
  const metrics = await db
    .selectFrom('tracked_metric_latest')
    .selectAll()
    .where('run_no', 'in', numbers)
    .orderBy('key')
    .execute()
  const datasets = await db
    .selectFrom('tracked_input as i')
    .innerJoin('tracked_dataset as d', 'd.no', 'i.dataset_no')
    .select(['i.run_no', 'i.tags', 'd.name', 'd.digest', 'd.source_type', 'd.source', 'd.schema', 'd.profile'])
    .where('i.run_no', 'in', numbers)
    .orderBy('i.no')
    .execute()
  const models = await db
    .selectFrom('tracked_model_link')
    .selectAll()
    .where('run_no', 'in', numbers)
    .orderBy('no')
    .execute()
  const of = <T extends { run_no: bigint }>(items: readonly T[]) => Map.groupBy(items, (item) => item.run_no)
  const [byParam, byTag, byMetric, byDataset, byModel] = [of(params), of(tags), of(metrics), of(datasets), of(models)]
  return rows.map((row) => ({
    ...row,
    params: byParam.get(row.no) ?? [],
    tags: byTag.get(row.no) ?? [],
    metrics: byMetric.get(row.no) ?? [],
    datasets: byDataset.get(row.no) ?? [],
    models: byModel.get(row.no) ?? [],
  }))
}
