import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { tellMarks, USUAL } from '../../scripts/demo/marks.mjs'

test('the READMEs and the demo say the same of what it takes', () => {
  for (const path of ['README.md', 'examples/flight-delay/README.md'])
    expect(readFileSync(path, 'utf8').replaceAll('\n', ' '), path).toContain(USUAL)
  const { stdout } = spawnSync(process.execPath, ['scripts/demo.mjs', '--help'], { encoding: 'utf8' })
  expect(stdout).toContain(USUAL)
})

test('tellMarks() tells a figure beside its mark, memory in the unit of the READMEs', () => {
  const { time, memory } = tellMarks({ seconds: 133.4, peakBytes: 2.25 * 2 ** 30 })
  expect(time).toMatch(/^2 min 13 s of 4 min, downloads included/)
  expect(memory).toBe('2.3 GiB of 2.8 GiB at most, all processes together')
  expect(tellMarks({ seconds: 1, peakBytes: 0 }).memory).toBe('not measured here')
})
