import type { StepView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { openStepOf } from './open-step.ts'

function step(key: string, state: StepView['state']): StepView {
  return {
    key,
    kind: 'python',
    state,
    reason: null,
    needs: [],
    attempts: 0,
    cache: null,
    outputs: [],
    progress: null,
    trackedRun: null,
    startedAt: null,
    finishedAt: null,
  }
}

test('openStepOf() opens what failed before what runs, and the first that runs', () => {
  const graph = [step('a', 'succeeded'), step('b', 'running'), step('c', 'running'), step('d', 'failed')]
  expect(openStepOf(graph)).toBe('d')
  expect(openStepOf(graph.slice(0, 3))).toBe('b')
})

test('openStepOf() opens none of several that ended well or wait, and the only one whatever it does', () => {
  expect(openStepOf([step('a', 'cached'), step('b', 'succeeded')])).toBeUndefined()
  expect(openStepOf([step('a', 'ready'), step('b', 'blocked')])).toBeUndefined()
  expect(openStepOf([step('a', 'succeeded')])).toBe('a')
  expect(openStepOf([])).toBeUndefined()
})
