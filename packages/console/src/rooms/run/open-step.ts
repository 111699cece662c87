import type { StepView } from '@plimsoll/sdk/wire'

/** The step that a run opens on: one that failed, else one that runs, else the only one that there is. */
export function openStepOf(graph: readonly StepView[]): string | undefined {
  const step = graph.find(({ state }) => state === 'failed') ?? graph.find(({ state }) => state === 'running')
  return (step ?? (graph.length === 1 ? graph[0] : undefined))?.key
}
