import { realClock } from '../kernel/clock.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { silentLog } from '../kernel/log.ts'
import { createCostModel } from './cost-model.ts'
import { Dispatcher } from './dispatcher.ts'
import { encodeJsonFrame, OPERATIONS } from './frame.ts'
import { startHost } from './host-process.ts'
import { type Counters, createCounters, createSlot, type ModelSlot, queuedRows, setInterface } from './model-slot.ts'
import { type HostPlace, openPoolHosts, type PoolHosts } from './pool-hosts.ts'
import type { ModelPoolOptions } from './pool-options.ts'
import type { ModelPool, ModelStats, PoolRequest, PoolResult, PoolStats } from './pool-stats.ts'
import { encodeLoad, loadSpecs, type ProbeResult, probeModel } from './probe.ts'
import type { ModelInterface } from './tensor.ts'

export const POOL_DEFAULTS = {
  name: 'realtime',
  hosts: 1,
  maxBatchRows: 1024,
  queueRowsMax: 131_072, // 13 of the largest requests
  queueRequestsMax: 4096,
  defaultDeadlineMs: 10_000,
  hostMemoryMiB: 2048,
  runTimeoutMs: 30_000,
  loadTimeoutMs: 60_000,
  niceness: 0,
  hasArena: true,
} as const

const MODELS_MAX = 4096
const INSPECT_MS = 50
const CLOSE_MS = 5_000
const START_TIMEOUT_MS = 30_000

type Resolved = Required<ModelPoolOptions>

/**
 * Starts the hosts of a pool and resolves when the first is up.
 * @throws unavailable inference.host_not_started
 */
export async function openModelPool(options: ModelPoolOptions = {}): Promise<ModelPool> {
  const pool = new Pool({ ...POOL_DEFAULTS, clock: realClock, log: silentLog, ...options })
  const timeout = new AbortController()
  const isLate = (options.clock ?? realClock).sleep(START_TIMEOUT_MS, timeout.signal).then(
    () => true,
    () => false, // the pool started
  )
  const hasStarted = await Promise.race([pool.started.then(() => true), isLate.then((late) => !late)])
  timeout.abort()
  if (hasStarted) return pool
  await pool.close()
  throw new PlimsollError(
    'unavailable',
    'inference.host_not_started',
    `Cannot open a model pool: no host started within ${START_TIMEOUT_MS} ms`,
  )
}

class Pool implements ModelPool {
  readonly started: Promise<void>
  readonly #options: Resolved
  readonly #slots = new Map<string, ModelSlot>()
  /** Counters outlive an unload: they never go down. */
  readonly #counters = new Map<string, Counters>()
  readonly #leaving = new Map<string, Promise<void>>()
  readonly #dispatcher: Dispatcher
  readonly #hosts: PoolHosts
  readonly #stop = new AbortController()
  readonly #inspecting: Promise<void>
  #session = 0
  #probing: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: Resolved) {
    this.#options = options
    this.#dispatcher = new Dispatcher(options)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.started = promise
    this.#hosts = openPoolHosts({
      count: options.hosts,
      niceness: options.niceness,
      hasArena: options.hasArena,
      memoryBytes: options.hostMemoryMiB * 1024 * 1024,
      clock: options.clock,
      log: options.log,
      onFree: () => this.#dispatcher.dispatch(),
      onStarted: async (place) => {
        resolve()
        await this.#fill(place)
      },
    })
    this.#dispatcher.attach(this.#hosts)
    this.#inspecting = this.#inspect()
  }

  async #inspect(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      await clock.sleep(INSPECT_MS, signal).catch(() => {}) // closing ends the pause
      this.#dispatcher.expire()
      this.#hosts.inspect()
    }
  }

  /** Loads every model that serves into a host that just started. */
  async #fill(place: HostPlace): Promise<void> {
    for (const slot of this.#slots.values()) {
      if (slot.state !== 'ready' && slot.state !== 'draining') continue
      try {
        await this.#place(place, slot)
      } catch (thrown) {
        this.#options.log.error({ digest: slot.digest, reason: String(thrown) }, 'model could not be loaded again')
      }
    }
  }

  async #place(place: HostPlace, slot: ModelSlot): Promise<void> {
    if (place.loaded.has(slot.session)) return
    const { clock, loadTimeoutMs } = this.#options
    const startedMs = clock.monotonicMs()
    await this.#hosts.order(place, encodeLoad(slot.session, slot), loadTimeoutMs)
    slot.loadMs = clock.monotonicMs() - startedMs
    place.loaded.add(slot.session)
    this.#dispatcher.dispatch()
  }

  load(model: { digest: string; path: string; maxBatchRows?: number }): Promise<ModelInterface> {
    if (this.#isClosed) return Promise.reject(poolClosed())
    const leaving = this.#leaving.get(model.digest)
    if (leaving) return leaving.then(() => this.load(model))
    const known = this.#slots.get(model.digest)
    if (known && known.state !== 'failed') return known.ready
    if (this.#slots.size >= MODELS_MAX) {
      return Promise.reject(
        new PlimsollError(
          'exhausted',
          'inference.pool_full',
          `Cannot load the model: the pool holds ${MODELS_MAX} models, as many as it may`,
        ),
      )
    }
    const counters = this.#counters.get(model.digest) ?? createCounters()
    this.#counters.set(model.digest, counters)
    this.#session = (this.#session % 0xffff) + 1
    const slot = createSlot({ digest: model.digest, path: model.path, session: this.#session, counters })
    this.#slots.set(model.digest, slot)
    slot.ready = this.#bringUp(slot, model.maxBatchRows ?? this.#options.maxBatchRows)
    slot.ready.catch((thrown) => {
      slot.state = 'failed'
      slot.reason = thrown instanceof Error ? thrown.message : String(thrown)
      if (this.#slots.get(model.digest) === slot) this.#slots.delete(model.digest)
    })
    return slot.ready
  }

  async #bringUp(slot: ModelSlot, maxBatchRows: number): Promise<ModelInterface> {
    const probe = await this.#probe(slot, maxBatchRows)
    if (this.#isClosed) throw poolClosed()
    slot.cost = createCostModel(probe.timings)
    setInterface(slot, probe.interface)
    const outcomes = await Promise.allSettled(this.#alive().map((place) => this.#place(place, slot)))
    const refused = outcomes.find((outcome) => outcome.status === 'rejected')
    if (refused && !outcomes.some((outcome) => outcome.status === 'fulfilled')) throw refused.reason
    slot.state = 'ready'
    for (const place of this.#alive()) if (!place.loaded.has(slot.session)) await this.#place(place, slot)
    this.#options.log.info(
      { digest: slot.digest, maxBatchSize: slot.model.maxBatchSize, unbatchedBecause: probe.unbatchedBecause },
      'model loaded',
    )
    return slot.model
  }

  #alive(): HostPlace[] {
    return this.#hosts.places.filter((place) => place.process?.isAlive)
  }

  /** In a process of its own, one at a time: a hostile model takes nothing else down. */
  #probe(slot: ModelSlot, maxBatchRows: number): Promise<ProbeResult> {
    const next = this.#probing.then(() => {
      if (this.#isClosed) throw poolClosed() // else closing would wait for a process per model that still waits
      return probeApart(slot, this.#options, maxBatchRows)
    })
    this.#probing = next.catch(() => {})
    return next
  }

  infer(digest: string, request: PoolRequest): Promise<PoolResult> {
    const slot = this.#slots.get(digest)
    try {
      if (this.#isClosed) throw poolClosed()
      if (!slot)
        throw new PlimsollError('not_found', 'inference.model_unknown', `Cannot infer: model ${digest} is not loaded`)
      return this.#dispatcher.submit(slot, request)
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  findRefusal(digest: string, deadlineMs: number): PlimsollError | undefined {
    const slot = this.#slots.get(digest)
    return this.#isClosed || !slot ? undefined : this.#dispatcher.findRefusal(slot, deadlineMs)
  }

  unload(digest: string): Promise<void> {
    const leaving = this.#leaving.get(digest)
    if (leaving) return leaving
    const slot = this.#slots.get(digest)
    if (!slot) return Promise.resolve()
    const work = this.#takeDown(slot).finally(() => this.#leaving.delete(digest))
    this.#leaving.set(digest, work)
    return work
  }

  async #takeDown(slot: ModelSlot): Promise<void> {
    if (slot.state === 'loading') await slot.ready.catch(() => {}) // its caller has the error
    if (slot.state === 'ready') slot.state = 'draining'
    await this.#dispatcher.drained([slot], this.#options.defaultDeadlineMs)
    this.#dispatcher.failWaiting(slot, poolClosed)
    this.#slots.delete(slot.digest)
    const frame = encodeJsonFrame({ request: 0, session: slot.session, operation: OPERATIONS.unload, micros: 0 }, {})
    const places = this.#hosts.places.filter((place) => place.loaded.delete(slot.session))
    await Promise.allSettled(places.map((place) => this.#hosts.order(place, frame, this.#options.loadTimeoutMs)))
  }

  describe(digest: string): ReturnType<ModelPool['describe']> {
    const slot = this.#slots.get(digest)
    if (!slot) return undefined
    const { state, reason } = slot
    return { state, ...(slot.model.outputs.length > 0 ? { interface: slot.model } : {}), ...(reason ? { reason } : {}) }
  }

  stats(): PoolStats {
    return { name: this.#options.name, models: [...this.#slots.values()].map(describeSlot), hosts: this.#hosts.stats() }
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      await this.#dispatcher.drained([...this.#slots.values()], CLOSE_MS)
      for (const slot of this.#slots.values()) this.#dispatcher.failWaiting(slot, poolClosed)
      this.#stop.abort()
    }
    await this.#hosts.close()
    await Promise.allSettled([this.#inspecting, this.#probing])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

const poolClosed = () =>
  new PlimsollError('unavailable', 'inference.pool_closed', 'Cannot infer: the model host pool is closing')

/** Loads and probes a model in a fresh host with limits on time and memory. */
async function probeApart(
  slot: { digest: string; path: string },
  options: Resolved,
  maxBatchRows: number,
): Promise<ProbeResult> {
  const { clock, loadTimeoutMs } = options
  const host = await startHost(options)
  const stop = new AbortController()
  let isTooLarge = false
  let isTooSlow = false
  const startMs = clock.monotonicMs()
  const watch = async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(INSPECT_MS, stop.signal).catch(() => {}) // the probe ended
      isTooLarge ||= host.residentBytes() > options.hostMemoryMiB * 1024 * 1024
      isTooSlow ||= clock.monotonicMs() - startMs > loadTimeoutMs
      if (isTooLarge || isTooSlow) host.kill()
    }
  }
  const watching = watch()
  try {
    const specs = await loadSpecs(host, { digest: slot.digest, path: slot.path })
    return await probeModel({ host, specs, maxBatchRows, clock })
  } catch (thrown) {
    if (host.isAlive) throw thrown
    const why = isTooLarge
      ? `it needs more than ${options.hostMemoryMiB} MiB`
      : isTooSlow
        ? `it did not load and run within ${loadTimeoutMs} ms`
        : 'its host died'
    throw new PlimsollError('invalid', 'inference.model_refused', `Cannot load model ${slot.digest}: ${why}`)
  } finally {
    stop.abort()
    host.kill()
    await Promise.all([watching, host.gone])
  }
}

function describeSlot(slot: ModelSlot): ModelStats {
  const full = Math.max(1, slot.model.maxBatchSize)
  let queuedRequests = 0
  for (const queue of slot.queues.values()) queuedRequests += queue.size
  return {
    digest: slot.digest,
    state: slot.state,
    ...(slot.reason ? { reason: slot.reason } : {}),
    ...slot.counters,
    queuedRows: queuedRows(slot),
    queuedRequests,
    costMs: { one: slot.cost.estimateMs(1), full: slot.cost.estimateMs(full) },
    batches: [...slot.batches].map(([rows, batch]) => ({ rows, ...batch })).sort((a, b) => a.rows - b.rows),
  }
}
