import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { countText } from './count-text.ts'

test('countText() gives one thing its singular, and everything else the plural', () => {
  expect([0, 1, 2].map((count) => countText(count, 'row'))).toEqual(['0 rows', '1 row', '2 rows'])
  expect(countText(1, 'column differs', 'columns differ')).toBe('1 column differs')
  expect(countText(3, 'column differs', 'columns differ')).toBe('3 columns differ')
})

const ROOMS =
  'adapters,cli,datasets,definitions,delivery,features,inference,kernel,lineage,monitoring,pipelines,processes,registry,serving,tracking'
/** A count of found things with a bare plural: what one of them makes wrong. A bound (`…_MAX`) is never one. */
const BARE =
  /(?<!(?: of |\/))\$\{[^}]*(?:\.length|Count|_count)\} (?:[a-z]+ )?(?:rows|gaps|files|columns|faults|steps|problems|expectations|patterns|versions)\b/g

test('texts of ours count by countText(), so that one thing is never told as many', () => {
  const root = resolve(import.meta.dirname, '..')
  const bare = globSync(`{${ROOMS}}/**/*.ts`, { cwd: root })
    .filter((path) => !/\.(test|fixture)\.ts$/.test(path))
    .flatMap((path) => [...readFileSync(join(root, path), 'utf8').matchAll(BARE)].map(([text]) => `${path}: ${text}`))
  expect(bare).toEqual([])
})
