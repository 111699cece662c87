export interface GraphNode {
  readonly key: string
  readonly needs: readonly string[]
}

/** Where a node stands: `layer` counts from the left, `row` from the top. */
export interface Cell {
  readonly key: string
  readonly layer: number
  readonly row: number
}

/** How an edge gets to its target: at once, along its source's own row, or on a lane of the corridor below a row (-1: above the first). */
export interface Route {
  readonly source: string
  readonly target: string
  readonly pass: 'direct' | 'row' | { readonly corridor: number; readonly lane: number }
}

interface Link {
  readonly source: Cell
  readonly target: Cell
}

/** Edges over several layers that share an end share a lane: what runs together comes from one node, or goes to one. */
interface Bundle {
  readonly corridor: number
  readonly links: Link[]
  first: number
  last: number
}

const MARGIN = 14
const LANE_HEIGHT = 7
/** Beyond these, bundles share the last lane of a corridor: rows would move too far apart. */
const LANES_MAX = 8

/** How far below the top of its corridor a lane runs. */
export function laneY(lane: number): number {
  return MARGIN + lane * LANE_HEIGHT
}

/** Height of a corridor of so many lanes. */
export function gapOf(lanes: number): number {
  return 2 * MARGIN + (Math.max(1, lanes) - 1) * LANE_HEIGHT
}

/** A way for every edge that passes beside the nodes between its ends, and how many lanes each corridor has. */
export function routesOf(
  graph: readonly GraphNode[],
  cells: readonly Cell[],
): { routes: Route[]; lanes: ReadonlyMap<number, number> } {
  const routes: Route[] = []
  const long: Link[] = []
  const freeUntil = freeUntilOf(cells)
  for (const { source, target } of linksOf(graph, cells)) {
    const isNext = target.layer === source.layer + 1
    if (isNext || freeUntil.get(source.key)! >= target.layer)
      routes.push({ source: source.key, target: target.key, pass: isNext ? 'direct' : 'row' })
    else long.push({ source, target })
  }
  const lanes = new Map<number, number>()
  const ends = new Map<number, number[]>()
  for (const bundle of bundlesOf(long)) {
    const { corridor } = bundle
    const lane = laneOf(bundle, ends)
    lanes.set(corridor, Math.max(lanes.get(corridor) ?? 0, lane + 1))
    for (const { source, target } of bundle.links)
      routes.push({ source: source.key, target: target.key, pass: { corridor, lane } })
  }
  return { routes, lanes }
}

/** Only what leads to the right: of a cycle nothing else can be drawn. */
function linksOf(graph: readonly GraphNode[], cells: readonly Cell[]): Link[] {
  const byKey = new Map(cells.map((cell) => [cell.key, cell]))
  return graph.flatMap((node) =>
    [...new Set(node.needs)].flatMap((need) => {
      const [source, target] = [byKey.get(need), byKey.get(node.key)]
      return source && target && source.layer < target.layer ? [{ source, target }] : []
    }),
  )
}

/** The layer of the next node in the same row, for each node. */
function freeUntilOf(cells: readonly Cell[]): Map<string, number> {
  const next = new Map<number, number>()
  const free = new Map<string, number>()
  for (const { key, row, layer } of cells.toReversed()) {
    free.set(key, next.get(row) ?? Number.POSITIVE_INFINITY)
    next.set(row, layer)
  }
  return free
}

function bundlesOf(links: readonly Link[]): Bundle[] {
  const counts = new Map<string, number>()
  const count = (end: string) => counts.set(end, (counts.get(end) ?? 0) + 1)
  for (const { source, target } of links) {
    count(`from ${source.key}`)
    count(`to ${target.key}`)
  }
  const bundles = new Map<string, Bundle>()
  for (const link of links) {
    const { source, target } = link
    const [from, to] = [`from ${source.key}`, `to ${target.key}`]
    const isFrom = counts.get(from)! > counts.get(to)!
    const [own, other] = isFrom ? [source, target] : [target, source]
    const corridor = other.row < own.row ? own.row - 1 : own.row
    const key = `${isFrom ? from : to} ${corridor}`
    const bundle = bundles.get(key) ?? { corridor, links: [], first: source.layer, last: target.layer }
    bundle.links.push(link)
    bundle.first = Math.min(bundle.first, source.layer)
    bundle.last = Math.max(bundle.last, target.layer)
    bundles.set(key, bundle)
  }
  return [...bundles.values()].sort((a, b) => a.first - b.first || b.last - a.last)
}

/** The first lane of the corridor that is free from the bundle's first layer on. */
function laneOf({ corridor, first, last }: Bundle, ends: Map<number, number[]>): number {
  const taken = ends.get(corridor) ?? []
  ends.set(corridor, taken)
  const free = taken.findIndex((end) => end <= first)
  const lane = free >= 0 ? free : Math.min(taken.length, LANES_MAX - 1)
  taken[lane] = Math.max(taken[lane] ?? 0, last)
  return lane
}
