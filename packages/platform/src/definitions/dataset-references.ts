import { choiceText, type Definition, type PipelineDefinition, type PipelineStep } from '@plimsoll/sdk/wire'
import { listDatasets, namesOfDatasets } from '../datasets/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { type Fault, refuseFaults } from '../kernel/errors.ts'

interface Reference {
  readonly pointer: string
  readonly step: string
  readonly dataset: string
  /** It makes versions from the source of the dataset, and not only reads those that are there. */
  readonly isMaker: boolean
}

/** What a step reads by a dataset's name. What only a run's params say, a run judges. */
function referencesOf({ steps }: PipelineDefinition): Reference[] {
  return steps.flatMap(({ key, kind, params, inputs }, index) => {
    const own = kind === 'dataset-version' && typeof params['dataset'] === 'string' ? params['dataset'] : undefined
    return [
      ...(own === undefined
        ? []
        : [{ pointer: `/steps/${index}/params/dataset`, step: key, dataset: own, isMaker: true }]),
      ...Object.entries(inputs).flatMap(([name, input]) =>
        input.from === 'dataset'
          ? [{ pointer: `/steps/${index}/inputs/${name}`, step: key, dataset: input.dataset, isMaker: false }]
          : [],
      ),
    ]
  })
}

/** Datasets that a pipeline names. */
export const datasetsRead = (pipeline: PipelineDefinition): string[] =>
  referencesOf(pipeline).map(({ dataset }) => dataset)

/** Names under which a step's result will be registered when it first runs; undefined where a param says it. */
function madeBy({ kind, params }: PipelineStep): (string | undefined)[] {
  const { dataset, service } = params
  if (kind === 'sql-transform') return dataset === undefined ? [] : [typeof dataset === 'string' ? dataset : undefined]
  if (kind !== 'training-set') return []
  if (dataset === undefined && typeof service === 'string') return [`${service}-training`.slice(0, 63)]
  return [typeof dataset === 'string' ? dataset : undefined]
}

/**
 * Refuses pipelines that read datasets by names that nobody knows: neither this source, nor the server, nor a pipeline that
 * makes them. @throws invalid pipelines.invalid
 */
export async function refuseUnknownDatasets(
  ctx: Context,
  declared: readonly Definition[],
  others: readonly Definition[],
): Promise<void> {
  const own = declared.flatMap((one) => (one.kind === 'dataset' ? [one.name] : []))
  const made = [...declared, ...others].flatMap((one) => (one.kind === 'pipeline' ? one.steps.flatMap(madeBy) : []))
  if (made.includes(undefined)) return
  const known = new Set<string | undefined>([...own, ...made])
  const read = declared.flatMap((one) =>
    one.kind === 'pipeline' ? [{ name: one.name, references: referencesOf(one) }] : [],
  )
  const asked = new Set(read.flatMap(({ references }) => references.map(({ dataset }) => dataset)))
  const undeclared = new Set<string>()
  for (const { name, isDeclared } of await namesOfDatasets(ctx, [...asked.difference(known)])) {
    known.add(name)
    if (!isDeclared) undeclared.add(name)
  }
  for (const { name: pipeline, references } of read) {
    const faults: Fault[] = references
      .filter(({ dataset, isMaker }) => !known.has(dataset) || (isMaker && undeclared.has(dataset)))
      .map(({ pointer, step, dataset }) => ({
        pointer,
        detail: `step ${step} reads dataset "${dataset}", but ${known.has(dataset) ? 'it is not declared' : 'there is no such dataset'}`,
      }))
    if (faults.length === 0) continue
    const there = [...new Set([...own, ...(await listDatasets(ctx)).datasets.map(({ name }) => name)])].sort()
    const hint = choiceText(there) ?? 'declare one: defineDataset() or kind: dataset'
    const told = faults.map(({ pointer, detail }) => ({ pointer, detail: `${detail}; ${hint}` }))
    refuseFaults('pipelines.invalid', `Cannot declare pipeline "${pipeline}"`, told)
  }
}
