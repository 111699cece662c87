export interface GraphNode {
  readonly key: string
  readonly needs: readonly string[]
}

export interface Placed {
  readonly key: string
  readonly layer: number
  readonly row: number
  readonly x: number
  readonly y: number
}

export const NODE_WIDTH = 232
export const NODE_HEIGHT = 84
const GAP_X = 88
const GAP_Y = 28

/**
 * Places a graph in layers from left to right: a node stands one layer right of the last one that it needs, in the order
 * of its parents' rows, each layer centred. Unknown needs are left out, and a node of a cycle stands in the first layer:
 * the server refuses both, and a page must still be drawn. O(nodes + edges), but for sorting each layer.
 */
export function layOut(graph: readonly GraphNode[]): Placed[] {
  const layers = layersOf(graph)
  const byLayer: GraphNode[][] = []
  for (const node of graph) {
    const layer = layers.get(node.key) ?? 0
    byLayer[layer] ??= []
    byLayer[layer].push(node)
  }
  const rows = new Map<string, number>()
  const tallest = Math.max(0, ...byLayer.map((nodes) => nodes?.length ?? 0))
  return byLayer.flatMap((nodes, layer) => {
    const ordered = nodes
      .map((node, index) => ({ node, index, weight: parentRow(node, rows) ?? index }))
      .sort((a, b) => a.weight - b.weight || a.index - b.index)
    const top = ((tallest - ordered.length) * (NODE_HEIGHT + GAP_Y)) / 2
    return ordered.map(({ node }, row) => {
      rows.set(node.key, row)
      return { key: node.key, layer, row, x: layer * (NODE_WIDTH + GAP_X), y: top + row * (NODE_HEIGHT + GAP_Y) }
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
