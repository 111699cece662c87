import { expect, test } from 'vitest'
import { parseStepName, stepPathOf } from './step-name.ts'

test('parseStepName() takes a step beside its run and behind it', () => {
  expect(parseStepName(['run_1'])).toEqual({ run: 'run_1' })
  expect(parseStepName(['run_1', 'fit'])).toEqual({ run: 'run_1', step: 'fit' })
  expect(parseStepName(['run_1/fit'])).toEqual({ run: 'run_1', step: 'fit' })
  expect(stepPathOf(['run_1/fit'], '')).toBe(stepPathOf(['run_1', 'fit'], ''))
  for (const args of [
    [''],
    ['/'],
    ['run_1/'],
    ['/fit'],
    ['run_1/fit/x'],
    ['run_1/fit', 'x'],
    ['run_1', 'a/b'],
    ['run_1', ''],
  ])
    expect(() => parseStepName(args), args.join(' ')).toThrow('expected RUN STEP or RUN/STEP')
  const refused = {
    message: 'Cannot look at a step of run_1: expected RUN STEP or RUN/STEP',
    action: 'Its steps: plimsoll run show run_1 --data-dir d',
  }
  expect(() => stepPathOf(['run_1'], ' --data-dir d')).toThrow(expect.objectContaining(refused))
})
