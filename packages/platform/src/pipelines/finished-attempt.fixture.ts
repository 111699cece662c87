import type { FinishedAttempt } from './finish.ts'
import type { ClaimedStep } from './store.ts'

/** A first attempt that succeeded and leaves nothing, of a step that has nothing of its own. */
export function succeededAttempt(
  step: Pick<ClaimedStep, 'project' | 'run' | 'key' | 'definition' | 'fence' | 'pipeline'>,
): FinishedAttempt {
  return {
    step: { ...step, spec: null, inputs: null, verdict: null, attemptsUsed: 0, infraUsed: 0 },
    end: { outcome: 'succeeded', failureClass: undefined, exitCode: 0 },
    outputs: {},
    parts: new Map(),
    json: {},
    locations: [],
    isCacheable: false,
    kind: undefined,
    spec: null,
    inputs: {},
  }
}
