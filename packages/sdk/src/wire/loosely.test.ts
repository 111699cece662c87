import { expect, test } from 'vitest'
import { pipelineStep } from './definition/pipeline.ts'
import { routeDefinition } from './definition/route.ts'
import { loosely } from './loosely.ts'

const STEP = {
  key: 'fit',
  kind: 'python',
  inputs: {
    rows: { from: 'dataset', dataset: 'd' },
    fit: { from: 'step', step: 'a', output: 'b', allowFailed: false },
  },
  resources: { memoryBytes: 1 },
  secrets: {},
}
const ROUTE = {
  kind: 'route',
  name: 'r',
  model: 'm',
  inputs: { a: { type: 'float64' } },
  columns: [{ name: 'a', source: { from: 'input', input: 'a' } }],
}

test('loosely() leaves out what it does not know, at any depth, and what is sent is refused for it as before', () => {
  const more = {
    ...STEP,
    since: 'x',
    inputs: { rows: { ...STEP.inputs.rows, since: 'x' }, fit: { ...STEP.inputs.fit, since: 'x' } },
    resources: { ...STEP.resources, since: 'x' },
  }
  expect(loosely(pipelineStep).parse(more)).toEqual(pipelineStep.parse(STEP))
  expect(pipelineStep.safeParse(more).error?.issues.map(({ code, path }) => [code, path])).toEqual([
    ['unrecognized_keys', ['inputs', 'rows']],
    ['unrecognized_keys', ['inputs', 'fit']],
    ['unrecognized_keys', ['resources']],
    ['unrecognized_keys', []],
  ])
  const [column] = ROUTE.columns
  const route = {
    ...ROUTE,
    inputs: { a: { ...ROUTE.inputs.a, since: 'x' } },
    columns: [{ ...column, since: 'x', source: { ...column!.source, since: 'x' } }],
    payloads: { since: 'x' },
  }
  expect(loosely(routeDefinition).parse(route)).toEqual(routeDefinition.parse({ ...ROUTE, payloads: {} }))
})

test('loosely() refuses what is wrong of what it knows, and shares no default between two reads', () => {
  const loose = loosely(pipelineStep)
  expect(loose.safeParse({ ...STEP, secrets: { PATH: 'a' } }).success).toBe(false)
  expect(loose.safeParse({ ...STEP, inputs: { rows: { from: 'nowhere' } } }).success).toBe(false)
  expect(loose.safeParse({ ...STEP, key: undefined }).success).toBe(false)
  loose.parse(STEP).after.push('x')
  expect(loose.parse(STEP).after).toEqual([])
})
