import { type PipelineDefinition, type PipelineStep, pipelineDefinition } from '../wire/definition/index.ts'

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

function parseWith(units: Record<string, number>, text: string, example: string): number {
  const match = /^(\d+)([A-Za-z]+)$/.exec(text)
  const unit = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined
  if (!match || unit === undefined) throw new RangeError(`Cannot read "${text}": expected for example ${example}`)
  return Number(match[1]) * unit
}

function sourceOf(source: StepSource): PipelineStep['inputs'][string] {
  if ('kind' in source)
    return {
      from: 'dataset',
      dataset: source.name,
      allowFailed: source.allowFailed ?? false,
      ...(source.version === undefined ? {} : { version: source.version }),
    }
  const [step, output] = 'first' in source ? [source.key, source.first] : [source.step, source.output]
  return { from: 'step', step, output, ...(source.allowFailed ? { allowFailed: true } : {}) }
}

const STEP_OPTIONS = ['key', 'after', 'resources', 'timeout', 'retries', 'cache']

/** Types are stripped, not checked, where a project is evaluated: a misspelt option would be no option at all. */
function refuseUnknown(what: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new RangeError(
      `${what} takes no ${unknown.map((name) => `"${name}"`).join(', ')}: it takes ${known.join(', ')}`,
    )
}

/** A step's own params lie beside those of its kind. */
function refuseTaken(script: string, params: object | undefined, taken: readonly string[]): void {
  const own = Object.keys(params ?? {}).find((name) => taken.includes(name))
  if (own !== undefined)
    throw new RangeError(`A param of step ${script} cannot be named "${own}": that is the step's own`)
}

/** What `addStep` is told of a kind of step. */
export interface Shape {
  kind: string
  /** The options that this kind takes beside those of every step. */
  takes: readonly string[]
  key: string
  params: Record<string, Json>
  inputs?: Readonly<Record<string, StepSource>>
  outputs?: Readonly<Record<string, OutputType>>
  secrets?: Readonly<Record<string, string>> | undefined
  first: string
}

/** Adds a step to the pipeline that is being built: what every kind's own function ends with. */
export function addStep(shape: Shape, options: StepOptions): StepRef {
  if (!building) throw new Error('Steps are made inside the build function of definePipeline')
  refuseUnknown(`A ${shape.kind} step`, options, [...shape.takes, ...STEP_OPTIONS])
  refuseUnknown('The member resources of a step', options.resources ?? {}, ['cpu', 'memory'])
  const key = options.key ?? shape.key
  building.push({
    key,
    kind: shape.kind,
    params: shape.params as PipelineStep['params'],
    inputs: Object.fromEntries(Object.entries(shape.inputs ?? {}).map(([name, source]) => [name, sourceOf(source)])),
    after: (options.after ?? []).map((step) => step.key),
    outputs: { ...shape.outputs },
    resources: {
      cpu: options.resources?.cpu ?? 1,
      ...(options.resources?.memory === undefined
        ? {}
        : { memoryBytes: parseWith(BYTES, options.resources.memory, '2Gi') }),
    },
    timeoutMs: options.timeout === undefined ? 3_600_000 : parseWith(MS, options.timeout, '30m'),
    retries: options.retries ?? 0,
    cache: options.cache ?? true,
    ...(shape.secrets === undefined ? {} : { secrets: { ...shape.secrets } }),
  })
  return { key, first: shape.first, output: (name) => ({ step: key, output: name }) }
}

function keyFrom(path: string): string {
  return (path.split('/').at(-1) ?? path)
    .replace(/\.[a-z]+$/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 63)
}

/** A version of a dataset at which a step is pinned. */
export function pinned(dataset: { readonly name: string; readonly allowFailed?: true }, version: number): StepSource {
  return { kind: 'dataset', name: dataset.name, version, ...(dataset.allowFailed ? { allowFailed: true } : {}) }
}

/** A source that is read even where the dataset version failed its expectations; any other use of such a version is refused. */
export function allowFailed(source: StepSource): StepSource {
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
  },
): StepRef {
  const { files, lock, args, params, inputs, outputs = {}, secrets } = options
  refuseTaken(script, params, ['script', 'files', 'lock', 'args'])
  const own = {
    ...params,
    script,
    ...(files ? { files: [...files] } : {}),
    ...(lock ? { lock } : {}),
    ...(args ? { args: [...args] } : {}),
  }
  return addStep(
    {
      kind: 'python',
      takes: ['files', 'lock', 'args', 'params', 'inputs', 'outputs', 'secrets'],
      key: keyFrom(script),
      params: own,
      ...(inputs ? { inputs } : {}),
      outputs,
      secrets,
      first: Object.keys(outputs)[0] ?? '',
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
  },
): StepRef {
  const { args, params, inputs, outputs = {}, secrets } = options
  refuseTaken(script, params, ['script', 'args'])
  return addStep(
    {
      kind: 'typescript',
      takes: ['args', 'params', 'inputs', 'outputs', 'secrets'],
      key: keyFrom(script),
      params: { ...params, script, ...(args ? { args: [...args] } : {}) },
      ...(inputs ? { inputs } : {}),
      outputs,
      secrets,
      first: Object.keys(outputs)[0] ?? '',
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
      key: keyFrom(String(argv[0])),
      params: { argv: [...argv] },
      ...(inputs ? { inputs } : {}),
      ...(outputs ? { outputs } : {}),
      secrets,
      first: Object.keys(outputs ?? {})[0] ?? '',
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
  const metrics = options.metrics ?? metricsBeside(options.from)
  const model = typeof options.model === 'string' ? options.model : options.model.name
  const params: Record<string, Json> = {
    model,
    ...(options.description === undefined ? {} : { description: options.description }),
  }
  return addStep(
    {
      kind: 'register',
      takes: ['model', 'from', 'metrics', 'description'],
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
  const { build, params, ...rest } = options
  if (building) throw new Error('Cannot define a pipeline inside another one')
  building = []
  try {
    build({
      param: (name) => {
        if (!Object.hasOwn(params ?? {}, name)) throw new RangeError(`Pipeline ${options.name} has no param ${name}`)
        return { $param: name }
      },
    })
    return pipelineDefinition.parse({ kind: 'pipeline', ...rest, params: params ?? {}, steps: building })
  } finally {
    building = undefined
  }
}

/** Names the project: `apply` owns what it declares, and nothing else. */
export function defineProject(options: { name: string }): { kind: 'project'; name: string } {
  refuseUnknown('defineProject', options, ['name'])
  return { kind: 'project', name: options.name }
}
