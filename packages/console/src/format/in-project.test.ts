import { expect, test } from 'vitest'
import { inProject } from './in-project.ts'

test('inProject() names the project in each command of ours, unless it is the default one', () => {
  const approve = "plimsoll approve 'a && plimsoll b' 1 --environment production"
  expect(inProject(approve, 'default')).toBe(approve)
  expect(inProject(approve, 'g3')).toBe(`${approve} --project g3`)
  expect(inProject('plimsoll apply && plimsoll run start train', 'g3')).toBe(
    'plimsoll apply --project g3 && plimsoll run start train --project g3',
  )
  expect(inProject("plimsoll apply && plimsoll run start train --param 'a=b && c'", 'g3')).toBe(
    "plimsoll apply --project g3 && plimsoll run start train --param 'a=b && c' --project g3",
  )
  expect(inProject("plimsoll apply && plimsoll run start train --param 'note=it'\\''s'", 'g3')).toBe(
    "plimsoll apply --project g3 && plimsoll run start train --param 'note=it'\\''s' --project g3",
  )
  expect(inProject('MLFLOW_TRACKING_URI=x mlflow runs list', 'g3')).toBe('MLFLOW_TRACKING_URI=x mlflow runs list')
})
