import { pipelineStep } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { findCycle, graphFaults, inOrder } from './graph.ts'

function step(key: string, after: string[] = [], inputs: Record<string, { step: string; output: string }> = {}) {
  const given = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, { from: 'step', ...input }]))
  return pipelineStep.parse({ key, kind: 'command', after, inputs: given, outputs: { file: 'file' } })
}

const outputsOf = () => ['file']

test('inOrder() puts each step after what it needs, and keeps the given order otherwise', () => {
  expect(inOrder([step('d', ['b', 'c']), step('b', ['a']), step('a'), step('c', ['a'])]).map(({ key }) => key)).toEqual(
    ['a', 'b', 'c', 'd'],
  )
})

test('findCycle() names one cycle', () => {
  expect(findCycle([step('a', ['b']), step('b', ['a']), step('c', ['a'])])).toEqual(['a', 'b', 'a'])
  expect(findCycle([step('a'), step('b', ['a'])])).toBeUndefined()
})

test('graphFaults() lists every fault at once', () => {
  const faults = graphFaults(
    [
      step('a'),
      step('a'),
      step('b', ['ghost']),
      step('c', [], { x: { step: 'a', output: 'nothing' }, y: { step: 'nobody', output: 'file' } }),
    ],
    outputsOf,
  )
  expect(faults.map((fault) => fault.detail)).toEqual([
    'step a is declared twice',
    'step b comes after ghost, but there is no such step',
    'step c reads a.nothing; a gives file',
    'step c reads nobody.file, but there is no step nobody',
  ])
  expect(graphFaults([step('a', ['b']), step('b', ['a'])], outputsOf).map((fault) => fault.detail)).toEqual([
    'the steps form a cycle: a → b → a',
  ])
})
