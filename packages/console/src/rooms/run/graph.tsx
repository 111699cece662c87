import { ActionIcon } from '@mantine/core'
import type { StepView } from '@plimsoll/sdk/wire'
import { memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { plainText } from '../../format/amount.ts'
import { formatDuration } from '../../format/time.ts'
import { lookOf, State } from '../../parts/state.tsx'
import { causeText } from './cache-text.ts'
import { type Edge, layOut, NODE_HEIGHT, NODE_WIDTH } from './layout.ts'

const DIM = new Set(['blocked', 'upstream_failed', 'not_run', 'cancelled'])
const ZOOM_STEP = 1.25
const ZOOM_MIN = 0.1
const ZOOM_MAX = 1.5
/** A graph opens no smaller than this, so that its text can be read; the rest is a scroll away. */
const ZOOM_READABLE = 0.75

function noteOf(step: StepView): string {
  if (step.state === 'running' && step.progress !== null)
    return `${Math.round(step.progress.fraction * 100)} % ${step.progress.message}`
  if (step.state === 'failed' && step.reason !== null) return step.reason.replaceAll(/\s+/g, ' ')
  return step.cache === null || step.cache.reason === 'first-run' ? step.kind : causeText(step.cache)
}

/** How long the step has run; one that took its outputs from the cache, or has not ended, says nothing. */
function tookOf({ attempts, startedAt, finishedAt }: StepView): string | undefined {
  if (attempts === 0 || startedAt === null || finishedAt === null) return undefined
  return formatDuration(Date.parse(finishedAt) - Date.parse(startedAt))
}

/** Drawn again only when its own step changes: a poll of a long run touches few. */
const StepBox = memo(function StepBox({
  step,
  x,
  y,
  isChosen,
  onChoose,
}: {
  step: StepView
  x: number
  y: number
  isChosen: boolean
  onChoose: (key: string) => void
}) {
  const look = lookOf(step.state)
  const took = tookOf(step)
  const note = plainText(noteOf(step), 500)
  return (
    <button
      type="button"
      className="node"
      style={{ left: x, top: y, width: NODE_WIDTH, height: NODE_HEIGHT }}
      data-tone={look.tone}
      data-dim={DIM.has(step.state)}
      aria-current={isChosen ? 'true' : undefined}
      aria-label={`Step ${step.key}: ${look.text}${took === undefined ? '' : `, ${took}`}`}
      onClick={() => onChoose(step.key)}
    >
      <span className="clip" title={step.key}>
        <strong>{step.key}</strong>
      </span>
      <span className="row between">
        <State look={look} />
        {took !== undefined && <span className="soft">{took}</span>}
      </span>
      <span className="clip soft" title={note}>
        {note}
      </span>
    </button>
  )
})

/** Between two points a curve that is level at both, so that it stays between them. */
function pathOf(edges: readonly Edge[]): string {
  return edges
    .map(({ points: [start, ...rest] }) => {
      let at = start!
      const curves = rest.map((to) => {
        const middle = (at.x + to.x) / 2
        const curve = at.y === to.y ? `H${to.x}` : `C${middle} ${at.y} ${middle} ${to.y} ${to.x} ${to.y}`
        at = to
        return curve
      })
      return `M${start!.x} ${start!.y}${curves.join('')}`
    })
    .join('')
}

/** One path for all edges of a look: a run of a thousand steps has thousands of edges. */
const Edges = memo(function Edges({ still, live, chosen }: { still: string; live: string; chosen: string }) {
  return (
    <svg className="edges" aria-hidden="true">
      <path d={still} />
      <path d={live} data-edge="live" />
      <path d={chosen} data-edge="chosen" />
    </svg>
  )
})

/** Scrolls the step that is chosen into view, within the graph only: the page stays where it is. */
function useInView(chosen: string | undefined, zoom: number | undefined) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const node = place.current?.querySelector('[aria-current]')
    if (!place.current || !node || chosen === undefined || zoom === undefined) return
    const [frame, box] = [place.current.getBoundingClientRect(), node.getBoundingClientRect()]
    const isWithin = (start: number, end: number, from: number, to: number) => start >= from && end <= to
    const left = isWithin(box.left, box.right, frame.left, frame.right)
      ? 0
      : box.left + box.width / 2 - frame.left - frame.width / 2
    const top = isWithin(box.top, box.bottom, frame.top, frame.bottom)
      ? 0
      : box.top + box.height / 2 - frame.top - frame.height / 2
    place.current.scrollBy({ left, top })
  }, [chosen, zoom])
  return place
}

function Zoom({ zoom, onZoom, onFit }: { zoom: number; onZoom: (zoom: number) => void; onFit: () => void }) {
  const button = (label: string, sign: string, onClick: () => void, disabled = false) => (
    <ActionIcon variant="default" aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      {sign}
    </ActionIcon>
  )
  return (
    <span className="row">
      {button('Smaller', '−', () => onZoom(Math.max(ZOOM_MIN, zoom / ZOOM_STEP)), zoom <= ZOOM_MIN)}
      {button('Larger', '+', () => onZoom(Math.min(ZOOM_MAX, zoom * ZOOM_STEP)), zoom >= ZOOM_MAX)}
      {button('Show the whole graph', '⤢', onFit)}
    </span>
  )
}

/** The steps of a run and what each needs; choose one to see it whole. */
export function Graph({
  steps,
  chosen,
  onChoose,
}: {
  steps: readonly StepView[]
  chosen: string | undefined
  onChoose: (key: string) => void
}) {
  const { nodes, edges, width, height } = useMemo(() => layOut(steps), [steps])
  const byKey = useMemo(() => new Map(steps.map((step) => [step.key, step])), [steps])
  const [zoom, setZoom] = useState<number>()
  const place = useInView(chosen, zoom)
  const fit = (least: number) => {
    const element = place.current
    if (element === null) return
    const style = getComputedStyle(element)
    const free = element.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight)
    setZoom(Math.min(1, Math.max(least, free / Math.max(1, width))))
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: a graph is fitted once, when it is first drawn
  useLayoutEffect(() => fit(ZOOM_READABLE), [])
  const isChosen = (edge: Edge) => edge.source === chosen || edge.target === chosen
  const isLive = (edge: Edge) => byKey.get(edge.target)?.state === 'running'
  return (
    <section className="dag" aria-label="Steps of the run">
      <div className="row between">
        <h2>Steps</h2>
        <Zoom zoom={zoom ?? 1} onZoom={setZoom} onFit={() => fit(ZOOM_MIN)} />
      </div>
      <a className="skip" href="#step">
        Skip the {steps.length} steps
      </a>
      <div className="sheet scroll" ref={place}>
        <div style={{ position: 'relative', width, height, zoom: zoom ?? 1 }}>
          <Edges
            still={pathOf(edges.filter((edge) => !isChosen(edge) && !isLive(edge)))}
            live={pathOf(edges.filter((edge) => !isChosen(edge) && isLive(edge)))}
            chosen={pathOf(edges.filter(isChosen))}
          />
          {nodes.map(({ key, x, y }) => (
            <StepBox key={key} step={byKey.get(key)!} x={x} y={y} isChosen={key === chosen} onChoose={onChoose} />
          ))}
        </div>
      </div>
    </section>
  )
}
