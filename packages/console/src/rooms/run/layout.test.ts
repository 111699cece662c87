import { expect, test } from 'vitest'
import { layOut } from './layout.ts'

const layers = (graph: { key: string; needs: string[] }[]) =>
  Object.fromEntries(layOut(graph).map((node) => [node.key, node.layer]))

test('layOut() places a node right of everything that it needs', () => {
  expect(
    layers([
      { key: 'c', needs: ['a', 'b'] },
      { key: 'b', needs: ['a'] },
      { key: 'a', needs: [] },
    ]),
  ).toEqual({ a: 0, b: 1, c: 2 })
})

test('layOut() never puts two nodes on one place', () => {
  const graph = Array.from({ length: 200 }, (_, index) => ({
    key: `s${index}`,
    needs: index === 0 ? [] : [`s${Math.floor((index - 1) / 3)}`],
  }))
  expect(new Set(layOut(graph).map(({ x, y }) => `${x},${y}`)).size).toBe(200)
})

test('layOut() draws an empty graph, unknown needs and a cycle', () => {
  expect(layOut([])).toEqual([])
  expect(layers([{ key: 'a', needs: ['gone'] }])).toEqual({ a: 0 })
  expect(
    layers([
      { key: 'a', needs: ['b'] },
      { key: 'b', needs: ['a'] },
    ]),
  ).toEqual({ a: 0, b: 0 })
})

test('layOut() keeps children in the order of their parents', () => {
  const graph = [
    { key: 'a', needs: [] },
    { key: 'b', needs: [] },
    { key: 'of-b', needs: ['b'] },
    { key: 'of-a', needs: ['a'] },
  ]
  expect(
    layOut(graph)
      .filter((node) => node.layer === 1)
      .map((node) => node.key),
  ).toEqual(['of-a', 'of-b'])
})
