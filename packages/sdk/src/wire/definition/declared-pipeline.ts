import { z } from 'zod'
import { fieldName } from './name.ts'
import { type PipelineStep, pipelineDefinition, pipelineParam, pipelineStep } from './pipeline.ts'
import { choiceText, shownValue } from './words.ts'

type ParamType = z.output<typeof pipelineParam>['type']

const PARAM_VALUES: Readonly<Record<ParamType, readonly [says: string, is: (value: unknown) => boolean]>> = {
  int: ['a whole number', (value) => Number.isSafeInteger(value)],
  float: ['a number', (value) => typeof value === 'number'],
  text: ['a text', (value) => typeof value === 'string'],
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  json: ['a JSON value', () => true],
}

/** What is wrong with the value of a pipeline's param, or nothing. */
export function paramValueFault(type: ParamType, value: unknown): string | undefined {
  const [says, is] = PARAM_VALUES[type]
  return is(value) ? undefined : `expected ${says} (type ${type}), found ${shownValue(value)}`
}

interface Found {
  readonly path: readonly (string | number)[]
  readonly message: string
}

function isParam(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === '$param'
}

/** Arguments of a program; a param may stand for one of them, or for all. */
function argumentFaults(name: string, value: unknown, what: string): Found[] {
  if (isParam(value)) return []
  if (!Array.isArray(value)) return [{ path: [name], message: `expected a list, ${what}, found ${shownValue(value)}` }]
  return value.flatMap((item: unknown, index) =>
    typeof item === 'string' || isParam(item)
      ? []
      : [{ path: [name, index], message: `expected a text or a param, found ${shownValue(item)}` }],
  )
}

function pathFault(name: string, value: unknown): Found[] {
  const isPath = typeof value === 'string' && value !== ''
  const isPlain = isPath && !value.split('/').some((part) => ['', '.', '..'].includes(part))
  if (isPlain) return []
  const what = isPath
    ? 'a path without ./, ../ and //, from the folder of the project'
    : 'the path of a file of the project'
  return [{ path: [name], message: `expected ${what}, found ${shownValue(value)}` }]
}

/** Of a command nothing is free: it has no params beside its arguments. */
function commandFaults({ argv, ...others }: PipelineStep['params']): Found[] {
  const unknown = Object.keys(others)
  const what = 'a program and its arguments'
  return [
    ...(unknown.length > 0
      ? [{ path: [], message: `takes no ${unknown.map((name) => `"${name}"`).join(', ')}: it takes argv` }]
      : []),
    ...(argv === undefined
      ? [{ path: ['argv'], message: `is missing: expected a list, ${what}` }]
      : Array.isArray(argv) && argv.length === 0
        ? [{ path: ['argv'], message: `expected ${what}, found an empty list` }]
        : argumentFaults('argv', argv, what)),
  ]
}

function scriptFaults(params: PipelineStep['params'], paths: readonly string[]): Found[] {
  const { script, args } = params
  const others = Object.keys(params)
  const choice = choiceText(others)
  const there = choice ? `; ${choice}` : ''
  return [
    ...(script === undefined
      ? [{ path: ['script'], message: `is missing: expected the path of the step's program${there}` }]
      : pathFault('script', script)),
    ...(args === undefined ? [] : argumentFaults('args', args, 'the arguments of the script')),
    ...paths.flatMap((name) => (params[name] === undefined ? [] : pathFault(name, params[name]))),
  ]
}

function globFaults(files: unknown): Found[] {
  if (files === undefined) return []
  if (!Array.isArray(files))
    return [{ path: ['files'], message: `expected a list of paths or patterns, found ${shownValue(files)}` }]
  return files.flatMap((item: unknown, index) =>
    typeof item === 'string' && item !== ''
      ? []
      : [{ path: ['files', index], message: `expected a path or a pattern, found ${shownValue(item)}` }],
  )
}

/** What the steps of the user's own code take as params; those of other kinds judge theirs themselves. */
function processParamFaults({ kind, params }: PipelineStep): Found[] {
  if (kind === 'command') return commandFaults(params)
  if (kind === 'typescript') return scriptFaults(params, [])
  return kind === 'python' ? [...scriptFaults(params, ['lock']), ...globFaults(params['files'])] : []
}

/** A step as a project may declare it. One that was declared before is read with `pipelineStep`, which asks for less. */
export const declaredStep = pipelineStep.superRefine((step, check) => {
  for (const { path, message } of processParamFaults(step))
    check.addIssue({ code: 'custom', path: ['params', ...path], message })
})

const declaredParam = pipelineParam.superRefine((param, check) => {
  const fault = param.default === undefined ? undefined : paramValueFault(param.type, param.default)
  if (fault !== undefined) check.addIssue({ code: 'custom', path: ['default'], message: fault })
})

/** A pipeline as a project may declare it. */
export const declaredPipeline = pipelineDefinition.extend({
  params: z.record(fieldName, declaredParam).default({}),
  steps: z.array(declaredStep).min(1).max(10_000),
})
