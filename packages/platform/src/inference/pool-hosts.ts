import type { Clock } from '../kernel/clock.ts'
import { isPlimsollError, PlimsollError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { failureOf } from './host-failure.ts'
import { type HostProcess, hostDied, startHost } from './host-process.ts'
import type { HostStats } from './pool-stats.ts'

const BACKOFF_MS_MAX = 5_000
/** Uptime after which earlier deaths are forgiven. */
const STEADY_MS = 10_000
/** A fresh host may be replaced for its memory only when it grew by this factor since its models were loaded. */
const GROWTH = 1.25
const KILL_FACTOR = 1.5

/** A place for a host in the pool: the process changes when it dies or is recycled, the place stays. */
export interface HostPlace {
  process: HostProcess | undefined
  /** Sessions that the current process holds. */
  readonly loaded: Set<number>
  /** Frames to send before any run. */
  readonly orders: { frame: Buffer; limitMs: number; onAnswer: (answer: Buffer | undefined) => void }[]
  busySinceMs: number
  busyLimitMs: number
  /** When the current run should end. */
  expectedMs: number
  /** When its process was started, or will be. */
  startedMs: number
  /** What its last start took. */
  startMs: number
  isLoading: boolean
  residentAtStart: number
  readonly counters: { deaths: number; recycles: number; frames: number; busyUs: number }
}

export interface PoolHosts {
  readonly places: readonly HostPlace[]
  /** Sends the next order when the host is free; true when it is free for a run. */
  settle(place: HostPlace): boolean
  /** Loads or unloads in a host; rejects with the host's refusal. */
  order(place: HostPlace, frame: Buffer, limitMs: number): Promise<void>
  /** Kills what runs too long or grew too large; replaces idle hosts that grew. */
  inspect(): void
  stats(): HostStats[]
  close(): Promise<void>
}

export interface PoolHostsOptions {
  readonly count: number
  readonly niceness: number
  readonly hasArena: boolean
  readonly memoryBytes: number
  readonly clock: Clock
  readonly log: Logger
  /** A host is up and empty: load every model into it. */
  readonly onStarted: (place: HostPlace) => Promise<void>
  /** A host may be free now. */
  readonly onFree: () => void
}

const backoffMs = (deathsInRow: number) => (deathsInRow > 1 ? Math.min(BACKOFF_MS_MAX, 50 * 2 ** (deathsInRow - 2)) : 0)

function createPlace(): HostPlace {
  return {
    process: undefined,
    loaded: new Set(),
    orders: [],
    busySinceMs: 0,
    busyLimitMs: 0,
    expectedMs: 0,
    startedMs: 0,
    startMs: 0,
    isLoading: false,
    residentAtStart: 0,
    counters: { deaths: 0, recycles: 0, frames: 0, busyUs: 0 },
  }
}

async function startIn(place: HostPlace, options: PoolHostsOptions): Promise<HostProcess> {
  place.startedMs = options.clock.monotonicMs()
  const process = await startHost(options)
  place.startMs = options.clock.monotonicMs() - place.startedMs
  return process
}

function dropOrders(place: HostPlace): void {
  for (const waiting of place.orders.splice(0)) waiting.onAnswer(undefined)
}

/** Gives an idle host its next order; true when it is idle and has none. */
function settleIn(place: HostPlace, { clock, onFree }: PoolHostsOptions): boolean {
  const { process } = place
  if (!process?.isAlive || process.isBusy) return false
  const next = place.orders.shift()
  if (!next) return true
  place.isLoading = true
  place.busySinceMs = clock.monotonicMs()
  place.busyLimitMs = next.limitMs
  place.expectedMs = place.busySinceMs
  process.send(next.frame, (answer) => {
    place.isLoading = false
    next.onAnswer(answer)
    onFree()
  })
  return false
}

export function openPoolHosts(options: PoolHostsOptions): PoolHosts {
  const { clock, log, memoryBytes } = options
  const stopping = new AbortController()
  const places = Array.from({ length: options.count }, createPlace)
  const watchers: Promise<void>[] = []

  const settle = (place: HostPlace) => settleIn(place, options)
  const order = (place: HostPlace, frame: Buffer, limitMs: number) =>
    new Promise<void>((resolve, reject) => {
      const onAnswer = (answer: Buffer | undefined) => {
        const failure = answer ? failureOf(answer, 'load') : hostDied()
        if (failure) reject(failure)
        else resolve()
      }
      place.orders.push({ frame, limitMs, onAnswer })
      settle(place)
    })

  /** Keeps one place filled until the pool closes. */
  const watch = async (place: HostPlace): Promise<void> => {
    let deathsInRow = 0
    while (!stopping.signal.aborted) {
      try {
        const process = await startIn(place, options)
        if (stopping.signal.aborted) {
          process.kill()
          await process.gone
          break
        }
        place.loaded.clear()
        place.process = process
        await Promise.race([options.onStarted(place), process.gone])
        place.residentAtStart = process.residentBytes()
        options.onFree()
        await process.gone
        place.process = undefined
        place.loaded.clear()
        dropOrders(place)
      } catch (thrown) {
        log.error({ reason: isPlimsollError(thrown) ? thrown.message : String(thrown) }, 'model host did not start')
      }
      if (stopping.signal.aborted) break
      place.counters.deaths++
      const endedMs = clock.monotonicMs()
      deathsInRow = endedMs - place.startedMs > STEADY_MS ? 1 : deathsInRow + 1
      log.warn({ deathsInRow }, 'model host ended, starting another')
      place.startedMs = endedMs + backoffMs(deathsInRow)
      if (deathsInRow > 1) await clock.sleep(backoffMs(deathsInRow), stopping.signal).catch(() => {}) // closing ends it
    }
  }

  const inspect = () => {
    const nowMs = clock.monotonicMs()
    for (const place of places) inspectPlace(place, nowMs, { memoryBytes, log })
  }
  for (const place of places) watchers.push(watch(place))

  return {
    places,
    settle,
    order,
    inspect,
    stats: () => places.map(describePlace),
    async close() {
      stopping.abort(new PlimsollError('unavailable', 'inference.pool_closed', 'The pool is closed'))
      for (const place of places) {
        place.process?.kill()
        dropOrders(place)
      }
      await Promise.all(watchers)
    },
  }
}

/** In how long a host should be up, by what the last start took; 0 when one is. */
export function upInMs(places: readonly HostPlace[], nowMs: number): number {
  let leastMs = Number.POSITIVE_INFINITY
  for (const { process, startedMs, startMs } of places) {
    if (process?.isAlive) return 0
    // one that just died is still in its place: the next is not started yet
    leastMs = Math.min(leastMs, Math.max(0, (process ? nowMs : startedMs) + startMs - nowMs))
  }
  return leastMs
}

function inspectPlace(
  place: HostPlace,
  nowMs: number,
  { memoryBytes, log }: Pick<PoolHostsOptions, 'memoryBytes' | 'log'>,
): void {
  const { process, residentAtStart } = place
  if (!process?.isAlive) return
  if (process.isBusy && nowMs - place.busySinceMs > place.busyLimitMs) {
    log.error({ pid: process.pid, limitMs: place.busyLimitMs }, 'model host exceeded its time, killing it')
    process.kill()
    return
  }
  const resident = process.residentBytes()
  if (resident > memoryBytes * KILL_FACTOR) {
    log.error({ pid: process.pid, resident, memoryBytes }, 'model host exceeded its memory, killing it')
    process.kill()
  } else if (resident > memoryBytes && residentAtStart > 0 && resident > residentAtStart * GROWTH && !process.isBusy) {
    log.info({ pid: process.pid, resident }, 'recycling a model host that grew')
    place.counters.recycles++
    process.kill()
  }
}

function describePlace(place: HostPlace): HostStats {
  const { process, counters } = place
  const state = !process?.isAlive ? 'down' : place.isLoading ? 'loading' : process.isBusy ? 'busy' : 'idle'
  return { pid: process?.pid, state, ...counters, rssBytes: process?.residentBytes() ?? 0 }
}
