import { type ColumnType, datasetManifest } from '@plimsoll/sdk/wire'
import { findDataset, registerVersion, requireVersion, seeWrittenAgain } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { countText } from '../kernel/count-text.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { type Fault, refuseFaults } from '../kernel/errors.ts'
import { parseInstantUs } from '../kernel/instant.ts'
import type { StepKind, StepOutput, StepResult } from '../kernel/step-kind.ts'
import { checkView, requireFeatureService, type ServiceMember } from './declare.ts'
import { inputName, requireDatasetInput } from './step-files.ts'
import { runTrainingSetCommand } from './training-set-command.ts'
import { type TrainingSetSpec, trainingSetParams, trainingSetReport, trainingSetSpec } from './training-set-spec.ts'
import './events.ts'

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
  const wanted = trainingSetParams.parse(params)
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
    asOfUs: wanted.asOf === undefined ? null : String(parseInstantUs(wanted.asOf)),
    views,
  }
  return JSON.parse(JSON.stringify(spec)) as Json // plain data
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
  const { views, timesUs, rowsWithoutTime } = report
  return { dataset, version, digest, rowCount, rowsWithoutTime, views, timesUs } as Json // plain data
}

/** Joins a spine with the features of a service, each row as of its own time, and registers the result as a dataset version. */
export const trainingSetStep: StepKind = {
  kind: 'training-set',
  outputs: { set: 'dataset', report: 'json', manifest: 'json' },
  params: trainingSetParams,
  cacheable: true,
  resolve: resolveStep,
  command: runTrainingSetCommand,
  commit: commitStep,
  reuse: seeWrittenAgain,
}
