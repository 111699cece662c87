import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ColumnType, FeatureViewDefinition } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { StepCommand } from '../kernel/step-kind.ts'
import { outputPath, readDatasetInput, writeDatasetOutput, writeJson } from './step-files.ts'
import { type TrainingSetReport, type TrainingSetSpec, trainingSetSpec } from './training-set-spec.ts'
import { writePointInTimeJoin } from './training-set-sql.ts'
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
  const report = await describe(command, spec, files, rowCount)
  const schema = schemaOfResult(spec)
  await writeDatasetOutput(command, { name: 'set', manifest: 'manifest', schema, file: files[0]!, rows: rowCount })
  await writeJson(outputPath(command, 'report'), report as unknown as Json) // plain data by its schema
  command.progress(1, `${countText(rowCount, 'row')} with ${countText(Object.keys(report.features).length, 'feature')}`)
}

async function describe(
  command: StepCommand,
  spec: TrainingSetSpec,
  files: readonly string[],
  rows: number,
): Promise<TrainingSetReport> {
  const engine = await command.engine()
  const names = spec.views.flatMap(({ features }) => features.map(({ name }) => name))
  const counts = names.map((name) => `count(*) - count(${quoteName(name)})`)
  const time = quoteName(spec.time)
  const { rows: found } = await engine.rows({
    sql: `SELECT epoch_us(min(${time})), epoch_us(max(${time}))${counts.map((count) => `, ${count}`).join('')} FROM made`,
    inputs: { made: { format: 'parquet', files } },
    signal: command.signal,
  })
  const [first, last, ...nulls] = found[0] ?? []
  return {
    rows,
    timesUs: first == null || last == null ? null : [String(first), String(last)],
    asOfUs: spec.asOfUs,
    service: { name: spec.service, digest: spec.serviceDigest },
    views: spec.views.map(({ view, viewVersion, input }) => ({
      name: view.name,
      version: viewVersion,
      source: command.inputs[input]?.digest ?? '',
    })),
    features: Object.fromEntries(
      names.map((name, index) => [
        name,
        { nulls: Number(nulls[index]), nullRate: rows === 0 ? 0 : Number(nulls[index]) / rows },
      ]),
    ),
  }
}
