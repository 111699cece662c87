import { expect, test } from 'vitest'
import { chooseArm } from './routing.ts'

const arms = (champion: number, challenger: number) => [
  { arm: 'champion', weight: champion },
  { arm: 'challenger', weight: challenger },
]

test('chooseArm() moves only keys to the arm that grows, and as many as its weight says', () => {
  let moved = 0
  let back = 0
  const keys = 40_000
  for (let index = 0; index < keys; index++) {
    const before = chooseArm(arms(90, 10), 'salt', `key-${index}`)!.arm
    const after = chooseArm(arms(80, 20), 'salt', `key-${index}`)!.arm
    if (before !== after && after === 'challenger') moved++
    if (before !== after && after === 'champion') back++
  }
  expect(back).toBe(0)
  expect(moved / keys).toBeGreaterThan(0.095)
  expect(moved / keys).toBeLessThan(0.105)
})

test('chooseArm() is sticky by key and never picks an arm of weight 0', () => {
  expect(chooseArm(arms(1, 0), 's', 'k')!.arm).toBe('champion')
  expect(chooseArm(arms(0, 1), 's', 'k')!.arm).toBe('challenger')
  expect(chooseArm(arms(0, 0), 's', 'k')).toBeUndefined()
  expect(chooseArm(arms(5, 5), 's', 'k')).toEqual(chooseArm(arms(5, 5), 's', 'k'))
})
