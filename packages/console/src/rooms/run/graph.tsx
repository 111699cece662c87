import './graph.css'
import { useComputedColorScheme } from '@mantine/core'
import type { StepView } from '@plimsoll/sdk/wire'
import { Background, Controls, Handle, type Node, type NodeProps, Position, ReactFlow } from '@xyflow/react'
import { useMemo } from 'react'
import { plainText } from '../../format/amount.ts'
import { lookOf, State } from '../../parts/state.tsx'
import { cacheText } from './cache-text.ts'
import { layOut, NODE_HEIGHT, NODE_WIDTH } from './layout.ts'

type StepNode = Node<{ step: StepView }, 'step'>
const DIM = new Set(['blocked', 'upstream_failed', 'cancelled'])

function noteOf(step: StepView): string {
  if (step.state === 'running' && step.progress !== null)
    return `${Math.round(step.progress.fraction * 100)} % ${step.progress.message}`
  if (step.state === 'failed' && step.reason !== null) return step.reason.replaceAll(/\s+/g, ' ')
  return step.cache === null ? step.kind : cacheText(step.cache)
}

function StepBox({ data: { step } }: NodeProps<StepNode>) {
  const look = lookOf(step.state)
  return (
    <div className="node" data-tone={look.tone} data-dim={DIM.has(step.state)} data-state={step.state}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className="clip" title={step.key}>
        <strong>{step.key}</strong>
      </span>
      <State look={look} />
      <span className="clip soft" title={plainText(noteOf(step))}>
        {plainText(noteOf(step), 120)}
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  )
}

const NODE_TYPES = { step: StepBox }

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
  const scheme = useComputedColorScheme('light')
  const places = useMemo(() => layOut(steps), [steps])
  const nodes = useMemo(() => {
    const byKey = new Map(steps.map((step) => [step.key, step]))
    return places.map(
      ({ key, x, y }): StepNode => ({
        id: key,
        type: 'step',
        position: { x, y },
        width: NODE_WIDTH,
        height: NODE_HEIGHT,
        selected: key === chosen,
        data: { step: byKey.get(key)! },
        ariaLabel: `Step ${key}: ${lookOf(byKey.get(key)!.state).text}`,
      }),
    )
  }, [places, steps, chosen])
  const edges = useMemo(
    () =>
      steps.flatMap((step) =>
        step.needs.map((need) => ({
          id: `${need}→${step.key}`,
          source: need,
          target: step.key,
          animated: step.state === 'running',
        })),
      ),
    [steps],
  )
  return (
    <section className="dag" aria-label="Steps of the run">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={{ minZoom: 0.45, maxZoom: 1, padding: 0.12 }}
        minZoom={0.1}
        nodesDraggable={false}
        nodesConnectable={false}
        onlyRenderVisibleElements={steps.length > 200}
        // The address says what is chosen; xyflow only reports what a person selects, by mouse or by keyboard.
        onNodesChange={(changes) => {
          for (const change of changes) if (change.type === 'select' && change.selected) onChoose(change.id)
        }}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={24} />
        <Controls showInteractive={false} />
      </ReactFlow>
    </section>
  )
}
