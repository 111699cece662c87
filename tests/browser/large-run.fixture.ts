import { runView, type StepDetail, type StepState, type StepView, stepDetail } from '@plimsoll/sdk/wire'

const STARTED = Date.parse('2001-04-23T11:50:00.000Z')
export const DIGEST = `sha256:${'5'.repeat(64)}`

type Shape = 'chain' | 'fan-out'
export type Run = ReturnType<typeof runView.parse>

/** A step that has run, ended `index` seconds after the start of its run, unless `more` says otherwise. */
export function ranStep(key: string, needs: readonly string[], index = 0, more: Partial<StepView> = {}): StepView {
  return {
    key,
    kind: 'python',
    state: 'succeeded',
    reason: null,
    needs: [...needs],
    attempts: 1,
    cache: { hit: false, reason: 'first-run', key: DIGEST, source: null, diff: [] },
    outputs: [{ name: 'model', type: 'json', digest: DIGEST, sizeBytes: 512 }],
    progress: null,
    trackedRun: null,
    startedAt: new Date(STARTED + index * 1_000).toISOString(),
    finishedAt: new Date(STARTED + (index + 1) * 1_000).toISOString(),
    ...more,
  }
}

export function waitingStep(key: string, needs: readonly string[], state: StepState = 'blocked'): StepView {
  return ranStep(key, needs, 0, { state, attempts: 0, cache: null, outputs: [], startedAt: null, finishedAt: null })
}

/** A run of these steps, as the server tells it. */
export function runOf(graph: readonly StepView[], state: Run['state'], more: Partial<Run> = {}): Run {
  const count = (...states: StepState[]) => graph.filter((step) => states.includes(step.state)).length
  return runView.parse({
    id: 'run_1',
    pipeline: 'train',
    pipelineDigest: DIGEST,
    state,
    reason: null,
    actor: 'ada',
    createdAt: new Date(STARTED).toISOString(),
    startedAt: new Date(STARTED).toISOString(),
    finishedAt: state === 'running' ? null : new Date(STARTED + 60_000).toISOString(),
    steps: {
      total: graph.length,
      done: count('succeeded', 'cached'),
      cached: count('cached'),
      failed: count('failed'),
      running: count('running'),
    },
    params: {},
    graph,
    ...more,
  })
}

/** A step with its definition and attempts. */
export function detailOf(step: StepView, more: Partial<StepDetail> = {}): StepDetail {
  const { key, kind } = step
  return stepDetail.parse({
    params: {},
    ...step,
    definition: { key, kind, timeoutMs: 60_000 },
    spec: null,
    inputs: [],
    result: null,
    tries: [],
    ...more,
  })
}

/** Answers about a run and each of its steps. */
export function answersOf(run: Run, more: Partial<StepDetail> = {}): Record<string, unknown> {
  const path = `/api/v1/runs/${run.id}`
  return {
    [path]: run,
    ...Object.fromEntries(run.graph.map((step) => [`${path}/steps/${step.key}`, detailOf(step, more)])),
  }
}

/** The one attempt of a step that has written so much. */
export function attemptOf(logBytes: number): StepDetail['tries'][number] {
  const startedAt = new Date(STARTED).toISOString()
  return {
    fence: 'f1',
    number: 1,
    state: 'succeeded',
    startedAt,
    finishedAt: startedAt,
    exitCode: 0,
    signal: null,
    failureClass: null,
    message: null,
    logBytes,
    usage: null,
  }
}

const nameOf = (index: number) => `step-${String(index).padStart(4, '0')}`

/** A live run of `count` steps of which `done` have ended and the next one runs: each after the one before, or all after the first and before the last. */
export function largeRun(shape: Shape, count: number, done: number): Run {
  const last = count - 1
  const needsOf = (index: number) => {
    if (index === 0) return []
    if (shape === 'chain') return [nameOf(index - 1)]
    return index === last ? Array.from({ length: count - 2 }, (_, one) => nameOf(one + 1)) : [nameOf(0)]
  }
  const graph = Array.from({ length: count }, (_, index) => {
    if (index > done) return waitingStep(nameOf(index), needsOf(index))
    if (index < done) return ranStep(nameOf(index), needsOf(index), index)
    return ranStep(nameOf(index), needsOf(index), index, { state: 'running', finishedAt: null, outputs: [] })
  })
  return runOf(graph, 'running')
}
