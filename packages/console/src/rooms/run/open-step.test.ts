import type { StepView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { openStepOf } from './open-step.ts'

function step(key: string, state: StepView['state'], minute?: number): StepView {
  return {
    key,
    kind: 'python',
    state,
    reason: null,
    needs: [],
    attempts: minute === undefined ? 0 : 1,
    cache: null,
    outputs: [],
    progress: null,
    trackedRun: null,
    startedAt: null,
    finishedAt: minute === undefined ? null : new Date(minute * 60_000).toISOString(),
  }
}

test('openStepOf() opens what failed before what runs, and what runs before what ended', () => {
  const graph = [step('a', 'succeeded', 1), step('b', 'running'), step('c', 'failed', 2)]
  expect(openStepOf(graph)).toBe('c')
  expect(openStepOf(graph.slice(0, 2))).toBe('b')
})

test('openStepOf() opens the last that ran, wherever it stands, and never one from the cache beside it', () => {
  expect(
    openStepOf([step('a', 'cached'), step('b', 'succeeded', 9), step('c', 'succeeded', 3), step('d', 'cached')]),
  ).toBe('b')
})

test('openStepOf() opens the last step of a run from the cache, the first of one that waits, and nothing of none', () => {
  expect(openStepOf([step('a', 'cached'), step('b', 'cached')])).toBe('b')
  expect(openStepOf([step('a', 'ready'), step('b', 'blocked')])).toBe('a')
  expect(openStepOf([])).toBeUndefined()
})
