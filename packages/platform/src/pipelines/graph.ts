import type { PipelineStep } from '@plimsoll/sdk/wire'
import type { Fault } from '../kernel/errors.ts'

/** Steps that a step needs: those whose outputs it reads, and those in `after`; each once, sorted. */
export function needsOf(step: PipelineStep): string[] {
  const needs = new Set(step.after)
  for (const input of Object.values(step.inputs)) if (input.from === 'step') needs.add(input.step)
  return [...needs].sort()
}

/** Steps in an order in which each stands after what it needs; steps on a cycle are left out. Keeps the given order otherwise. */
export function inOrder(steps: readonly PipelineStep[]): PipelineStep[] {
  const waiting = new Map(steps.map((step) => [step.key, new Set(needsOf(step))]))
  const dependents = new Map<string, PipelineStep[]>()
  for (const step of steps)
    for (const need of needsOf(step)) dependents.set(need, [...(dependents.get(need) ?? []), step])
  const ordered: PipelineStep[] = []
  const queue = steps.filter((step) => waiting.get(step.key)!.size === 0)
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    ordered.push(next)
    for (const dependent of dependents.get(next.key) ?? []) {
      const left = waiting.get(dependent.key)!
      left.delete(next.key)
      if (left.size === 0) queue.push(dependent)
    }
  }
  return ordered
}

/** The steps of one cycle, `[a, b, a]`, or undefined when there is none. */
export function findCycle(steps: readonly PipelineStep[]): readonly string[] | undefined {
  const ordered = new Set(inOrder(steps).map((step) => step.key))
  const stuck = steps.filter((step) => !ordered.has(step.key))
  const first = stuck[0]
  if (!first) return undefined
  const byKey = new Map(stuck.map((step) => [step.key, step]))
  const trail: string[] = []
  for (let step: PipelineStep = first; ; ) {
    if (trail.includes(step.key)) return [...trail.slice(trail.indexOf(step.key)), step.key]
    trail.push(step.key)
    step = byKey.get(needsOf(step).find((need) => byKey.has(need)) ?? first.key)!
  }
}

/** Every fault of a graph: duplicate keys, unknown steps and outputs, cycles. `outputsOf` knows what a kind gives. */
export function graphFaults(
  steps: readonly PipelineStep[],
  outputsOf: (step: PipelineStep) => readonly string[],
): Fault[] {
  const faults: Fault[] = []
  const byKey = new Map<string, PipelineStep>()
  steps.forEach((step, index) => {
    if (byKey.has(step.key))
      faults.push({ pointer: `/steps/${index}/key`, detail: `step ${step.key} is declared twice` })
    byKey.set(step.key, step)
  })
  steps.forEach((step, index) => {
    for (const [name, input] of Object.entries(step.inputs)) {
      if (input.from !== 'step') continue
      const source = byKey.get(input.step)
      const pointer = `/steps/${index}/inputs/${name}`
      if (!source)
        faults.push({
          pointer,
          detail: `step ${step.key} reads ${input.step}.${input.output}, but there is no step ${input.step}`,
        })
      else if (!outputsOf(source).includes(input.output)) {
        faults.push({
          pointer,
          detail: `step ${step.key} reads ${input.step}.${input.output}; ${input.step} gives ${outputsOf(source).join(', ') || 'nothing'}`,
        })
      }
    }
    for (const need of step.after)
      if (!byKey.has(need))
        faults.push({
          pointer: `/steps/${index}/after`,
          detail: `step ${step.key} comes after ${need}, but there is no such step`,
        })
  })
  const cycle = faults.length === 0 ? findCycle(steps) : undefined
  if (cycle)
    faults.push({
      pointer: `/steps/${steps.findIndex(({ key }) => key === cycle[0])}`,
      detail: `the steps form a cycle: ${cycle.join(' → ')}`,
    })
  return faults
}
