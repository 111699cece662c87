import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GraphNode } from './edge-route.ts'
import { type Layout, layOut, NODE_HEIGHT, NODE_WIDTH, type Point } from './layout.ts'

const layers = (graph: GraphNode[]) => Object.fromEntries(layOut(graph).nodes.map((node) => [node.key, node.layer]))

/** Points along a curve between two points that is level at both: a cubic whose controls stand in the middle. */
function sample(from: Point, to: Point): Point[] {
  return Array.from({ length: 41 }, (_, index) => {
    const t = index / 40
    const bend = 3 * (1 - t) * t ** 2 + t ** 3
    const middle = (from.x + to.x) / 2
    return {
      x: (1 - t) ** 3 * from.x + 3 * (1 - t) * t * middle + t ** 3 * to.x,
      y: from.y + (to.y - from.y) * bend,
    }
  })
}

/** Names of the edges that pass through the inside of a node. */
function crossings({ nodes, edges }: Layout): string[] {
  return edges.flatMap(({ source, target, points }) => {
    const along = points.slice(1).flatMap((point, index) => sample(points[index]!, point))
    return nodes
      .filter(({ x, y }) =>
        along.some((at) => at.x > x + 1 && at.x < x + NODE_WIDTH - 1 && at.y > y - 1 && at.y < y + NODE_HEIGHT + 1),
      )
      .map(({ key }) => `${source} → ${target} through ${key}`)
  })
}

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
  expect(new Set(layOut(graph).nodes.map(({ x, y }) => `${x},${y}`)).size).toBe(200)
})

test('layOut() draws an empty graph, unknown needs and a cycle', () => {
  expect(layOut([])).toEqual({ nodes: [], edges: [], width: 0, height: 0 })
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
      .nodes.filter((node) => node.layer === 1)
      .map((node) => node.key),
  ).toEqual(['of-a', 'of-b'])
})

test('layOut() leads an edge over several layers around the nodes between', () => {
  const chain = layOut([
    { key: 'a', needs: [] },
    { key: 'b', needs: ['a'] },
    { key: 'c', needs: ['a', 'b'] },
  ])
  const [low] = chain.nodes
  expect(chain.edges.find(({ source, target }) => source === 'a' && target === 'c')!.points[1]!.y).toBeGreaterThan(
    low!.y + NODE_HEIGHT,
  )
  expect(chain.height).toBeGreaterThan(NODE_HEIGHT)
})

test('layOut() draws every edge of a graph, through no node, inside of its size', () => {
  const graphs = fc
    .array(fc.uniqueArray(fc.nat({ max: 30 }), { maxLength: 5 }), { maxLength: 30 })
    .map((needs) =>
      needs.map((list, at) => ({ key: `s${at}`, needs: list.filter((one) => one < at).map((one) => `s${one}`) })),
    )
  fc.assert(
    fc.property(graphs, (graph) => {
      const drawn = layOut(graph)
      expect(crossings(drawn)).toEqual([])
      expect(drawn.edges.map(({ source, target }) => `${source} ${target}`).sort()).toEqual(
        graph.flatMap(({ key, needs }) => needs.map((need) => `${need} ${key}`)).sort(),
      )
      for (const { x, y } of drawn.edges.flatMap(({ points }) => points))
        expect(x >= 0 && x <= drawn.width && y >= 0 && y <= drawn.height).toBe(true)
    }),
  )
})
