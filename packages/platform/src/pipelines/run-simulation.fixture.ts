import { type RunState, type StepState, TERMINAL_RUNS, TERMINAL_STEPS } from '@plimsoll/sdk/wire'
import { seeded } from '../kernel/seeded.fixture.ts'
import { LOST, NOT_STARTED } from './attempt-end.ts'
import { CANCELLED, failed, SUCCESS } from './attempt-ends.fixture.ts'
import type { Held, StepPlan } from './run-store.fixture.ts'
import { openRunStoreTwin, type TwinStep } from './run-store-twin.fixture.ts'
import { type AttemptEnd, INFRA_RETRIES_MAX } from './transition.ts'

const SCHEDULERS = 2
const SLOTS = 3
const RUNS_MAX = 2
const STEPS_MAX = 5
const RETRIES_MAX = 2
const FAULTY_TURNS = 30
const SECOND = 1_000
const LATE_MS_MAX = 600 * SECOND
/** Longer than any delay of a retry within its budget, shorter than a lease. */
const CALM_MS = 25 * SECOND
const CALM_RUNNING_MS_MAX = 20 * SECOND
/** Tries of one step: the first, and those of both budgets. */
const TRIES_MAX = 1 + Math.max(RETRIES_MAX, INFRA_RETRIES_MAX) + INFRA_RETRIES_MAX

const FAILURES: readonly AttemptEnd[] = [
  failed('user_error', 1),
  failed('user_error', 75),
  failed('user_error', 78),
  failed('timeout'),
  failed('killed', 137),
  failed('disk_full'),
  failed('lost'),
]

/** The program of an attempt, which runs whether or not somebody follows it. */
interface Program {
  end: AttemptEnd
  endsAtMs: number
}

interface Following {
  readonly attempt: Held
  readonly program: Program
  isReported: boolean
}

/** An end that is on its way into the database. */
interface Letter {
  readonly from: Scheduler
  readonly attempt: Held
  readonly end: AttemptEnd | 'cached'
  readonly atMs: number
}

interface Scheduler {
  readonly name: string
  /** Another one after each death. */
  owner: string
  incarnation: number
  readonly follows: Map<bigint, Following>
  stalledUntilMs: number
}

/** What has been seen of a step so far. */
interface Watched {
  readonly step: TwinStep
  was: StepState
  /** Ends that gave it its outputs. */
  adoptions: number
  /** Tries that ends have given it, by whose budget they use. */
  userRetries: number
  infraRetries: number
  /** How its program ends each time, if always the same. */
  readonly fate: AttemptEnd | undefined
}

interface World {
  readonly store: ReturnType<typeof openRunStoreTwin>
  /** A whole number below `limit`. */
  readonly draw: (limit: number) => number
  readonly schedulers: readonly Scheduler[]
  readonly programs: Map<bigint, Program>
  letters: Letter[]
  readonly watched: Map<TwinStep, Watched>
  readonly runsWere: Map<string, RunState>
  readonly cancelled: Set<string>
  nowMs: number
  isCalm: boolean
  readonly log: ((event: string) => void) | undefined
}

const ENDED = new Set<StepState>(TERMINAL_STEPS)
const ENDED_RUNS = new Set<RunState>(TERMINAL_RUNS)

function demand(isSo: boolean, rule: string, step?: TwinStep): asserts isSo {
  if (!isSo) throw new Error(step ? `${rule}: ${step.run.id} ${step.key}, ${step.state}` : rule)
}

/** What holds after each operation. */
function check({ store, watched, runsWere, cancelled }: World): void {
  for (const run of store.runs.values()) {
    const was = runsWere.get(run.id)!
    demand(!ENDED_RUNS.has(was) || run.state === was, 'a run that has ended stays as it is')
    let open = 0
    let isWell = true
    for (const step of run.steps.values()) {
      if (!ENDED.has(step.state)) open++
      if (step.state !== 'succeeded' && step.state !== 'cached') isWell = false
      checkStep(step, watched.get(step)!)
    }
    demand(run.open === open, 'open counts the steps that have not ended')
    const isCancelled = cancelled.has(run.id)
    const end = isCancelled ? 'cancelled' : isWell ? 'succeeded' : 'failed'
    demand(run.state === (open > 0 ? (isCancelled ? 'cancelling' : 'running') : end), 'a run ends when nothing is open')
    runsWere.set(run.id, run.state)
  }
}

function checkStep(step: TwinStep, seen: Watched): void {
  const { state, fence, attempts } = step
  demand(!ENDED.has(seen.was) || state === seen.was, `a step that was ${seen.was} stays as it is`, step)
  if (state === 'running' || state === 'succeeded' || state === 'cached')
    for (const need of step.needs)
      demand(
        need.state === 'succeeded' || need.state === 'cached',
        'a step starts after its needs have ended well',
        step,
      )
  let live = 0
  let succeeded = 0
  for (const attempt of attempts) {
    if (attempt.state === 'running') {
      live++
      demand(attempt.fence === fence, 'what runs holds the fence', step)
    } else if (attempt.state === 'succeeded') succeeded++
  }
  demand(live === (state === 'running' ? 1 : 0), 'a step that runs has one live attempt, no other has any', step)
  demand(succeeded === (state === 'succeeded' ? 1 : 0), 'one attempt of a step succeeds, and makes it so', step)
  demand(seen.adoptions === (state === 'succeeded' || state === 'cached' ? 1 : 0), 'outputs are adopted once', step)
  seen.was = state
}

function addRun(world: World): void {
  const { store, draw, watched } = world
  const plans: StepPlan[] = []
  for (let at = 1 + draw(STEPS_MAX); at > 0; at--) {
    const needs = plans.filter(() => draw(3) === 0).map(({ key }) => key)
    plans.push({ key: `s${plans.length}`, needs, retries: draw(RETRIES_MAX + 1) })
  }
  const id = store.add(plans)
  world.runsWere.set(id, 'queued')
  store.plan(id)
  for (const step of store.runs.get(id)!.steps.values())
    watched.set(step, {
      step,
      was: step.state,
      adoptions: 0,
      userRetries: 0,
      infraRetries: 0,
      fate: draw(5) === 0 ? FAILURES[draw(FAILURES.length)]! : undefined,
    })
  world.log?.(`${id} of ${plans.length}`)
}

function seenOf({ store, watched }: World, { run, key }: Held): Watched {
  return watched.get(store.runs.get(run)!.steps.get(key)!)!
}

/** What a scheduler does with a step that it has claimed: its program starts, or the cache turns out to know it. */
function begin(world: World, scheduler: Scheduler, attempt: Held): void {
  const { draw, store, nowMs, isCalm } = world
  demand(store.runs.get(attempt.run)!.state === 'running', 'nothing is claimed of a run that does not go on')
  if (draw(10) === 0) {
    const none = { end: LOST, endsAtMs: Number.POSITIVE_INFINITY }
    scheduler.follows.set(attempt.fence, { attempt, program: none, isReported: true })
    world.letters.push({ from: scheduler, attempt, end: 'cached', atMs: arrivalOf(world) })
    return
  }
  const runningMs = draw(isCalm ? CALM_RUNNING_MS_MAX : draw(4) === 0 ? LATE_MS_MAX : CALM_MS)
  const end = seenOf(world, attempt).fate ?? (draw(3) > 0 ? SUCCESS : FAILURES[draw(FAILURES.length)]!)
  const program = { end, endsAtMs: nowMs + runningMs }
  world.programs.set(attempt.fence, program)
  scheduler.follows.set(attempt.fence, { attempt, program, isReported: false })
}

function arrivalOf({ draw, nowMs, isCalm }: World): number {
  return isCalm || draw(2) === 0 ? nowMs : nowMs + draw(LATE_MS_MAX)
}

function wantedOf({ follows }: Scheduler) {
  const running = new Map<string, number>()
  for (const { attempt } of follows.values()) running.set(attempt.run, (running.get(attempt.run) ?? 0) + 1)
  return { limit: Math.max(0, SLOTS - follows.size), running }
}

function claim(world: World, scheduler: Scheduler): void {
  const claimed = world.store.claim(scheduler.owner, wantedOf(scheduler))
  world.log?.(`${scheduler.owner} claims ${claimed.length}`)
  // It may die between the claim and the start.
  if (!world.isCalm && claimed.length > 0 && world.draw(15) === 0) die(world, scheduler)
  else for (const attempt of claimed) begin(world, scheduler, attempt)
}

/** Keeps leases, lets go of what is lost, and takes over what others have let run out. */
function watch(world: World, scheduler: Scheduler, isOnlyExpired = true): void {
  const { store, programs, log } = world
  const kept = store.renew(
    scheduler.owner,
    [...scheduler.follows.values()].map(({ attempt }) => attempt),
  )
  for (const [fence, { program }] of scheduler.follows) {
    const isCancelling = kept.get(fence)
    if (isCancelling === undefined) scheduler.follows.delete(fence)
    else if (isCancelling && program.endsAtMs > world.nowMs)
      Object.assign(program, { end: CANCELLED, endsAtMs: world.nowMs })
  }
  const taken = store.takeOver(scheduler.owner, isOnlyExpired)
  log?.(`${scheduler.owner} keeps ${kept.size}, takes over ${taken.length}`)
  for (const attempt of taken) {
    const program = programs.get(attempt.fence) ?? { end: NOT_STARTED, endsAtMs: world.nowMs }
    if (!scheduler.follows.has(attempt.fence))
      scheduler.follows.set(attempt.fence, { attempt, program, isReported: false })
  }
}

/** Writes down the ends that a scheduler sees; on the way a letter may be lost, doubled or late. */
function report(world: World, scheduler: Scheduler): void {
  for (const following of scheduler.follows.values()) {
    const { attempt, program, isReported } = following
    if (isReported || program.endsAtMs > world.nowMs) continue
    const fate = world.isCalm ? 9 : world.draw(10)
    if (fate === 0) scheduler.follows.delete(attempt.fence)
    else following.isReported = true
    for (let copies = fate === 0 ? 0 : fate <= 2 ? 2 : 1; copies > 0; copies--)
      world.letters.push({ from: scheduler, attempt, end: program.end, atMs: arrivalOf(world) })
  }
}

/** Commits the letters of a scheduler that have arrived: each attempt once in a transaction, copies in the next one. */
function commit(world: World, scheduler: Scheduler): void {
  const batch = new Map<bigint, Letter>()
  for (const letter of world.letters)
    if (letter.from === scheduler && letter.atMs <= world.nowMs && !batch.has(letter.attempt.fence))
      batch.set(letter.attempt.fence, letter)
  if (batch.size === 0) return
  world.letters = world.letters.filter((letter) => batch.get(letter.attempt.fence) !== letter)
  const reports: { attempt: Held; end: AttemptEnd }[] = []
  for (const { attempt, end } of batch.values()) {
    scheduler.follows.delete(attempt.fence)
    if (end === 'cached') adopt(world, attempt)
    else reports.push({ attempt, end })
  }
  const { held, claimed } = world.store.finish(scheduler.owner, reports, wantedOf(scheduler))
  for (const [at, { attempt, end }] of reports.entries()) {
    world.log?.(`${scheduler.owner} ends ${attempt.run} ${attempt.key} ${end.failureClass ?? 'well'}: ${held[at]}`)
    if (!held[at]) continue
    const seen = seenOf(world, attempt)
    if (end.outcome === 'succeeded') seen.adoptions++
    else if (seen.step.state === 'ready' && end !== NOT_STARTED) spend(seen, end)
  }
  // The answer may be lost: what was claimed is then the owner's, and it does not know.
  if (!world.isCalm && world.draw(12) === 0) return
  for (const attempt of claimed) begin(world, scheduler, attempt)
}

/** A step may be tried again after this end: within the budget that it uses. */
function spend(seen: Watched, { failureClass, exitCode }: AttemptEnd): void {
  const { step } = seen
  const isInfra =
    failureClass === 'lost' || failureClass === 'disk_full' || (failureClass === 'killed' && seen.infraRetries === 0)
  const userMax = exitCode === 78 ? 0 : exitCode === 75 ? Math.max(step.retries, INFRA_RETRIES_MAX) : step.retries
  const isWithin = isInfra ? ++seen.infraRetries <= INFRA_RETRIES_MAX : ++seen.userRetries <= userMax
  demand(isWithin, 'a step is tried again within its budget', step)
}

function adopt(world: World, attempt: Held): void {
  const [isHeld] = world.store.adopt([attempt])
  world.log?.(`adopt ${attempt.run} ${attempt.key}: ${isHeld}`)
  if (isHeld) seenOf(world, attempt).adoptions++
}

/** Its holds are gone, its letters may arrive all the same, and its programs go on or die. The next one takes over. */
function die(world: World, scheduler: Scheduler): void {
  const { draw } = world
  for (const { program } of scheduler.follows.values())
    if (program.endsAtMs > world.nowMs && draw(3) === 0) Object.assign(program, { end: LOST, endsAtMs: world.nowMs })
  scheduler.follows.clear()
  world.letters = world.letters.filter(({ from }) => from !== scheduler || draw(2) === 0)
  scheduler.owner = `${scheduler.name}${++scheduler.incarnation}`
  scheduler.stalledUntilMs = 0
  world.log?.(`${scheduler.owner} begins`)
  watch(world, scheduler, draw(2) === 0)
}

function turn(world: World): void {
  const { draw, store, schedulers, log } = world
  const scheduler = schedulers[draw(SCHEDULERS)]!
  const isStalled = scheduler.stalledUntilMs > world.nowMs
  const fate = draw(40)
  if (fate === 0) die(world, scheduler)
  else if (fate === 1) scheduler.stalledUntilMs = world.nowMs + draw(120 * SECOND)
  else if (fate === 2 && draw(3) === 0) {
    const id = [...store.runs.keys()][draw(store.runs.size)]!
    const state = store.cancel(id)
    if (state.startsWith('cancel')) world.cancelled.add(id)
    log?.(`cancel ${id}: ${state}`)
  } else if (fate <= 3 && store.runs.size < RUNS_MAX) addRun(world)
  else if (fate < 12) advance(world, draw(4) === 0 ? draw(LATE_MS_MAX) : draw(5 * SECOND))
  else if (isStalled) return
  else if (fate < 20) watch(world, scheduler)
  else if (fate < 26) claim(world, scheduler)
  else {
    report(world, scheduler)
    commit(world, scheduler)
  }
}

function advance(world: World, ms: number): void {
  world.nowMs += ms
  world.store.advance(ms)
  world.log?.(`+${ms} ms`)
}

/** Faults have stopped: every run must end within as many turns as its steps have tries, twice: one to start, one to end. */
function calmDown(world: World): number {
  const { store, programs, schedulers } = world
  world.isCalm = true
  for (const program of programs.values())
    program.endsAtMs = Math.min(program.endsAtMs, world.nowMs + CALM_RUNNING_MS_MAX)
  world.letters = world.letters.map((letter) => ({ ...letter, atMs: Math.min(letter.atMs, world.nowMs) }))
  const steps = [...store.runs.values()].reduce((sum, run) => sum + run.steps.size, 0)
  const turnsMax = 2 * TRIES_MAX * steps
  for (let turns = 0; ; turns++) {
    if ([...store.runs.values()].every(({ state }) => ENDED_RUNS.has(state))) return turns
    demand(turns < turnsMax, `every run ends within ${turnsMax} turns`)
    advance(world, CALM_MS)
    for (const scheduler of schedulers)
      for (const work of [watch, report, commit, claim]) {
        work(world, scheduler)
        check(world)
      }
  }
}

/**
 * One schedule that a seed determines: schedulers that die, stall, and lose, double and delay their reports; then none of
 * that, until every run has ended. Gives the turns of that calm.
 * @throws Error what does not hold, with the seed
 */
export function simulate(seed: number, log?: (event: string) => void): number {
  const random = seeded(seed)
  const world: World = {
    store: openRunStoreTwin(),
    draw: (limit) => Math.floor(random() * limit),
    schedulers: ['a', 'b'].map((name) => ({
      name,
      owner: `${name}0`,
      incarnation: 0,
      follows: new Map(),
      stalledUntilMs: 0,
    })),
    programs: new Map(),
    letters: [],
    watched: new Map(),
    runsWere: new Map(),
    cancelled: new Set(),
    nowMs: 0,
    isCalm: false,
    log,
  }
  try {
    addRun(world)
    for (let at = 0; at < FAULTY_TURNS; at++) {
      turn(world)
      check(world)
    }
    return calmDown(world)
  } catch (error) {
    throw new Error(`Seed ${seed}: ${(error as Error).message}`, { cause: error })
  }
}
