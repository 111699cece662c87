import { expect, test } from 'vitest'
import { openBatcher } from './batcher.ts'

function recorder() {
  const batches: string[][] = []
  const gate = Promise.withResolvers<void>()
  const batched = openBatcher<string, string>({
    limit: 3,
    groupOf: (item) => item[0]!,
    work: async (items) => {
      batches.push([...items])
      await gate.promise
      if (items.some((item) => item.endsWith('!'))) throw new Error(`no ${items.join(' ')}`)
      return items.map((item) => item.toUpperCase())
    },
  })
  return { batches, batched, open: gate.resolve }
}

test('openBatcher() works at once when its group is idle, then joins what gathered, up to the limit', async () => {
  const { batches, batched, open } = recorder()
  const results = ['a1', 'a2', 'b1', 'a3', 'a4', 'a5'].map(batched)
  open()
  expect(await Promise.all(results)).toEqual(['A1', 'A2', 'B1', 'A3', 'A4', 'A5'])
  expect(batches).toEqual([['a1'], ['b1'], ['a2', 'a3', 'a4'], ['a5']])
})

test('openBatcher() fails only the item that cannot be done', async () => {
  const { batched, open } = recorder()
  const results = ['a1', 'a2', 'a!', 'a3'].map(batched)
  open()
  expect((await Promise.allSettled(results)).map((outcome) => outcome.status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
  ])
})

test('openBatcher() lets no group wait for another', async () => {
  const held = Promise.withResolvers<void>()
  const batched = openBatcher<string, string>({
    limit: 3,
    groupOf: (item) => item[0]!,
    work: async (items) => {
      if (items.includes('a1')) await held.promise
      return items
    },
  })
  const first = batched('a1')
  expect(await batched('b1')).toBe('b1')
  expect(await batched('b2')).toBe('b2')
  held.resolve()
  expect(await first).toBe('a1')
})
