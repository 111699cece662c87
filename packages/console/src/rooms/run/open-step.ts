import type { StepView } from '@plimsoll/sdk/wire'

/**
 * The step that a run opens on: one that failed, else one that runs, else the last that ran. A run that took all from the
 * cache opens on its last step.
 */
export function openStepOf(graph: readonly StepView[]): string | undefined {
  const ran = graph.filter((step) => step.attempts > 0 && step.finishedAt !== null)
  const step =
    graph.find(({ state }) => state === 'failed') ??
    graph.find(({ state }) => state === 'running') ??
    ran.reduce<StepView | undefined>((last, one) => (last && endOf(last) > endOf(one) ? last : one), undefined) ??
    graph.findLast(({ state }) => state === 'cached') ??
    graph[0]
  return step?.key
}

function endOf({ finishedAt }: StepView): number {
  return finishedAt === null ? 0 : Date.parse(finishedAt)
}
