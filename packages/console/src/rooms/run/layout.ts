import { type Cell, type GraphNode, gapOf, laneY, type Route, routesOf } from './edge-route.ts'

export interface Placed extends Cell {
  readonly x: number
  readonly y: number
}

export interface Edge {
  readonly source: string
  readonly target: string
  /** From left to right; each two neighbours are joined by a curve that is level at both ends. */
  readonly points: readonly Point[]
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Layout {
  readonly nodes: readonly Placed[]
  readonly edges: readonly Edge[]
  readonly width: number
  readonly height: number
}

export const NODE_WIDTH = 232
export const NODE_HEIGHT = 84
const GAP_X = 88
const PITCH_X = NODE_WIDTH + GAP_X

/**
 * Places a graph in layers from left to right: a node stands one layer right of the last one that it needs, in the order
 * of its parents' rows, each layer centred on whole rows. An edge over several layers runs between two rows, so that none
 * crosses a node. Unknown needs are left out, and a node of a cycle stands in the first layer: the server refuses both,
 * and a page must still be drawn. O(nodes + edges), but for sorting each layer and the lanes.
 */
export function layOut(graph: readonly GraphNode[]): Layout {
  const cells = cellsOf(graph)
  const { routes, lanes } = routesOf(graph, cells)
  const { tops, height } = topsOf(cells, lanes)
  const nodes = cells.map((cell) => ({ ...cell, x: cell.layer * PITCH_X, y: tops[cell.row]! }))
  const byKey = new Map(nodes.map((node) => [node.key, node]))
  return {
    nodes,
    edges: routes.map((route) => edgeOf(route, byKey.get(route.source)!, byKey.get(route.target)!, tops)),
    width: cells.reduce((most, { layer }) => Math.max(most, layer * PITCH_X + NODE_WIDTH), 0),
    height,
  }
}

function edgeOf({ source, target, pass }: Route, from: Placed, to: Placed, tops: readonly number[]): Edge {
  const start = { x: from.x + NODE_WIDTH, y: from.y + NODE_HEIGHT / 2 }
  const end = { x: to.x, y: to.y + NODE_HEIGHT / 2 }
  if (pass === 'direct') return { source, target, points: [start, end] }
  const y = pass === 'row' ? start.y : (pass.corridor < 0 ? 0 : tops[pass.corridor]! + NODE_HEIGHT) + laneY(pass.lane)
  return { source, target, points: [start, { x: start.x + GAP_X, y }, { x: end.x - GAP_X, y }, end] }
}

/** Top of every row: a corridor is as high as its lanes need, and outside of the rows there is one only where a lane is. */
function topsOf(cells: readonly Cell[], lanes: ReadonlyMap<number, number>): { tops: number[]; height: number } {
  const rows = cells.reduce((most, { row }) => Math.max(most, row + 1), 0)
  const outer = (corridor: number) => (lanes.has(corridor) ? gapOf(lanes.get(corridor)!) : 0)
  const tops: number[] = []
  let y = outer(-1)
  for (let row = 0; row < rows; row++) {
    tops.push(y)
    y += NODE_HEIGHT + (row === rows - 1 ? outer(row) : gapOf(lanes.get(row) ?? 1))
  }
  return { tops, height: y }
}

function cellsOf(graph: readonly GraphNode[]): Cell[] {
  const layers = layersOf(graph)
  const byLayer: GraphNode[][] = []
  for (const node of graph) {
    const layer = layers.get(node.key) ?? 0
    byLayer[layer] ??= []
    byLayer[layer].push(node)
  }
  const rows = new Map<string, number>()
  const tallest = byLayer.reduce((most, nodes) => Math.max(most, nodes.length), 0)
  return byLayer.flatMap((nodes, layer) => {
    const ordered = nodes
      .map((node, index) => ({ node, index, weight: parentRow(node, rows) ?? index }))
      .sort((a, b) => a.weight - b.weight || a.index - b.index)
    const top = Math.floor((tallest - ordered.length) / 2)
    return ordered.map(({ node: { key } }, index) => {
      rows.set(key, top + index)
      return { key, layer, row: top + index }
    })
  })
}

function parentRow(node: GraphNode, rows: ReadonlyMap<string, number>): number | undefined {
  const known = node.needs.flatMap((key) => rows.get(key) ?? [])
  return known.length === 0 ? undefined : known.reduce((sum, row) => sum + row, 0) / known.length
}

function layersOf(graph: readonly GraphNode[]): Map<string, number> {
  const known = new Set(graph.map((node) => node.key))
  const waiting = new Map(graph.map((node) => [node.key, new Set(node.needs.filter((key) => known.has(key))).size]))
  const children = new Map<string, string[]>()
  for (const node of graph)
    for (const need of new Set(node.needs)) {
      if (!children.has(need)) children.set(need, [])
      children.get(need)!.push(node.key)
    }
  const layers = new Map<string, number>()
  const queue = graph.filter((node) => waiting.get(node.key) === 0).map((node) => node.key)
  for (const key of queue) layers.set(key, 0)
  for (let at = 0; at < queue.length; at++) {
    const key = queue[at]!
    for (const child of children.get(key) ?? []) {
      layers.set(child, Math.max(layers.get(child) ?? 0, layers.get(key)! + 1))
      waiting.set(child, waiting.get(child)! - 1)
      if (waiting.get(child) === 0) queue.push(child)
    }
  }
  for (const [key, left] of waiting) if (left > 0) layers.set(key, 0)
  return layers
}
