import {
  declaredPipeline,
  declaredStep,
  listedNames,
  type PipelineDefinition,
  type PipelineStep,
  shownValue,
} from '../wire/definition/index.ts'
import { definitionName } from '../wire/definition/name.ts'
import { PROCESS_SETTINGS } from '../wire/process-kind.ts'
import { DefinitionError, defined, isRecord, nameOf, refuseUnknown } from './refusal.ts'

/** A value that params may hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
type Param = PipelineDefinition['params'][string]
type OutputType = PipelineStep['outputs'][string]

/** A param of type int. */
export function int(value?: number): Param {
  return value === undefined ? { type: 'int' } : { type: 'int', default: value }
}

/** A param of type float. */
export function float(value?: number): Param {
  return value === undefined ? { type: 'float' } : { type: 'float', default: value }
}

/** A param of type text. */
export function string(value?: string): Param {
  return value === undefined ? { type: 'text' } : { type: 'text', default: value }
}

/** One output of a step. */
export interface OutputRef {
  readonly step: string
  readonly output: string
}

/** A step of the pipeline that is being built. Used as an input, it stands for its first output. */
export interface StepRef {
  readonly key: string
  readonly first: string
  output(name: string): OutputRef
}

/** What a step may read: a step's first output, one of its outputs, or a dataset (its newest version that passed, unless pinned). */
export type StepSource = { readonly allowFailed?: true } & (
  | StepRef
  | OutputRef
  | { readonly kind: 'dataset'; readonly name: string; readonly version?: number }
)

/** What every step takes. `memory` is like `2Gi`, `timeout` like `30m`. */
export interface StepOptions {
  key?: string
  after?: readonly StepRef[]
  resources?: { cpu?: number; memory?: string }
  timeout?: string
  retries?: number
  cache?: boolean
}

/** What a step of the user's own code takes beside: `secrets` names by variable the secret whose value it is given when it runs. */
export interface CodeOptions extends StepOptions {
  secrets?: Readonly<Record<string, string>>
}

let building: PipelineStep[] | undefined

const BYTES: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }
const MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 }

function parseWith(units: Record<string, number>, text: unknown, member: string, example: string): number {
  const match = /^(\d+)([A-Za-z]+)$/.exec(String(text))
  const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined
  if (!match || unit === undefined)
    throw new DefinitionError(`${member}: Cannot read ${shownValue(text)}: expected for example ${example}`)
  return Number(match[1]) * unit
}

const A_SOURCE =
  'expected a step (what python(…) or datasetVersion(…) return), one of its outputs (step.output(…)), or a dataset (what defineDataset(…) returns)'

/** `place` is said where it is no source. */
function requireSource(place: string, source: unknown): asserts source is StepSource {
  const isOne =
    isRecord(source) &&
    ('first' in source ||
      ('step' in source && 'output' in source) ||
      (source['kind'] === 'dataset' && 'name' in source))
  if (!isOne) throw new DefinitionError(`${place}: ${A_SOURCE}, found ${shownValue(source)}`)
}

function sourceOf(place: string, source: unknown): PipelineStep['inputs'][string] {
  requireSource(place, source)
  if ('kind' in source)
    return {
      from: 'dataset',
      dataset: source.name,
      allowFailed: source.allowFailed ?? false,
      ...(source.version === undefined ? {} : { version: source.version }),
    }
  const [step, output] = 'first' in source ? [source.key, source.first] : [source.step, source.output]
  if (output === '')
    throw new DefinitionError(`${place}: step ${step} has no outputs; to run behind it, name it in after`)
  return { from: 'step', step, output, ...(source.allowFailed ? { allowFailed: true } : {}) }
}

function inputsOf(step: string, inputs: unknown): PipelineStep['inputs'] {
  if (inputs === undefined) return {}
  if (!isRecord(inputs))
    throw new DefinitionError(`${step}, inputs: expected a record of sources by name, found ${shownValue(inputs)}`)
  const entries = Object.entries(inputs)
  return Object.fromEntries(entries.map(([name, source]) => [name, sourceOf(`${step}, inputs/${name}`, source)]))
}

function afterOf(step: string, after: unknown): string[] {
  if (after === undefined) return []
  const place = `${step}, after: expected a list of steps, as python(…) or command(…) return them`
  if (!Array.isArray(after)) throw new DefinitionError(`${place}, found ${shownValue(after)}`)
  return after.map((one: unknown) => {
    if (!isRecord(one) || !('first' in one)) throw new DefinitionError(`${place}, found ${shownValue(one)}`)
    return one['key'] as string // of a StepRef, which `first` marks
  })
}

/** Options of every step. */
export const STEP_OPTIONS = ['key', 'after', 'resources', 'timeout', 'retries', 'cache']

/** A step's own params lie beside those of its kind. */
function ownParams(script: string, params: unknown, taken: readonly string[]): Readonly<Record<string, Json>> {
  if (params === undefined) return {}
  if (!isRecord(params))
    throw new DefinitionError(
      `The params of step ${shownValue(script)}: expected a record, found ${shownValue(params)}`,
    )
  const own = Object.keys(params).find((name) => taken.includes(name))
  if (own !== undefined)
    throw new DefinitionError(`A param of step ${script} cannot be named "${own}": that is the step's own`)
  return params as Readonly<Record<string, Json>> // the schema judges the values
}

/** What `addStep` is told of a kind of step. */
export interface Shape {
  kind: string
  /** The options that this kind takes beside those of every step. */
  takes: readonly string[]
  key: string
  params: Record<string, Json>
  inputs?: Readonly<Record<string, StepSource>> | undefined
  outputs?: Readonly<Record<string, OutputType>> | undefined
  secrets?: Readonly<Record<string, string>> | undefined
  first: string
}

/**
 * Adds a step to the pipeline that is being built: what every kind's own function ends with. It is judged at once, so that
 * a fault has the line where the step is made.
 */
export function addStep(shape: Shape, options: StepOptions): StepRef {
  if (!building) throw new DefinitionError('Steps are made inside the build function of definePipeline')
  refuseUnknown(`A ${shape.kind} step`, options, [...shape.takes, ...STEP_OPTIONS])
  const { key = shape.key, resources = {}, timeout, retries = 0, cache = true } = options
  const step = `step ${String(key)}`
  refuseUnknown('The member resources of a step', resources, ['cpu', 'memory'])
  const { cpu = 1, memory } = resources
  const made: Record<keyof PipelineStep, unknown> = {
    key,
    kind: shape.kind,
    params: shape.params,
    inputs: inputsOf(step, shape.inputs),
    after: afterOf(step, options.after),
    outputs: shape.outputs === undefined ? {} : shape.outputs,
    resources: {
      cpu,
      ...(memory === undefined ? {} : { memoryBytes: parseWith(BYTES, memory, `${step}, resources/memory`, '2Gi') }),
    },
    timeoutMs: timeout === undefined ? 3_600_000 : parseWith(MS, timeout, `${step}, timeout`, '30m'),
    retries,
    cache,
    secrets: shape.secrets,
  }
  building.push(defined(declaredStep, step, made))
  return { key, first: shape.first, output: (name) => ({ step: key, output: name }) }
}

/** Name of the first output, which a step stands for as an input. */
function firstOf(outputs: object | undefined): string {
  return Object.keys(outputs ?? {})[0] ?? ''
}

/** A key from what the step runs; of what is no text, the kind: its fault is found when the step is added. */
function keyFrom(path: unknown, kind: string): string {
  if (typeof path !== 'string') return kind
  return (path.split('/').at(-1) ?? path)
    .replace(/\.[a-z]+$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 63)
}

/** A version of a dataset at which a step is pinned. */
export function pinned(dataset: { readonly name: string; readonly allowFailed?: true }, version: number): StepSource {
  requireSource('pinned', { kind: 'dataset', ...dataset })
  return { kind: 'dataset', name: dataset.name, version, ...(dataset.allowFailed ? { allowFailed: true } : {}) }
}

/** A source that is read even where the dataset version failed its expectations; any other use of such a version is refused. */
export function allowFailed(source: StepSource): StepSource {
  requireSource('allowFailed', source)
  return { ...source, allowFailed: true }
}

/** A Python step: a script with its files and its lock. Outputs are what it must leave; the first is the default one. */
export function python(
  script: string,
  options: CodeOptions & {
    files?: readonly string[]
    lock?: string
    args?: readonly Json[]
    params?: Record<string, Json>
    inputs?: Record<string, StepSource>
    outputs?: Record<string, OutputType>
  } = {},
): StepRef {
  const { files, lock, args, params, inputs, outputs, secrets } = options
  const own = {
    ...ownParams(script, params, PROCESS_SETTINGS.python),
    ...(script === undefined ? {} : { script }),
    ...(files === undefined ? {} : { files }),
    ...(lock === undefined ? {} : { lock }),
    ...(args === undefined ? {} : { args }),
  }
  return addStep(
    {
      kind: 'python',
      takes: ['files', 'lock', 'args', 'params', 'inputs', 'outputs', 'secrets'],
      key: keyFrom(script, 'python'),
      params: own,
      inputs,
      outputs,
      secrets,
      first: firstOf(outputs),
    },
    options,
  )
}

/** A TypeScript step: bundled at apply; the bundle's digest is its code. */
export function typescript(
  script: string,
  options: CodeOptions & {
    args?: readonly Json[]
    params?: Record<string, Json>
    inputs?: Record<string, StepSource>
    outputs?: Record<string, OutputType>
  } = {},
): StepRef {
  const { args, params, inputs, outputs, secrets } = options
  const own = ownParams(script, params, PROCESS_SETTINGS.typescript)
  return addStep(
    {
      kind: 'typescript',
      takes: ['args', 'params', 'inputs', 'outputs', 'secrets'],
      key: keyFrom(script, 'typescript'),
      params: { ...own, ...(script === undefined ? {} : { script }), ...(args === undefined ? {} : { args }) },
      inputs,
      outputs,
      secrets,
      first: firstOf(outputs),
    },
    options,
  )
}

/** A program with its arguments; never a shell line. */
export function command(
  argv: readonly Json[],
  options: CodeOptions & { inputs?: Record<string, StepSource>; outputs?: Record<string, OutputType> } = {},
): StepRef {
  const { inputs, outputs, secrets } = options
  return addStep(
    {
      kind: 'command',
      takes: ['inputs', 'outputs', 'secrets'],
      key: keyFrom(Array.isArray(argv) ? argv[0] : undefined, 'command'),
      params: { argv },
      inputs,
      outputs,
      secrets,
      first: firstOf(outputs),
    },
    options,
  )
}

/**
 * Makes a version of what a dataset's files are now: hashed, profiled, checked. `path` takes other files than the
 * definition says; `reference` is a version whose histogram bins are taken, so that the two profiles can be compared.
 */
export function datasetVersion(
  dataset: { readonly name: string },
  options: StepOptions & { path?: string; reference?: number } = {},
): StepRef {
  if (typeof dataset?.name !== 'string')
    throw new DefinitionError(
      `datasetVersion: expected a dataset, as defineDataset(…) returns it, found ${shownValue(dataset)}`,
    )
  const { path, reference } = options
  const params = {
    dataset: dataset.name,
    ...(path === undefined ? {} : { path }),
    ...(reference === undefined ? {} : { reference }),
  }
  return addStep(
    {
      kind: 'dataset-version',
      takes: ['path', 'reference'],
      key: `version-${dataset.name}`,
      params,
      first: 'version',
    },
    options,
  )
}

/** The output `metrics` of the step that `source` names, where that step declares one of type json. */
function metricsBeside(source: StepSource): OutputRef | undefined {
  requireSource('register, from', source)
  if ('kind' in source) return undefined
  const key = 'first' in source ? source.key : source.step
  const maker = building?.find((step) => step.key === key)
  return maker?.outputs['metrics'] === 'json' ? { step: key, output: 'metrics' } : undefined
}

/**
 * Registers the ONNX file that a step left as a version of a model. `metrics` is a JSON object whose numbers the passport
 * takes; without it, the output `metrics` of type json of the step that left the model, where there is one.
 */
export function register(
  options: StepOptions & {
    model: { readonly name: string } | string
    from: StepSource
    metrics?: StepSource
    description?: string
  },
): StepRef {
  const takes = ['model', 'from', 'metrics', 'description']
  refuseUnknown('A register step', options, [...takes, ...STEP_OPTIONS])
  const metrics = options.metrics ?? metricsBeside(options.from)
  const model = defined(definitionName, 'register, model', nameOf(options.model))
  const params: Record<string, Json> = {
    model,
    ...(options.description === undefined ? {} : { description: options.description }),
  }
  return addStep(
    {
      kind: 'register',
      takes,
      key: `register-${model}`,
      params,
      inputs: { model: options.from, ...(metrics === undefined ? {} : { metrics }) },
      first: 'signature',
    },
    options,
  )
}

/** What `build` receives: references to the run's params. */
export interface PipelineBuilder {
  param(name: string): Json
}

/** Declares a pipeline: `build` runs once, and the steps that it makes are the graph. */
export function definePipeline(options: {
  name: string
  description?: string
  owner?: string
  params?: Record<string, Param>
  build: (p: PipelineBuilder) => unknown
}): PipelineDefinition {
  refuseUnknown('definePipeline', options, ['name', 'description', 'owner', 'params', 'build'])
  const { build, params, ...rest } = options
  const what = `Cannot define pipeline ${shownValue(rest.name)}`
  if (typeof build !== 'function')
    throw new DefinitionError(`${what}: build: expected a function that makes the steps, found ${shownValue(build)}`)
  if (building) throw new DefinitionError(`${what}: it is defined inside another one`)
  building = []
  try {
    build({
      param: (name) => {
        const known = Object.keys(params ?? {})
        if (!known.includes(name))
          throw new DefinitionError(
            `Pipeline ${options.name} has no param ${name}${known.length > 0 ? `: it has ${listedNames(known)}` : ''}`,
          )
        return { $param: name }
      },
    })
    return defined(declaredPipeline, what, { kind: 'pipeline', ...rest, params: params ?? {}, steps: building })
  } finally {
    building = undefined
  }
}

/** Names the project: `apply` owns what it declares, and nothing else. */
export function defineProject(options: { name: string }): { kind: 'project'; name: string } {
  refuseUnknown('defineProject', options, ['name'])
  return { kind: 'project', name: defined(definitionName, 'Cannot define the project: name', options.name) }
}
