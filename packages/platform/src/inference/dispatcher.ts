import type { Clock } from '../kernel/clock.ts'
import { PlimsollError, toPlimsollError } from '../kernel/errors.ts'
import { encodeBatch, type Piece, splitBatch } from './batch.ts'
import { decodeTensors, readHeader } from './frame.ts'
import { failureOf } from './host-failure.ts'
import { hostAway, hostDied } from './host-process.ts'
import { countRows, shapeFits, validateAgainst } from './model-interface.ts'
import {
  arrange,
  batchesMs,
  frameMs,
  type ModelSlot,
  noteDeath,
  noteRun,
  prefixLength,
  queuedRows,
  queueOf,
  requireReady,
  rowsUntil,
} from './model-slot.ts'
import { inferInPieces } from './pieces.ts'
import { type HostPlace, type PoolHosts, upInMs } from './pool-hosts.ts'
import type { PoolRequest, PoolResult } from './pool-stats.ts'
import type { Entry, RequestQueue } from './request-queue.ts'
import { canBatch, type ModelInterface, type Tensor } from './tensor.ts'

const MARGIN_MS = 1
/** A run that takes this many times what is expected, and as long beyond everybody's deadline, hangs. */
const HUNG_FACTOR = 10
const HUNG_GRACE_MS = 5_000
/**
 * What recent runs took stands for so long, and for so many times what one takes: then a request is run whatever they took,
 * since the machine may have been slow. What is in vain takes a tenth of a host at most.
 */
const STANDS_MS = 1_000
const STANDS_FACTOR = 10
const NEVER_MS = Number.POSITIVE_INFINITY

export interface DispatcherOptions {
  readonly clock: Clock
  readonly queueRowsMax: number
  readonly queueRequestsMax: number
  readonly defaultDeadlineMs: number
  readonly runTimeoutMs: number
}

/**
 * How long a run may take before its host is taken for hung: every model of the host waits for it. Never more than
 * `timeoutMs`.
 */
export function runLimitMs(run: { estimateMs: number; wantedMs: number; timeoutMs: number }): number {
  return Math.min(run.timeoutMs, Math.max(HUNG_FACTOR * run.estimateMs, run.wantedMs) + HUNG_GRACE_MS)
}

interface Waiting {
  readonly slot: ModelSlot
  readonly queue: RequestQueue
}

/**
 * Queues and batches. A free host takes work at once; while hosts are busy requests wait, ordered by deadline, and the
 * next free host takes the largest batch that still meets the earliest deadline. A request is admitted when what runs
 * before it leaves it time; one that it delays past its own deadline is failed then. No timer is on this path.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #clock: Clock
  readonly #waiting = new Map<RequestQueue, Waiting>()
  #hosts: PoolHosts | undefined
  #queued = 0
  #request = 0
  readonly #idleWatchers = new Set<() => void>()

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#clock = options.clock
  }

  attach(hosts: PoolHosts): void {
    this.#hosts = hosts
  }

  /** A request of more rows than a batch takes is run in pieces. */
  submit(slot: ModelSlot, request: PoolRequest): Promise<PoolResult> {
    const nowMs = this.#clock.monotonicMs()
    requireReady(slot, nowMs)
    const whole = admit(slot.model, request.inputs)
    const outputs = resolveOutputs(slot, request.outputs)
    const deadlineMs = request.deadlineMs ?? nowMs + this.#options.defaultDeadlineMs
    const enter = (piece: Piece, signal: PoolRequest['signal']) =>
      this.#enter(slot, { ...piece, outputs, deadlineMs, arrivedMs: nowMs }, signal)
    const { signal } = request
    const rowsMax = slot.model.maxBatchSize
    return rowsMax > 0 && whole.rows > rowsMax
      ? inferInPieces({ ...whole, rowsMax, signal }, enter)
      : enter(whole, signal)
  }

  #enter(
    slot: ModelSlot,
    asked: Piece & Pick<Entry, 'outputs' | 'deadlineMs' | 'arrivedMs'>,
    signal: PoolRequest['signal'],
  ): Promise<PoolResult> {
    return new Promise((resolve, reject) => {
      const entry: Entry = {
        ...asked,
        startedMs: 0,
        isSolo: false,
        attempts: 0,
        isSettled: false,
        resolve,
        reject,
      }
      let isWaiting: boolean
      try {
        isWaiting = this.#arrive(slot, entry, asked.arrivedMs)
      } catch (thrown) {
        slot.counters.rejectedCount++
        reject(thrown)
        return
      }
      if (signal && isWaiting) this.#watchAbort(slot, entry, signal())
    })
  }

  #watchAbort(slot: ModelSlot, entry: Entry, signal: AbortSignal): void {
    const onAbort = () => {
      const { queue } = queueOf(slot, entry)
      if (entry.isSettled || !queue.remove(entry)) return
      this.#queued--
      this.#fail(slot, entry, signal.reason)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  }

  /** True when the request has to wait. */
  #arrive(slot: ModelSlot, entry: Entry, nowMs: number): boolean {
    const { queue, isSolo } = queueOf(slot, entry)
    entry.isSolo = isSolo
    const place = this.#admit(slot, entry, nowMs)
    if (place) this.#run(place, slot, [entry], nowMs)
    else this.#enqueue(slot, queue, entry)
    return place === undefined
  }

  /** Why a request of one row would be refused now; of more rows it would be too. */
  findRefusal(slot: ModelSlot, deadlineMs: number): PlimsollError | undefined {
    const nowMs = this.#clock.monotonicMs()
    try {
      requireReady(slot, nowMs)
      this.#admit(slot, { rows: 1, deadlineMs }, nowMs)
      return undefined
    } catch (thrown) {
      return toPlimsollError(thrown)
    }
  }

  /**
   * The host that takes the request at once, or undefined where it has to wait.
   * @throws deadline inference.deadline_passed · overloaded inference.queue_full | inference.deadline_infeasible
   */
  #admit(slot: ModelSlot, asked: Pick<Entry, 'rows' | 'deadlineMs'>, nowMs: number): HostPlace | undefined {
    const { rows, deadlineMs } = asked
    if (deadlineMs <= nowMs) throw deadlinePassed()
    const place = this.#queued === 0 ? this.#freePlace(slot) : undefined
    if (!place) {
      this.#demandRoom(slot, asked, nowMs)
      return undefined
    }
    if (nowMs + leastMs(slot, rows, nowMs) > deadlineMs) throw infeasible(slot.cost.estimateMs(rows))
    return place
  }

  /** @throws overloaded inference.queue_full | inference.deadline_infeasible */
  #demandRoom(slot: ModelSlot, { rows, deadlineMs }: Pick<Entry, 'rows' | 'deadlineMs'>, nowMs: number): void {
    const { queueRequestsMax, queueRowsMax } = this.#options
    const full =
      this.#queued >= queueRequestsMax
        ? 'too many requests are waiting'
        : queuedRows(slot) + rows > queueRowsMax
          ? `more than ${queueRowsMax} rows would be waiting`
          : undefined
    if (full !== undefined) throw queueFull(full, this.#waitMs(slot, { rows, deadlineMs: NEVER_MS }, nowMs))
    const waitMs = this.#waitMs(slot, { rows, deadlineMs }, nowMs)
    if (nowMs + waitMs + MARGIN_MS > deadlineMs) throw infeasible(waitMs)
  }

  /** Expected time until a request that arrives now would be answered: what waits with a later deadline runs after it. */
  #waitMs(slot: ModelSlot, { rows, deadlineMs }: Pick<Entry, 'rows' | 'deadlineMs'>, nowMs: number): number {
    const places = this.#hosts?.places ?? []
    const ownMs = isKnown(slot, rows, nowMs) ? batchesMs(slot, rowsUntil(slot, deadlineMs) + rows) : 0
    let totalMs = ownMs + this.#awayMs(slot, nowMs)
    let alive = 0
    for (const place of places) {
      if (!place.process?.isAlive) continue
      alive++
      // A run that is overdue may take as long again: what hangs is waited for less and less readily.
      if (place.process.isBusy) totalMs += Math.abs(place.expectedMs - nowMs)
    }
    const others = new Set<ModelSlot>()
    for (const waiting of this.#waiting.values()) if (waiting.slot !== slot) others.add(waiting.slot)
    for (const other of others) totalMs += batchesMs(other, rowsUntil(other, deadlineMs))
    return totalMs / Math.max(1, alive)
  }

  /** In how long a host should hold the model again, told rather too short; 0 when one does. */
  #awayMs(slot: ModelSlot, nowMs: number): number {
    const hosts = this.#hosts
    if (!hosts || this.#isHeld(slot)) return 0
    return upInMs(hosts.places, nowMs) + slot.loadMs
  }

  #isHeld(slot: ModelSlot): boolean {
    return this.#hosts?.places.some((place) => place.process?.isAlive && place.loaded.has(slot.session)) ?? false
  }

  #enqueue(slot: ModelSlot, queue: RequestQueue, entry: Entry): void {
    queue.insert(entry)
    this.#queued++
    this.#waiting.set(queue, { slot, queue })
  }

  #freePlace(slot: ModelSlot): HostPlace | undefined {
    const hosts = this.#hosts
    return hosts?.places.find((place) => place.loaded.has(slot.session) && hosts.settle(place))
  }

  /** Gives work to every free host. */
  dispatch(): void {
    const hosts = this.#hosts
    if (!hosts) return
    for (const place of hosts.places) while (hosts.settle(place) && this.#giveWork(place));
  }

  /** False when nothing that waits can run there. The host is still free where what was taken could not be sent. */
  #giveWork(place: HostPlace): boolean {
    const nowMs = this.#clock.monotonicMs()
    const next = this.#nextQueue(place, nowMs)
    if (!next) return false
    const entries = next.queue.take(prefixLength(next.slot, next.queue, nowMs))
    this.#queued -= entries.length
    if (next.queue.size === 0) this.#waiting.delete(next.queue)
    this.#run(place, next.slot, entries, nowMs)
    return true
  }

  #nextQueue(place: HostPlace, nowMs: number): Waiting | undefined {
    let best: Waiting | undefined
    let bestMs = Number.POSITIVE_INFINITY
    for (const waiting of this.#waiting.values()) {
      if (!place.loaded.has(waiting.slot.session)) continue
      this.#expireHead(waiting, nowMs)
      const head = waiting.queue.head()
      if (head && head.deadlineMs < bestMs) {
        best = waiting
        bestMs = head.deadlineMs
      }
    }
    return best
  }

  /** Fails waiting requests that can no longer be answered in time; they are never run. */
  #expireHead({ slot, queue }: Waiting, nowMs: number): void {
    const awayMs = this.#awayMs(slot, nowMs)
    for (;;) {
      const head = queue.head()
      if (!head || nowMs + awayMs + leastMs(slot, head.rows, nowMs) <= head.deadlineMs) break
      queue.take(1)
      this.#queued--
      slot.counters.expiredCount++
      this.#fail(slot, head, this.#isHeld(slot) ? deadlinePassed() : hostAway(awayMs))
    }
    if (queue.size === 0) this.#waiting.delete(queue)
  }

  /** Fails what passed its deadline while every host was busy, and at once what no host will be up for in time. */
  expire(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const waiting of [...this.#waiting.values()]) {
      const head = waiting.queue.head()
      if (head && head.deadlineMs <= nowMs + this.#awayMs(waiting.slot, nowMs)) this.#expireHead(waiting, nowMs)
    }
  }

  #run(place: HostPlace, slot: ModelSlot, entries: readonly Entry[], nowMs: number): void {
    const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
    this.#request = (this.#request + 1) >>> 0
    let frame: Buffer
    try {
      frame = encodeBatch({ request: this.#request, session: slot.session, model: slot.model, entries })
    } catch (thrown) {
      this.#failTogether(slot, entries, thrown)
      return
    }
    for (const entry of entries) entry.startedMs = nowMs
    place.busySinceMs = nowMs
    const estimateMs = frameMs(slot, rows)
    place.expectedMs = nowMs + estimateMs
    place.busyLimitMs = runLimitMs({
      estimateMs,
      wantedMs: entries.reduce((latest, entry) => Math.max(latest, entry.deadlineMs), nowMs) - nowMs,
      timeoutMs: this.#options.runTimeoutMs,
    })
    slot.running += entries.length
    place.process?.send(frame, (answer) => {
      slot.running -= entries.length
      const endMs = this.#clock.monotonicMs()
      slot.triedMs = endMs
      place.counters.frames++
      place.counters.busyUs += (endMs - nowMs) * 1000
      if (answer) this.#finish({ slot, entries, answer, nowMs, endMs })
      else this.#afterDeath(slot, entries, endMs)
      this.dispatch()
      for (const watcher of this.#idleWatchers) watcher()
    })
  }

  #finish(run: { slot: ModelSlot; entries: readonly Entry[]; answer: Buffer; nowMs: number; endMs: number }): void {
    const { slot, answer, nowMs, endMs } = run
    let outputs: Tensor[][]
    try {
      const failure = failureOf(answer, 'run')
      if (failure) throw failure
      outputs = splitBatch(slot.model, run.entries, decodeTensors(answer, slot.model.outputs))
    } catch (thrown) {
      this.#failTogether(slot, run.entries, thrown)
      return
    }
    const entries = run.entries.slice(0, outputs.length)
    for (const entry of run.entries.slice(outputs.length)) {
      const { queue, isSolo } = queueOf(slot, entry)
      entry.isSolo = isSolo
      this.#enqueue(slot, queue, entry)
    }
    const runs = canBatch(slot.model) ? 1 : entries.length
    const rows = entries.reduce((sum, entry) => sum + entry.rows, 0)
    const inferUs = readHeader(answer).micros
    slot.cost.observe(rows / runs, endMs - nowMs - ((runs - 1) * inferUs) / runs / 1000)
    noteRun(slot, {
      rows,
      largestRows: entries.reduce((most, entry) => Math.max(most, entry.rows), 0),
      inferUs,
      endedAtMs: this.#clock.nowMs(),
      lateMs: entries.reduce((most, entry) => Math.max(most, endMs - entry.deadlineMs), 0),
    })
    for (const [index, entry] of entries.entries()) {
      const queueUs = Math.round((entry.startedMs - entry.arrivedMs) * 1000)
      slot.counters.successCount++
      slot.counters.successUs += (endMs - entry.arrivedMs) * 1000
      slot.counters.queueUs += queueUs
      entry.isSettled = true
      entry.resolve({
        outputs: outputs[index] ?? [],
        queueUs,
        inferUs: Math.round(inferUs / runs),
        batchRows: rows / runs,
      })
    }
  }

  /** Alone a request errs; of several only the culprit may, so that each goes again alone. */
  #failTogether(slot: ModelSlot, entries: readonly Entry[], error: unknown): void {
    for (const entry of entries) {
      if (entries.length === 1) this.#fail(slot, entry, error)
      else this.#again(slot, entry)
    }
  }

  /** Back into the queue, to run alone. */
  #again(slot: ModelSlot, entry: Entry): void {
    entry.isSolo = true
    this.#enqueue(slot, queueOf(slot, entry).queue, entry)
  }

  #afterDeath(slot: ModelSlot, entries: readonly Entry[], nowMs: number): void {
    if (noteDeath(slot, nowMs)) {
      for (const entry of entries) this.#fail(slot, entry, hostDied())
      this.failWaiting(slot, () => {
        const retryAfterMs = Math.max(1000, slot.failedUntilMs - nowMs)
        return new PlimsollError(
          'unavailable',
          'inference.model_failed',
          `Cannot infer: model ${slot.digest} failed: ${slot.reason}`,
          { retryAfterMs },
        )
      })
      return
    }
    const awayMs = this.#awayMs(slot, nowMs)
    for (const entry of entries) {
      const isInTime = nowMs + awayMs + leastMs(slot, entry.rows, nowMs) <= entry.deadlineMs
      if (entry.attempts++ === 0 && isInTime) this.#again(slot, entry)
      else this.#fail(slot, entry, hostDied())
    }
    this.expire()
  }

  #fail(slot: ModelSlot, entry: Entry, error: unknown): void {
    if (entry.isSettled) return
    entry.isSettled = true
    slot.counters.failureCount++
    slot.counters.failureUs += (this.#clock.monotonicMs() - entry.arrivedMs) * 1000
    entry.reject(error)
  }

  failWaiting(slot: ModelSlot, error: () => PlimsollError): void {
    for (const queue of slot.queues.values()) {
      const entries = queue.take(queue.size)
      this.#queued -= entries.length
      this.#waiting.delete(queue)
      for (const entry of entries) this.#fail(slot, entry, error())
    }
  }

  /** Resolves when the model has nothing waiting and nothing running, or after `limitMs`. */
  async drained(slots: readonly ModelSlot[], limitMs: number): Promise<void> {
    const isIdle = () => slots.every((slot) => slot.running === 0 && queuedRows(slot) === 0)
    if (isIdle()) return
    const stop = new AbortController()
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!isIdle()) return
        stop.abort()
        resolve()
      }
      this.#idleWatchers.add(check)
      const done = () => {
        this.#idleWatchers.delete(check)
        resolve()
      }
      this.#clock.sleep(limitMs, stop.signal).then(done, done)
    })
  }
}

function admit(model: ModelInterface, given: readonly Tensor[]): Piece {
  const inputs = arrange(model, given)
  if (!inputs) {
    validateAgainst(model, given)
    throw new PlimsollError('invalid', 'inference.signature_mismatch', 'Cannot infer: the tensors do not fit the model')
  }
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index]!
    const spec = model.inputs[index]! // arranged: equal lengths
    let count = 1
    for (const dim of input.shape) count *= dim
    if (input.datatype !== spec.datatype || count !== input.data.length || !shapeFits(spec.shape, input.shape)) {
      validateAgainst(model, given)
    }
  }
  return { inputs, rows: countRows(model, inputs) }
}

function resolveOutputs(slot: ModelSlot, names: readonly string[] | undefined): readonly number[] {
  if (!names || names.length === 0) return slot.allOutputs
  if (
    names.length === slot.allOutputs.length &&
    names.every((name, index) => slot.model.outputs[index]?.name === name)
  ) {
    return slot.allOutputs
  }
  return names.map((name) => {
    const index = slot.model.outputs.findIndex((spec) => spec.name === name)
    if (index < 0)
      throw new PlimsollError(
        'invalid',
        'inference.output_unknown',
        `Cannot infer: the model has no output "${name.slice(0, 128)}"`,
      )
    return index
  })
}

const deadlinePassed = () =>
  new PlimsollError(
    'deadline',
    'inference.deadline_passed',
    'Cannot infer in time: the deadline passed before the model ran',
  )

const wholeSeconds = (ms: number) => Math.max(1, Math.ceil(ms / 1000)) * 1000

/** What recent runs took still says something of the next one, which has so many rows. */
function isKnown(slot: ModelSlot, rows: number, nowMs: number): boolean {
  return nowMs - slot.triedMs < Math.max(STANDS_MS, STANDS_FACTOR * slot.cost.estimateMs(rows))
}

/** The least that a run of so many rows takes, as far as that is known. */
function leastMs(slot: ModelSlot, rows: number, nowMs: number): number {
  return isKnown(slot, rows, nowMs) ? slot.cost.optimisticMs(rows) : 0
}

function infeasible(waitMs: number): PlimsollError {
  return new PlimsollError(
    'overloaded',
    'inference.deadline_infeasible',
    `Cannot infer in time: an answer would take about ${Math.ceil(waitMs)} ms`,
    {
      retryAfterMs: wholeSeconds(waitMs),
    },
  )
}

function queueFull(why: string, waitMs: number): PlimsollError {
  return new PlimsollError('overloaded', 'inference.queue_full', `Cannot infer: ${why}`, {
    retryAfterMs: wholeSeconds(waitMs),
  })
}
