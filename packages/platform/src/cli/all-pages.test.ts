import { expect, test } from 'vitest'
import { allPages } from './all-pages.ts'

test('allPages() reads on from where each page ends, and ends with the last', async () => {
  const asked: (string | undefined)[] = []
  const pages = new Map([
    [undefined, { entries: [1, 2], next: 'b' }],
    ['b', { entries: [3], next: 'c' }],
    ['c', { entries: [], next: null }],
  ])
  const read = async (next: string | undefined) => {
    asked.push(next)
    return pages.get(next)!
  }
  expect(await allPages(read)).toEqual([1, 2, 3])
  expect(asked).toEqual([undefined, 'b', 'c'])
})
