import { PlimsollError } from '../kernel/errors.ts'
import { type CostModel, createCostModel } from './cost-model.ts'
import { FRAME_TENSORS_MAX } from './frame.ts'
import type { ModelState, ModelStats } from './pool-stats.ts'
import { createRequestQueue, type Entry, type RequestQueue } from './request-queue.ts'
import { canBatch, type ModelInterface, type Tensor } from './tensor.ts'

const DEATHS_MAX = 3
const DEATH_WINDOW_MS = 60_000
const FAILED_MS_MAX = 300_000
const SIGNATURES_MAX = 64
/** Clean runs after which the batch ceiling grows by one row; a missed deadline cuts it to nine tenths (Clipper's AIMD). */
const CLEAN_RUNS = 100
/**
 * Of a model that takes one request a run: the runs that may share a frame, and so their answers, and what they may take
 * together. Enough that sending it costs each little, so short that the first does not wait long for the last.
 */
const FRAME_RUNS_MAX = 64
const FRAME_PLANNED_MS_MAX = 2
/** How fast what a run takes is believed to have grown: one that met a stall of the machine says little of the next. */
const RUN_GROWTH = 0.1
/** What a run may cost with company beside what it costs without, where there is no time to spare. */
const COMPANY_FACTOR = 1.1

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
export type Counters = Mutable<
  Pick<
    ModelStats,
    | 'inferenceCount'
    | 'executionCount'
    | 'successCount'
    | 'failureCount'
    | 'rejectedCount'
    | 'expiredCount'
    | 'successUs'
    | 'failureUs'
    | 'queueUs'
    | 'inferUs'
    | 'lastRunAtMs'
  >
>

/** One model in a pool: interface, queues, cost, health and counters. */
export interface ModelSlot {
  readonly digest: string
  readonly path: string
  readonly session: number
  model: ModelInterface
  state: ModelState
  reason: string | undefined
  cost: CostModel
  /** What a run takes in its host, of a model that takes one request a run; infinite before the first. */
  runMs: number
  ceiling: number
  cleanRuns: number
  readonly queues: Map<string, RequestQueue>
  running: number
  /** When its last run ended, on the monotonic clock. */
  triedMs: number
  /** What it last took to load it into a host. */
  loadMs: number
  deathsMs: number[]
  failures: number
  failedUntilMs: number
  readonly counters: Counters
  readonly batches: Map<number, { count: number; inferUs: number }>
  allOutputs: readonly number[]
  hasFreeDims: boolean
  ready: Promise<ModelInterface>
}

export function createCounters(): Counters {
  return {
    inferenceCount: 0,
    executionCount: 0,
    successCount: 0,
    failureCount: 0,
    rejectedCount: 0,
    expiredCount: 0,
    successUs: 0,
    failureUs: 0,
    queueUs: 0,
    inferUs: 0,
    lastRunAtMs: 0,
  }
}

const NO_INTERFACE: ModelInterface = { inputs: [], outputs: [], maxBatchSize: 0 }

export function createSlot(given: { digest: string; path: string; session: number; counters: Counters }): ModelSlot {
  return {
    ...given,
    model: NO_INTERFACE,
    state: 'loading',
    reason: undefined,
    cost: createCostModel([]),
    runMs: Number.POSITIVE_INFINITY,
    ceiling: 1,
    cleanRuns: 0,
    queues: new Map(),
    running: 0,
    triedMs: Number.NEGATIVE_INFINITY,
    loadMs: 0,
    deathsMs: [],
    failures: 0,
    failedUntilMs: 0,
    batches: new Map(),
    allOutputs: [],
    hasFreeDims: false,
    ready: Promise.resolve(NO_INTERFACE),
  }
}

/** Where the dimensions of a request's own begin: after the rows, of a model that batches. */
const ownDims = (model: ModelInterface) => (canBatch(model) ? 1 : 0)

function ceilingMax(model: ModelInterface): number {
  if (canBatch(model)) return model.maxBatchSize
  const tensors = Math.max(1 + model.inputs.length, model.outputs.length)
  return Math.max(1, Math.min(FRAME_RUNS_MAX, Math.floor(FRAME_TENSORS_MAX / tensors)))
}

export function setInterface(slot: ModelSlot, model: ModelInterface): void {
  slot.model = model
  slot.ceiling = ceilingMax(model)
  slot.allOutputs = model.outputs.map((_, index) => index)
  slot.hasFreeDims = model.inputs.some((spec) => spec.shape.slice(ownDims(model)).includes(-1))
}

/**
 * The queue of a request: only equal shapes share a batch or a frame, where one that takes long would delay the answers of
 * those before it. Past the limit of shapes requests run alone.
 */
export function queueOf(slot: ModelSlot, entry: Pick<Entry, 'inputs'>): { queue: RequestQueue; isSolo: boolean } {
  let signature = ''
  if (slot.hasFreeDims) {
    signature = entry.inputs.map((input) => input.shape.slice(ownDims(slot.model)).join('x')).join('|')
  }
  let queue = slot.queues.get(signature)
  let isSolo = false
  if (!queue && slot.queues.size >= SIGNATURES_MAX) {
    for (const [key, idle] of slot.queues) if (key !== '' && idle.size === 0) slot.queues.delete(key)
    if (slot.queues.size >= SIGNATURES_MAX) {
      isSolo = true
      signature = ''
      queue = slot.queues.get('')
    }
  }
  if (!queue) {
    queue = createRequestQueue()
    slot.queues.set(signature, queue)
  }
  return { queue, isSolo }
}

export function queuedRows(slot: ModelSlot): number {
  let rows = 0
  for (const queue of slot.queues.values()) rows += queue.rows
  return rows
}

/** Rows that wait and run before a request of this deadline that comes now. */
export function rowsUntil(slot: ModelSlot, deadlineMs: number): number {
  let rows = 0
  for (const queue of slot.queues.values()) rows += queue.rowsUntil(deadlineMs)
  return rows
}

/** Estimated time of a frame of so many rows; of a model that takes one request a run, one for each, and the way there once. */
export function frameMs({ model, cost, runMs }: ModelSlot, rows: number): number {
  if (canBatch(model)) return cost.estimateMs(rows)
  const oneMs = cost.estimateMs(1)
  return oneMs + (rows - 1) * Math.min(runMs, oneMs)
}

/** Estimated time to run so many rows, in full batches. */
export function batchesMs(slot: ModelSlot, rows: number): number {
  if (rows === 0) return 0
  const full = canBatch(slot.model) ? slot.ceiling : 1
  const rest = rows % full
  return Math.floor(rows / full) * frameMs(slot, full) + (rest > 0 ? frameMs(slot, rest) : 0)
}

/**
 * The largest prefix that fits the ceiling and still meets the earliest deadline in it, with a margin for the noise of runs.
 * Where that leaves the head alone, what costs hardly more goes along as long as it does not make the head late: on a
 * starved machine runs of one row would never catch up.
 */
export function prefixLength(slot: ModelSlot, queue: RequestQueue, nowMs: number): number {
  const head = queue.head()
  if (!head || head.isSolo) return head ? 1 : 0
  const leftMs = head.deadlineMs - nowMs - 1
  const aloneMs = slot.cost.estimateMs(head.rows)
  const companyMs = COMPANY_FACTOR * aloneMs
  const inTimeMs = Math.max(leftMs - slot.cost.sigmaMs(), aloneMs > leftMs ? companyMs : Math.min(leftMs, companyMs))
  const slackMs = canBatch(slot.model) ? inTimeMs : Math.min(inTimeMs, slot.cost.estimateMs(1) + FRAME_PLANNED_MS_MAX)
  let rows = head.rows
  let count = 1
  for (;;) {
    const next = queue.peek(count)
    if (!next || next.isSolo || rows + next.rows > slot.ceiling) return count
    if (frameMs(slot, rows + next.rows) > slackMs) return count
    rows += next.rows
    count++
  }
}

export function noteRun(
  slot: ModelSlot,
  run: { rows: number; largestRows: number; inferUs: number; endedAtMs: number; lateMs: number },
): void {
  const { counters } = slot
  const [runs, batchRows] = canBatch(slot.model) ? [1, run.rows] : [run.rows, 1]
  const runMs = run.inferUs / runs / 1000
  slot.runMs = runMs < slot.runMs ? runMs : slot.runMs + RUN_GROWTH * (runMs - slot.runMs)
  counters.executionCount += runs
  counters.inferenceCount += run.rows
  counters.inferUs += run.inferUs
  counters.lastRunAtMs = run.endedAtMs
  const batch = slot.batches.get(batchRows) ?? { count: 0, inferUs: 0 }
  batch.count += runs
  batch.inferUs += run.inferUs
  slot.batches.set(batchRows, batch)
  if (run.lateMs > 0) {
    // A run whose requests would have been late alone says nothing of how large a batch may be.
    const addedMs = frameMs(slot, run.rows) - frameMs(slot, run.largestRows)
    if (run.lateMs <= addedMs) slot.ceiling = Math.max(1, Math.floor(slot.ceiling * 0.9))
    slot.cleanRuns = 0
  } else if (++slot.cleanRuns >= CLEAN_RUNS) {
    slot.ceiling = Math.min(ceilingMax(slot.model), slot.ceiling + 1)
    slot.cleanRuns = 0
  }
}

/** Counts a host's death against the model that ran. @returns true when the model has now failed */
export function noteDeath(slot: ModelSlot, nowMs: number): boolean {
  slot.deathsMs = [...slot.deathsMs.filter((atMs) => nowMs - atMs < DEATH_WINDOW_MS), nowMs]
  if (slot.deathsMs.length < DEATHS_MAX) return false
  slot.deathsMs = []
  slot.failedUntilMs = nowMs + Math.min(FAILED_MS_MAX, 1000 * 2 ** slot.failures++)
  slot.state = 'failed'
  slot.reason = `${DEATHS_MAX} model hosts died under it within ${DEATH_WINDOW_MS / 1000} s`
  return true
}

/** @throws unavailable inference.model_loading | inference.model_failed | inference.model_draining */
export function requireReady(slot: ModelSlot, nowMs: number): void {
  if (slot.state === 'ready') return
  if (slot.state === 'failed') {
    if (nowMs >= slot.failedUntilMs && slot.model !== NO_INTERFACE) {
      slot.state = 'ready'
      slot.reason = undefined
      return
    }
    const retryAfterMs = Math.max(1000, slot.failedUntilMs - nowMs)
    throw new PlimsollError(
      'unavailable',
      'inference.model_failed',
      `Cannot infer: model ${slot.digest} failed: ${slot.reason}`,
      { retryAfterMs },
    )
  }
  throw new PlimsollError(
    'unavailable',
    `inference.model_${slot.state}`,
    `Cannot infer: model ${slot.digest} is ${slot.state}`,
    { retryAfterMs: 1000 },
  )
}

/** The inputs in the model's order; undefined when one is missing, unknown or does not fit. */
export function arrange(model: ModelInterface, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
  if (inputs.length !== model.inputs.length) return undefined
  let isOrdered = true
  for (let index = 0; index < inputs.length; index++) {
    if (inputs[index]?.name !== model.inputs[index]?.name) isOrdered = false
  }
  if (isOrdered) return inputs
  const arranged = model.inputs.flatMap((spec) => inputs.find((input) => input.name === spec.name) ?? [])
  return arranged.length === inputs.length ? arranged : undefined
}
