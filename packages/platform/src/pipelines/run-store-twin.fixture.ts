import { type AttemptState, isTerminalRun, type RunState, type StepState } from '@plimsoll/sdk/wire'
import {
  attemptLine,
  type Held,
  type Report,
  type RunStore,
  runId,
  runLine,
  type StepPlan,
  stepLine,
} from './run-store.fixture.ts'
import { LEASE_SECONDS, type Wanted } from './store.ts'
import { nextOfBlocked, nextOfRun, nextOfStep } from './transition.ts'

export interface TwinAttempt {
  readonly fence: bigint
  readonly number: number
  state: AttemptState
}

export interface TwinStep {
  readonly run: TwinRun
  readonly key: string
  readonly retries: number
  readonly needs: readonly TwinStep[]
  readonly dependents: TwinStep[]
  readonly attempts: TwinAttempt[]
  state: StepState
  waiting: number
  upFailed: number
  attemptsUsed: number
  infraUsed: number
  eligibleMs: number
  fence: bigint | undefined
  owner: string | null
  leaseMs: number | null
}

export interface TwinRun {
  readonly id: string
  readonly plans: readonly StepPlan[]
  readonly steps: Map<string, TwinStep>
  state: RunState
  open: number
  failed: number
}

export interface Twin {
  readonly runs: Map<string, TwinRun>
  nowMs: number
  fence: bigint
}

interface Ended {
  readonly step: TwinStep
  readonly isFailure: boolean
}

const LEASE_MS = LEASE_SECONDS * 1_000

function add(twin: Twin, plans: readonly StepPlan[]): string {
  const id = runId(twin.runs.size + 1)
  twin.runs.set(id, { id, plans, steps: new Map(), state: 'queued', open: 0, failed: 0 })
  return id
}

function plan(twin: Twin, id: string): void {
  const run = twin.runs.get(id)!
  if (run.state !== 'queued') return
  for (const { key, needs, retries } of run.plans) {
    const step: TwinStep = {
      run,
      key,
      retries,
      needs: needs.map((need) => run.steps.get(need)!),
      dependents: [],
      attempts: [],
      state: nextOfBlocked(needs.length, 0, false),
      waiting: needs.length,
      upFailed: 0,
      attemptsUsed: 0,
      infraUsed: 0,
      eligibleMs: twin.nowMs,
      fence: undefined,
      owner: null,
      leaseMs: null,
    }
    for (const need of step.needs) need.dependents.push(step)
    run.steps.set(key, step)
  }
  run.open = run.plans.length
  run.state = nextOfRun(run.open, 0, false)
}

/** Of runs with the fewest running steps first, so that a wide run cannot starve a small one. */
function claim(twin: Twin, owner: string, { limit, running }: Wanted): Held[] {
  const turn: { step: TwinStep; place: number }[] = []
  for (const run of twin.runs.values()) {
    if (run.state !== 'running') continue
    const due = [...run.steps.values()].filter(({ state, eligibleMs }) => state === 'ready' && eligibleMs <= twin.nowMs)
    due.sort((a, b) => a.eligibleMs - b.eligibleMs || (a.key < b.key ? -1 : 1))
    for (const [index, step] of due.entries()) turn.push({ step, place: index + 1 + (running.get(run.id) ?? 0) })
  }
  turn.sort(
    (a, b) =>
      a.place - b.place ||
      a.step.eligibleMs - b.step.eligibleMs ||
      (a.step.run.id < b.step.run.id ? -1 : a.step.run.id > b.step.run.id ? 1 : a.step.key < b.step.key ? -1 : 1),
  )
  return turn.slice(0, limit).map(({ step }) => {
    step.state = 'running'
    lease(twin, step, owner)
    return begin(twin, step)
  })
}

function takeOver(twin: Twin, owner: string, isOnlyExpired: boolean): Held[] {
  const taken: Held[] = []
  for (const run of twin.runs.values())
    for (const step of run.steps.values()) {
      if (step.state !== 'running' || (isOnlyExpired && step.leaseMs! >= twin.nowMs)) continue
      lease(twin, step, owner)
      taken.push(heldOf(step))
    }
  return taken
}

function renew(twin: Twin, owner: string, held: readonly Held[]): Map<bigint, boolean> {
  const kept = new Map<bigint, boolean>()
  for (const attempt of held) {
    const step = holding(twin, attempt)
    if (step?.owner !== owner) continue
    lease(twin, step, owner)
    kept.set(attempt.fence, step.run.state === 'cancelling')
  }
  return kept
}

function finish(
  twin: Twin,
  owner: string,
  reports: readonly Report[],
  wanted: Wanted,
): { held: boolean[]; claimed: Held[] } {
  const ended: Ended[] = []
  const held = reports.map((report) => endAttempt(twin, report, ended))
  release(twin, ended)
  return { held, claimed: claim(twin, owner, wanted) }
}

function adopt(twin: Twin, attempts: readonly Held[]): boolean[] {
  const ended: Ended[] = []
  const held = attempts.map((attempt) => {
    const step = holding(twin, attempt)
    if (!step) return false
    step.attempts.splice(
      step.attempts.findIndex(({ fence }) => fence === attempt.fence),
      1,
    )
    step.state = 'cached'
    step.owner = step.leaseMs = null
    ended.push({ step, isFailure: false })
    return true
  })
  release(twin, ended)
  return held
}

function cancel(twin: Twin, id: string): RunState {
  const run = twin.runs.get(id)!
  if (isTerminalRun(run.state)) return run.state
  for (const step of run.steps.values()) {
    if (step.state !== 'blocked' && step.state !== 'ready') continue
    step.state = nextOfBlocked(step.waiting, step.upFailed, true)
    run.open--
  }
  run.state = nextOfRun(run.open, run.failed, true)
  return run.state
}

function supersede(twin: Twin, attempt: Held): Held[] {
  const step = holding(twin, attempt)
  return step ? [begin(twin, step)] : []
}

function read(twin: Twin): string[] {
  const runs = [...twin.runs.values()]
  const steps = runs.flatMap((run) => [...run.steps.values()].sort((a, b) => (a.key < b.key ? -1 : 1)))
  return [
    ...runs.map(runLine),
    ...steps.map((step) => stepLine({ ...step, run: step.run.id })),
    ...steps.flatMap(({ run, key, attempts }) =>
      attempts.map(({ number, state }) => attemptLine({ run: run.id, key, number, state })),
    ),
  ]
}

/** The step whose current attempt this is, while it runs. */
function holding(twin: Twin, { run, key, fence }: Held): TwinStep | undefined {
  const step = twin.runs.get(run)!.steps.get(key)!
  return step.state === 'running' && step.fence === fence ? step : undefined
}

function lease(twin: Twin, step: TwinStep, owner: string): void {
  step.owner = owner
  step.leaseMs = twin.nowMs + LEASE_MS
}

function begin(twin: Twin, step: TwinStep): Held {
  step.fence = ++twin.fence
  step.attempts.push({ fence: step.fence, number: step.attempts.length + 1, state: 'running' })
  return heldOf(step)
}

/** Ends an attempt: only the one that holds the fence changes its step. */
function endAttempt(twin: Twin, { attempt, end }: Report, ended: Ended[]): boolean {
  const step = holding(twin, attempt)
  const row = twin.runs
    .get(attempt.run)!
    .steps.get(attempt.key)!
    .attempts.find(({ fence }) => fence === attempt.fence)
  if (!step) {
    if (row?.state === 'running') row.state = 'superseded'
    return false
  }
  const next = nextOfStep(end, step, step.run.state === 'cancelling')
  row!.state =
    next.state === 'succeeded' || next.state === 'cancelled' ? next.state : end.outcome === 'lost' ? 'lost' : 'failed'
  step.state = next.state
  step.owner = step.leaseMs = null
  if (next.state !== 'ready') {
    ended.push({ step, isFailure: next.state !== 'succeeded' })
    return true
  }
  step.fence = undefined
  step.eligibleMs = twin.nowMs + next.delayMs
  if (next.budget === 'user') step.attemptsUsed++
  if (next.budget === 'infra') step.infraUsed++
  return true
}

/** Counts down what waited for steps that have ended, wave by wave, and ends the runs of which nothing is open. */
function release(twin: Twin, ended: readonly Ended[]): void {
  for (let wave = ended; wave.length > 0; ) {
    const reached = new Set<TwinStep>()
    for (const { step, isFailure } of wave) {
      step.run.open--
      if (isFailure) step.run.failed++
      for (const dependent of step.dependents) {
        if (dependent.state !== 'blocked') continue
        dependent.waiting--
        if (isFailure) dependent.upFailed++
        reached.add(dependent)
      }
    }
    for (const step of reached) {
      step.state = nextOfBlocked(step.waiting, step.upFailed, false)
      if (step.state === 'ready') step.eligibleMs = twin.nowMs
    }
    for (const run of new Set(wave.map(({ step }) => step.run)))
      run.state = nextOfRun(run.open, run.failed, run.state === 'cancelling')
    wave = [...reached].filter(({ state }) => state === 'upstream_failed').map((step) => ({ step, isFailure: true }))
  }
}

function heldOf(step: TwinStep): Held {
  return { run: step.run.id, key: step.key, fence: step.fence! } // it runs
}

/**
 * The run store in memory: what the SQL has to do, said by the pure functions of the state machine. Its clock stands still
 * until it is moved.
 */
export function openRunStoreTwin() {
  const twin: Twin = { runs: new Map(), nowMs: 0, fence: 0n }
  return {
    runs: twin.runs,
    add: (steps) => add(twin, steps),
    plan: (run) => plan(twin, run),
    claim: (owner, wanted) => claim(twin, owner, wanted),
    takeOver: (owner, isOnlyExpired) => takeOver(twin, owner, isOnlyExpired),
    renew: (owner, held) => renew(twin, owner, held),
    finish: (owner, reports, wanted) => finish(twin, owner, reports, wanted),
    adopt: (held) => adopt(twin, held),
    cancel: (run) => cancel(twin, run),
    supersede: (attempt) => supersede(twin, attempt),
    advance: (ms) => {
      twin.nowMs += ms
    },
    read: () => read(twin),
  } satisfies RunStore & Pick<Twin, 'runs'>
}
