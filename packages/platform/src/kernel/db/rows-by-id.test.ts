import { expect, test } from 'vitest'
import { rowsById } from './rows-by-id.ts'

test.each([0, 1, 999, 1_000, 1_001, 2_500])(
  'rowsById() gives each of %i rows once, and asks for no page after a short one',
  async (count) => {
    const all = Array.from({ length: count }, (_, index) => ({ id: String(index).padStart(5, '0') }))
    let pages = 0
    const page = async (after: string, limit: number) => {
      pages++
      return all.filter(({ id }) => id > after).slice(0, limit)
    }
    const found: { id: string }[] = []
    for await (const row of rowsById(page)) found.push(row)
    expect(found).toEqual(all)
    expect(pages).toBe(Math.floor(count / 1_000) + 1)
  },
)
