import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ColumnType, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand } from '../kernel/step-kind.ts'
import { outputPath, readDatasetInput, writeDatasetOutput, writeJson } from './step-files.ts'
import { type TrainingSetReport, type TrainingSetSpec, trainingSetSpec } from './training-set-spec.ts'
import { type JoinedView, writePointInTimeJoin } from './training-set-sql.ts'
import { planView, quoteName } from './view-plan.ts'

function featureType(view: FeatureViewDefinition, feature: string): ColumnType {
  const { type } = view.features[feature]!
  return { type, nullable: true, ...(type === 'timestamp' ? { zone: 'UTC' } : {}) }
}

function schemaOfResult(spec: TrainingSetSpec): Record<string, ColumnType> {
  const schema: Record<string, ColumnType> = {}
  for (const column of spec.spineColumns) {
    const type = spec.spineSchema[column]!
    schema[column] = type.type === 'timestamp' ? { ...type, zone: 'UTC' } : type
  }
  for (const { view, features } of spec.views)
    for (const { name, feature } of features) schema[name] = featureType(view, feature)
  return schema
}

/** The heavy part of `training-set`. */
export async function runTrainingSetCommand(command: StepCommand): Promise<void> {
  const spec = trainingSetSpec.parse(command.spec)
  const engine = await command.engine()
  if (engine.dialect !== 'duckdb')
    throw new PlimsollError(
      'unsupported',
      'features.dialect',
      `Cannot make a training set with the engine "${engine.dialect}"`,
    )
  const spine = await readDatasetInput(command, 'spine')
  const views = []
  for (const { view, entity, input, spineKeys, features } of spec.views) {
    const { manifest, relation } = await readDatasetInput(command, input)
    const plan = planView(
      view,
      entity,
      features.map(({ feature }) => feature),
      spec.asOfUs === null ? undefined : BigInt(spec.asOfUs),
    )
    views.push({ plan, source: relation, schema: manifest.schema, spineKeys, names: features.map(({ name }) => name) })
  }
  const directory = outputPath(command, 'set')
  const workDir = join(command.workDir, 'training-set')
  await mkdir(workDir, { recursive: true })
  const { files, rowCount } = await writePointInTimeJoin({
    engine,
    spine: spine.relation,
    spineColumns: spec.spineColumns,
    spineTime: spec.time,
    views,
    workDir,
    output: directory,
    signal: command.signal,
    progress: command.progress,
  })
  const { report, lacking } = await describe(command, spec, views, { files, rowCount })
  const schema = schemaOfResult(spec)
  await writeDatasetOutput(command, { name: 'set', manifest: 'manifest', schema, file: files[0]!, rows: rowCount })
  await writeJson(outputPath(command, 'report'), report as unknown as Json) // plain data by its schema
  const made = `${countText(rowCount, 'row')} with ${countText(Object.keys(report.features).length, 'feature')}`
  command.progress(1, lacking === 0 ? made : `${made}; ${lacking} without a key or time, whose features are null`)
}

const anyIsNull = (columns: readonly string[]) => columns.map((column) => `${quoteName(column)} IS NULL`).join(' OR ')

const rowsWhere = (condition: string) => `count(*) FILTER (WHERE ${condition})`

/** What stands against the result being whole: rows without a time, a key or a value. */
async function countGaps(
  command: StepCommand,
  spec: TrainingSetSpec,
  files: readonly string[],
  names: readonly string[],
) {
  const engine = await command.engine()
  const time = quoteName(spec.time)
  const keys = spec.views.map(({ spineKeys }) => anyIsNull(spineKeys))
  const without = [anyIsNull([spec.time]), ...keys]
  const columns = [
    `epoch_us(min(${time})), epoch_us(max(${time}))`,
    rowsWhere(without.join(' OR ')),
    ...without.map(rowsWhere),
    ...names.map((name) => rowsWhere(anyIsNull([name]))),
  ]
  const { rows } = await engine.rows({
    sql: `SELECT ${columns.join(', ')} FROM made`,
    inputs: { made: { format: 'parquet', files } },
    signal: command.signal,
  })
  const [first, last, ...counts] = rows[0] ?? []
  const [lacking = 0, rowsWithoutTime = 0, ...rest] = counts.map(Number)
  return {
    timesUs: first == null || last == null ? null : ([String(first), String(last)] as [string, string]),
    /** Of any of them. */
    lacking,
    rowsWithoutTime,
    rowsWithoutKey: rest.slice(0, keys.length),
    nulls: rest.slice(keys.length),
  }
}

type ReadView = Pick<JoinedView, 'source' | 'plan'>

/** By view, the rows of its source that no row of the spine can see; a source of several views is read once. */
async function countLeftOut(
  command: StepCommand,
  spec: TrainingSetSpec,
  views: readonly ReadView[],
): Promise<number[]> {
  const engine = await command.engine()
  const leftOut: number[] = []
  for (const places of Map.groupBy(views.keys(), (at) => spec.views[at]!.input).values()) {
    const counts = places.map((at) => {
      const { keyColumns, eventTime } = views[at]!.plan
      return rowsWhere(anyIsNull([...keyColumns, eventTime]))
    })
    const { rows } = await engine.rows({
      sql: `SELECT ${counts.join(', ')} FROM source`,
      inputs: { source: views[places[0]!]!.source },
      signal: command.signal,
    })
    for (const [index, at] of places.entries()) leftOut[at] = Number(rows[0]![index])
  }
  return leftOut
}

async function describe(
  command: StepCommand,
  spec: TrainingSetSpec,
  views: readonly ReadView[],
  { files, rowCount }: { files: readonly string[]; rowCount: number },
): Promise<{ report: TrainingSetReport; lacking: number }> {
  const names = spec.views.flatMap(({ features }) => features.map(({ name }) => name))
  const { timesUs, lacking, rowsWithoutTime, rowsWithoutKey, nulls } = await countGaps(command, spec, files, names)
  const leftOut = await countLeftOut(command, spec, views)
  const report: TrainingSetReport = {
    rows: rowCount,
    timesUs,
    asOfUs: spec.asOfUs,
    service: { name: spec.service, digest: spec.serviceDigest },
    rowsWithoutTime,
    views: spec.views.map(({ view, viewVersion, input }, index) => ({
      name: view.name,
      version: viewVersion,
      source: command.inputs[input]?.digest ?? '',
      rowsWithoutKey: rowsWithoutKey[index]!,
      sourceRowsLeftOut: leftOut[index]!,
    })),
    features: Object.fromEntries(
      names.map((name, index) => [
        name,
        { nulls: nulls[index]!, nullRate: rowCount === 0 ? 0 : nulls[index]! / rowCount },
      ]),
    ),
  }
  return { report, lacking }
}
