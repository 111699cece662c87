import { faultText, IN_WORDS, type PipelineDefinition, type PipelineStep } from '@plimsoll/sdk/wire'
import type { Json } from '../kernel/canonical.ts'
import { type Fault, pointerOf, refuseFaults } from '../kernel/errors.ts'
import type { StepKind } from '../kernel/step-kind.ts'

/** The param that a value stands for, written `{"$param": name}`. */
function placeholderOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('$param' in value) || Object.keys(value).length !== 1) return
  return typeof value.$param === 'string' ? value.$param : undefined
}

/** Names of the params that stand anywhere in a value. */
export function paramsIn(value: unknown): Set<string> {
  const found = new Set<string>()
  const collect = (inner: unknown): void => {
    if (typeof inner !== 'object' || inner === null) return
    const name = placeholderOf(inner)
    if (name === undefined) Object.values(inner).forEach(collect)
    else found.add(name)
  }
  collect(value)
  return found
}

/** Replaces `{"$param": name}` by the run's value, anywhere in the params of a step. */
export function bindParams(value: Json, params: Readonly<Record<string, Json>>): Json {
  if (Array.isArray(value)) return value.map((item: Json) => bindParams(item, params))
  if (typeof value !== 'object' || value === null) return value
  const name = placeholderOf(value)
  if (name !== undefined) return (Object.hasOwn(params, name) ? params[name] : undefined) ?? null
  const record = value as Readonly<Record<string, Json | undefined>> // an object that is no array
  return Object.fromEntries(
    Object.entries(record).map(([key, inner]) => [key, inner === undefined ? null : bindParams(inner, params)]),
  )
}

interface ParamFault {
  readonly path: readonly string[]
  readonly detail: string
  /** Of a name that the kind does not know: no value makes it right. */
  readonly isOfName: boolean
}

function faultsOf(kind: StepKind, params: Json): ParamFault[] {
  const parsed = kind.params.safeParse(params, IN_WORDS)
  if (parsed.success) return []
  return parsed.error.issues.map((issue) => ({
    path: issue.path.map(String),
    detail: faultText(issue),
    isOfName: issue.code === 'unrecognized_keys',
  }))
}

/** Whether only a run can say what stands at that place: a param without a default is above it, or a part of it. */
function isLeftToRun(value: unknown, path: readonly string[], defaults: Readonly<Record<string, Json>>): boolean {
  const [first, ...rest] = path
  if (placeholderOf(value) !== undefined || first === undefined || typeof value !== 'object' || value === null)
    return [...paramsIn(value)].some((name) => !Object.hasOwn(defaults, name))
  return isLeftToRun((value as Record<string, unknown>)[first], rest, defaults)
}

/** What a platform step would refuse of its params, as far as it is known before a run: by the defaults of the pipeline. */
export function stepParamFaults(kind: StepKind, step: PipelineStep, declared: PipelineDefinition['params']): Fault[] {
  const defaults = Object.fromEntries(
    Object.entries(declared).flatMap(([name, param]) => (param.default === undefined ? [] : [[name, param.default]])),
  ) as Record<string, Json> // the wire schema makes them JSON
  return faultsOf(kind, bindParams(step.params as Json, defaults))
    .filter(({ path, isOfName }) => isOfName || !isLeftToRun(step.params, path, defaults))
    .map(({ path, detail }) => ({
      pointer: `/params${pointerOf(path)}`,
      detail: `step ${step.key}, kind ${step.kind}: ${detail}`,
    }))
}

/**
 * Refuses the params of a platform step, bound to a run's values, that its kind does not take.
 * @throws invalid pipelines.bad_step_params, with every fault
 */
export function checkStepParams(kind: StepKind, step: PipelineStep, params: Json): void {
  const faults = faultsOf(kind, params).map(({ path, detail }) => ({ pointer: pointerOf(path), detail }))
  const [first] = faults
  if (first === undefined) return
  // Of a step that does not start only the message is shown.
  const shown = `${first.pointer} ${first.detail}`.trimStart()
  refuseFaults('pipelines.bad_step_params', `Cannot prepare step ${step.key}: its params have faults, ${shown}`, faults)
}
