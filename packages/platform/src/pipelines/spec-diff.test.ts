import { expect, test } from 'vitest'
import { diffSpecs } from './spec-diff.ts'

const file = (path: string, mtimeMs: number) => ({ path, mtimeMs, sizeBytes: 1 })

test('diffSpecs() names each leaf that differs, and an entry of a list by its path or name', () => {
  const old = { files: [file('/a', 1), file('/b', 1)], views: [{ name: 'v', ttl: null }], at: [1, 2], same: { x: 1 } }
  const now = {
    files: [file('/0', 1), file('/a', 2), file('/b', 1)],
    views: [{ name: 'v' }],
    at: [1, 3],
    same: { x: 1 },
  }
  expect(diffSpecs(old, old)).toEqual([])
  expect(diffSpecs(old, now)).toEqual([
    { part: 'input', name: 'files[/a].mtimeMs', old: '1', new: '2' },
    { part: 'input', name: 'files[/0]', old: null, new: '{"mtimeMs":1,"path":"/0","sizeBytes":1}' },
    { part: 'input', name: 'views[v].ttl', old: 'null', new: null },
    { part: 'input', name: 'at[1]', old: '2', new: '3' },
  ])
})

test('diffSpecs() is bounded: 200 changes, 500 characters of a value', () => {
  const many = Array.from({ length: 300 }, (_, index) => index)
  expect(
    diffSpecs(
      many,
      many.map((n) => n + 1),
    ),
  ).toHaveLength(200)
  expect(diffSpecs('a', 'x'.repeat(900))).toEqual([{ part: 'input', name: '', old: '"a"', new: `"${'x'.repeat(499)}` }])
})
