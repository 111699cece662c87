import type { FeatureServiceDefinition } from '../wire/definition/feature.ts'
import { shownValue } from '../wire/definition/words.ts'
import { durationUs, sourcesOf } from './feature.ts'
import { addStep, type Json, STEP_OPTIONS, type StepOptions, type StepRef, type StepSource } from './pipeline.ts'
import { DefinitionError, isRecord, listOf, refuseUnknown } from './refusal.ts'

/** Where the datasets behind a service are read from: a step of this pipeline, or a dataset's newest passing version. */
interface Sources {
  readonly sources?: Readonly<Record<string, StepSource>>
}

/** What `trainingSet` takes. */
export interface TrainingSetOptions extends StepOptions, Sources {
  readonly service: FeatureServiceDefinition
  /** The rows that want features: labels with the keys of the service's entities. */
  readonly spine: StepSource
  /** Column of the spine with the time as of which each row's features are wanted. */
  readonly time: string
  /** Columns of the spine to keep; all when absent. */
  readonly columns?: readonly string[]
  /** Key of the service → column of the spine, where the names differ. */
  readonly keys?: Readonly<Record<string, string>>
  /** Dataset that the result is registered under; `<service>-training` when absent. */
  readonly dataset?: string
  /** Leaves out rows that were known only later than this instant. */
  readonly asOf?: string
}

/** What `materialize` takes. */
export interface MaterializeOptions extends StepOptions, Sources {
  readonly service: FeatureServiceDefinition
  /**
   * Up to when what was known is written: an instant (RFC 3339), `now` by the clock of the server when the step starts, or
   * hours or days from then, such as `now+12d`. A text, or a param of the run; `now` when absent.
   */
  readonly until?: Json
  /** How long before `until` lookups must still find what was known, windows whole; a day when absent. */
  readonly slack?: string
}

/** What both kinds need first: their options, and a service to look behind. */
function requireService(kind: string, takes: readonly string[], options: { service?: unknown }): void {
  refuseUnknown(`A ${kind} step`, options, [...takes, ...STEP_OPTIONS])
  const { service } = options
  if (!isRecord(service) || !Array.isArray(service['views']))
    throw new DefinitionError(
      `A ${kind} step, service: expected a feature service, as defineFeatureService(…) returns it, found ${shownValue(service)}`,
    )
}

/** Inputs of a step, one for each dataset behind the service; names of inputs have no dash. */
function inputsOf(service: FeatureServiceDefinition, sources: Sources['sources']): Record<string, StepSource> {
  const names = sourcesOf(service)
  for (const name of Object.keys(sources ?? {}))
    if (!names.includes(name))
      throw new RangeError(
        `Cannot read "${name}" for feature service "${service.name}": its datasets are ${names.join(', ')}`,
      )
  return Object.fromEntries(
    names.map((name) => [name.replaceAll('-', '_'), sources?.[name] ?? { kind: 'dataset', name }]),
  )
}

/**
 * Joins a spine with the features of a service, each row as of its own time, and registers the result as a dataset
 * version. Its first output is the set.
 */
export function trainingSet(options: TrainingSetOptions): StepRef {
  const takes = ['service', 'spine', 'time', 'columns', 'keys', 'dataset', 'asOf', 'sources']
  requireService('training-set', takes, options)
  const { service, spine, time, columns, keys, dataset, asOf, sources } = options
  const params: Record<string, Json> = {
    service: service.name,
    time,
    ...(columns ? { columns: listOf('trainingSet, columns', columns) } : {}),
    ...(keys ? { keys: { ...keys } } : {}),
    ...(dataset === undefined ? {} : { dataset }),
    ...(asOf === undefined ? {} : { asOf }),
  }
  const inputs = { ...inputsOf(service, sources), spine }
  const key = `training-set-${service.name}`
  return addStep({ kind: 'training-set', takes, key, params, inputs, first: 'set' }, options)
}

/** Brings the online store to what was known of a service's views at an instant. */
export function materialize(options: MaterializeOptions): StepRef {
  const takes = ['service', 'until', 'slack', 'sources']
  requireService('materialize', takes, options)
  const { service, until, slack, sources } = options
  const params: Record<string, Json> = {
    service: service.name,
    ...(until === undefined ? {} : { until }),
    ...(slack === undefined ? {} : { slackUs: durationUs(slack) }),
  }
  const inputs = inputsOf(service, sources)
  return addStep(
    { kind: 'materialize', takes, key: `materialize-${service.name}`, params, inputs, first: 'report' },
    { ...options, cache: false },
  )
}
