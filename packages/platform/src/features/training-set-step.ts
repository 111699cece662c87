import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type ColumnType, datasetManifest, type FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { findDataset, registerVersion, requireVersion } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Fault, PlimsollError, refuseFaults } from '../kernel/errors.ts'
import type { StepCommand, StepKind, StepOutput, StepResult } from '../kernel/step-kind.ts'
import { checkView, requireFeatureService, type ServiceMember } from './declare.ts'
import {
  inputName,
  outputPath,
  parseParams,
  readDatasetInput,
  requireDatasetInput,
  writeDatasetOutput,
  writeJson,
} from './step-files.ts'
import {
  type TrainingSetReport,
  type TrainingSetSpec,
  trainingSetParams,
  trainingSetReport,
  trainingSetSpec,
} from './training-set-spec.ts'
import { writePointInTimeJoin } from './training-set-sql.ts'
import { planView, quoteName } from './view-plan.ts'

type Schema = Readonly<Record<string, ColumnType>>

/** Declared types win over those of the version, since files are read as their dataset declares. */
async function schemaOf(ctx: Context, input: StepOutput, dataset?: string): Promise<Schema> {
  if (dataset !== undefined) {
    const declared = (await findDataset(ctx, dataset))?.definition?.schema
    if (declared) return declared
  }
  return (await requireVersion(ctx, { digest: input.digest }, { allowFailed: true })).schema
}

function checkSpine(
  spine: Schema,
  time: string,
  members: readonly ServiceMember[],
  spineKeys: readonly (readonly string[])[],
): Fault[] {
  const faults: Fault[] = []
  const at = spine[time]
  if (!at) faults.push({ pointer: '/time', detail: `the spine has no column "${time}"` })
  else if (at.type !== 'timestamp')
    faults.push({ pointer: '/time', detail: `column "${time}" of the spine is ${at.type}, expected timestamp` })
  for (const [index, member] of members.entries()) {
    for (const [place, key] of member.entity.keys.entries()) {
      const column = spineKeys[index]![place]!
      const found = spine[column]
      if (!found)
        faults.push({
          pointer: `/keys/${member.keys[place]}`,
          detail: `MISSING_JOIN_KEY: the spine has no column "${column}" for key ${key.name} of view "${member.view.name}"`,
        })
      else if (found.type !== key.type)
        faults.push({
          pointer: `/keys/${member.keys[place]}`,
          detail: `TYPE_MISMATCH_KEY: column "${column}" of the spine is ${found.type}, key ${key.name} is ${key.type}`,
        })
    }
    for (const { name } of member.features)
      if (name in spine)
        faults.push({
          pointer: '/columns',
          detail: `NAME_COLLISION: the spine has a column named like feature "${name}"`,
        })
  }
  return faults
}

async function resolveStep(
  ctx: Context,
  { params, inputs }: { params: Json; inputs: Readonly<Record<string, StepOutput>> },
): Promise<Json> {
  const wanted = parseParams(trainingSetParams, 'training-set', params)
  const { digest, members } = await requireFeatureService(ctx, wanted.service)
  const spineSchema = await schemaOf(ctx, requireDatasetInput(inputs, 'spine', 'the rows that want features'))
  const spineKeys = members.map((member) => member.keys.map((key) => wanted.keys[key] ?? key))
  const faults = checkSpine(spineSchema, wanted.time, members, spineKeys)
  const views: TrainingSetSpec['views'] = []
  for (const [index, member] of members.entries()) {
    const input = inputName(member.view.source)
    const source = requireDatasetInput(
      inputs,
      input,
      `the source "${member.view.source}" of view "${member.view.name}"`,
    )
    faults.push(...checkView(member.view, member.entity, await schemaOf(ctx, source, member.view.source)))
    views.push({
      view: member.view,
      viewVersion: member.viewVersion,
      entity: member.entity,
      input,
      spineKeys: spineKeys[index]!,
      features: member.features.map((feature) => ({ ...feature })),
    })
  }
  const chosen = new Set(wanted.columns ?? Object.keys(spineSchema).sort())
  for (const column of chosen)
    if (!(column in spineSchema)) faults.push({ pointer: '/columns', detail: `the spine has no column "${column}"` })
  refuseFaults(
    'features.bad_training_set',
    `Cannot make a training set of "${wanted.service}": ${countText(faults.length, 'fault')}, ${faults[0]?.detail}`,
    faults,
  )
  for (const column of [wanted.time, ...spineKeys.flat()]) chosen.add(column)
  const spec: TrainingSetSpec = {
    service: wanted.service,
    serviceDigest: digest,
    dataset: wanted.dataset ?? `${wanted.service}-training`.slice(0, 63),
    time: wanted.time,
    spineColumns: [...chosen],
    spineSchema: Object.fromEntries([...chosen].map((column) => [column, spineSchema[column]!])),
    asOfUs: wanted.asOf === undefined ? null : String(BigInt(Date.parse(wanted.asOf)) * 1_000n),
    views,
  }
  return JSON.parse(JSON.stringify(spec)) as Json // plain data
}

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

async function runCommand(command: StepCommand): Promise<void> {
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

async function commitStep(tx: Tx, result: StepResult): Promise<Json> {
  const spec = trainingSetSpec.parse(result.spec)
  const report = trainingSetReport.parse(result.json.report)
  const manifest = datasetManifest.parse(result.json.manifest)
  const registered = await registerVersion(tx, {
    dataset: spec.dataset,
    derived: true,
    manifest,
    digest: result.outputs.set!.digest,
    strength: 'content',
    run: result.run,
    step: result.step,
  })
  const { dataset, version, digest, rowCount } = registered
  await tx.emit({ type: 'features.training_set_made', subject: dataset, data: { version, digest, report } })
  return { dataset, version, digest, rowCount, views: report.views, timesUs: report.timesUs } as Json // plain data
}

/** Joins a spine with the features of a service, each row as of its own time, and registers the result as a dataset version. */
export const trainingSetStep: StepKind = {
  kind: 'training-set',
  outputs: { set: 'dataset', report: 'json', manifest: 'json' },
  cacheable: true,
  resolve: resolveStep,
  command: runCommand,
  commit: commitStep,
}
