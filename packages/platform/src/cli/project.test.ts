import { type PlanView, planView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { describePlan } from './project.ts'

const digest = (digit: string) => `sha256:${digit.repeat(64)}`
const planOf = (diff: PlanView['changes'][number]['diff']): PlanView =>
  planView.parse({
    digest: digest('1'),
    base: digest('2'),
    changes: [{ kind: 'pipeline', name: 'train', change: 'change', diff }],
    warnings: [],
    missingBlobs: [],
  })

test('describePlan() names the files of a step that changed, and the values of anything else', () => {
  const diff = [
    { pointer: '/code/fit/steps~1fit.py', old: digest('1'), new: digest('2') },
    { pointer: '/code/fit/a\u001b~0b', old: null, new: digest('2') },
    { pointer: '/code/fit/old.py', old: digest('2'), new: null },
    { pointer: '/owner', old: 'ops', new: 'cleo' },
  ]
  expect(describePlan(planOf(diff))).toEqual([
    '~ change    pipeline train',
    '      code of fit: steps/fit.py changed',
    '      code of fit: a\\u001b~b added',
    '      code of fit: old.py removed',
    '      /owner: "ops" → "cleo"',
  ])
})

test('describePlan() bounds what it lists of one definition', () => {
  const files = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ pointer: `/code/fit/${index}.py`, old: null, new: digest('1') }))
  expect(describePlan(planOf(files(12))).slice(-2)).toEqual(['      code of fit: 9.py added', '      and 2 more'])
  expect(describePlan(planOf(files(100))).at(-1)).toBe('      and at least 90 more')
})
