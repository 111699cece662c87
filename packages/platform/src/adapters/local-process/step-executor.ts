import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { StepExecutor, StepExit } from '@plimsoll/sdk/seams'
import { type Clock, realClock } from '../../kernel/clock.ts'
import { type Handle, isAlive, readExit, recoverHandle, signalGroup } from './attempt-process.ts'
import {
  bootId,
  listProcesses,
  type ProcessEntry,
  processAgeMs,
  processesOf,
  readProcess,
  TICK_MS,
} from './process-table.ts'

import { openSpawner, type Spawner } from './spawner.ts'

const POLL_MS = 250
const SAMPLE_MS = 1_000
const SWEEP_MS = 1_000
const CANCEL_POLL_MS = 50
const TIMEOUT_GRACE_MS = 10_000
/** Resident memory beyond the request at which an attempt is ended: pages shared within the group count twice. */
const MEMORY_SLACK = 1.1
const PAGE_BYTES = 4_096
/** Ends that nobody has asked for yet. */
const ENDED_MAX = 10_000

interface Watched {
  readonly handle: Handle
  readonly exit: Promise<StepExit>
  end: (exit: StepExit) => void
  /** False for attempts of an earlier incarnation, whose end no event tells. */
  readonly isOwn: boolean
  readonly startedMs: number
  endedBy: StepExit['endedBy']
  cpuMs: number
  maxResidentBytes: number
}

interface Watch {
  readonly clock: Clock
  /** A log that grows beyond it ends its attempt. */
  readonly logBytesMax: number
  /** An attempt with more processes than these is ended. */
  readonly processesMax: number
  readonly watched: Map<string, Watched>
  /** Ends of attempts before somebody waits for them. */
  readonly ended: Map<string, StepExit>
  /** Work directories of attempts that have ended since the last sweep. */
  readonly unswept: Set<string>
  readonly closed: AbortController
  readonly spawner: Spawner
  isLooping: boolean
  isSweeping: boolean
}

/** Ends what an attempt leaves outside its group: children that called `setsid`. They are known by their environment. */
function sweep(workDirs: ReadonlySet<string>): void {
  for (const pid of processesOf(workDirs)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended in between.
    }
  }
}

/** One pass over the process table serves all attempts that ended meanwhile. */
async function sweepSoon(state: Watch): Promise<void> {
  if (state.isSweeping) return
  state.isSweeping = true
  await state.clock.sleep(SWEEP_MS, state.closed.signal).catch(() => {})
  state.isSweeping = false
  const ended = new Set(state.unswept)
  state.unswept.clear()
  sweep(ended)
}

function watch(state: Watch, handle: Handle, isOwn: boolean): Watched {
  const { promise, resolve } = Promise.withResolvers<StepExit>()
  const running = isOwn ? undefined : readProcess(handle.pid)
  const ageMs = running && running.startTicks === handle.startTicks ? processAgeMs(running) : 0
  const entry: Watched = {
    handle,
    exit: promise,
    end: () => {},
    isOwn,
    startedMs: state.clock.monotonicMs() - ageMs,
    endedBy: undefined,
    cpuMs: 0,
    maxResidentBytes: 0,
  }
  entry.end = (seen) => {
    if (!state.watched.delete(handle.attempt)) return
    const { cpuMs } = readExit(handle.workDir) ?? { cpuMs: 0 }
    const exit: StepExit = {
      ...seen,
      ...(entry.endedBy ? { endedBy: entry.endedBy } : {}),
      usage: { cpuMs: Math.max(cpuMs, entry.cpuMs), maxResidentBytes: entry.maxResidentBytes },
    }
    if (state.ended.size >= ENDED_MAX) state.ended.delete(state.ended.keys().next().value!)
    state.ended.set(handle.attempt, exit)
    resolve(exit)
    if (handle.boot === bootId()) {
      state.unswept.add(handle.workDir)
      void sweepSoon(state)
    }
  }
  state.watched.set(handle.attempt, entry)
  if (!state.isLooping) void loop(state)
  return entry
}

/** Whether an event tells the end: for our own attempts, until the helper that started them is gone. */
function isTold(state: Watch, entry: Watched): boolean {
  return entry.isOwn && state.spawner.isTelling(entry.handle.attempt)
}

/** Watches time, memory, and the ends of attempts that an earlier incarnation started. */
async function loop(state: Watch): Promise<void> {
  state.isLooping = true
  let sampledMs = Number.NEGATIVE_INFINITY
  while (state.watched.size > 0 && !state.closed.signal.aborted) {
    const nowMs = state.clock.monotonicMs()
    // A pass over the process table costs as much as several short steps: nobody is looked at before it is a second old.
    const isSampleDue =
      nowMs - sampledMs >= SAMPLE_MS && state.watched.values().some(({ startedMs }) => nowMs - startedMs >= SAMPLE_MS)
    const table = isSampleDue ? listProcesses() : []
    if (isSampleDue) sampledMs = nowMs
    for (const entry of state.watched.values()) {
      if (isSampleDue)
        sample(
          entry,
          table.filter((line) => line.group === entry.handle.pid),
          state,
        )
      if (nowMs - entry.startedMs > entry.handle.timeoutMs && entry.endedBy === undefined) {
        entry.endedBy = 'timeout'
        void endGroup(state, entry, TIMEOUT_GRACE_MS)
      }
      if (!isTold(state, entry)) lookForEnd(entry)
    }
    await state.clock.sleep(POLL_MS, state.closed.signal).catch(() => {})
  }
  state.isLooping = false
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0 // not there, or the step took away our rights
  }
}

/** A signal to a group reaches also what forks at that moment: looking once a second is enough against a fork bomb. */
function sample(entry: Watched, group: readonly ProcessEntry[], limits: Watch): void {
  const resident = group.reduce((sum, line) => sum + line.residentPages * PAGE_BYTES, 0)
  entry.maxResidentBytes = Math.max(entry.maxResidentBytes, resident)
  entry.cpuMs = Math.max(
    entry.cpuMs,
    group.reduce((sum, line) => sum + line.cpuTicks * TICK_MS, 0),
  )
  const { memoryBytes } = entry.handle
  const over: StepExit['endedBy'] =
    memoryBytes !== undefined && resident > memoryBytes * MEMORY_SLACK
      ? 'memory_limit'
      : group.length > limits.processesMax
        ? 'process_limit'
        : sizeOf(join(entry.handle.workDir, 'log')) > limits.logBytesMax
          ? 'log_limit'
          : undefined
  if (over === undefined || entry.endedBy !== undefined) return
  entry.endedBy = over
  signalGroup(entry.handle, 'SIGKILL')
}

/** A dead leader without an exit mark was killed, or the machine restarted. */
function lookForEnd(entry: Watched): void {
  const isDead = !isAlive(entry.handle) // first: a mark may appear between the two looks, a process never comes back
  const mark = readExit(entry.handle.workDir)
  if (mark) entry.end({ state: 'exited', exitCode: mark.exitCode })
  else if (isDead)
    entry.end(entry.handle.boot === bootId() ? { state: 'exited', signal: 'SIGKILL' } : { state: 'lost' })
}

async function endGroup(state: Watch, entry: Watched, graceMs: number): Promise<void> {
  const { clock, watched } = state
  const { attempt } = entry.handle
  const isRunning = () => {
    if (!isTold(state, entry) && watched.has(attempt)) lookForEnd(entry)
    return watched.has(attempt)
  }
  signalGroup(entry.handle, 'SIGTERM')
  for (const startedMs = clock.monotonicMs(); isRunning() && clock.monotonicMs() - startedMs < graceMs; )
    await clock.sleep(CANCEL_POLL_MS)
  signalGroup(entry.handle, 'SIGKILL')
  if (entry.handle.boot === bootId()) sweep(new Set([entry.handle.workDir]))
}

/** Attempts as local processes, each leader of its own group, its output in a file. */
export function openLocalProcessExecutor(
  options: { clock?: Clock; logBytesMax?: number; processesMax?: number } = {},
): StepExecutor {
  const state: Watch = {
    clock: options.clock ?? realClock,
    logBytesMax: options.logBytesMax ?? Number.POSITIVE_INFINITY,
    processesMax: options.processesMax ?? Number.POSITIVE_INFINITY,
    watched: new Map(),
    ended: new Map(),
    unswept: new Set(),
    closed: new AbortController(),
    spawner: openSpawner(),
    isLooping: false,
    isSweeping: false,
  }
  const { watched, ended } = state
  const find: StepExecutor['find'] = async (submitted) => {
    const known = watched.get(submitted.attempt)?.handle ?? recoverHandle(submitted)
    if (known) return { handle: JSON.stringify(known) }
    sweep(new Set([submitted.workDir]))
    return undefined
  }
  return {
    name: 'local-process',
    async submit(submission) {
      if (
        watched.has(submission.attempt) ||
        ['handle.json', 'pid'].some((name) => existsSync(join(submission.workDir, name)))
      ) {
        const found = await find(submission)
        if (found) return found
      }
      const handle = await state.spawner.start(submission, {
        onStart: (started) => watch(state, started, true),
        onExit: (code, signal) => {
          const exit: StepExit =
            signal === null ? { state: 'exited', exitCode: code ?? 0 } : { state: 'exited', signal }
          watched.get(submission.attempt)?.end(exit)
        },
      })
      return { handle: JSON.stringify(handle) }
    },
    find,
    async wait(handle) {
      const parsed = JSON.parse(handle) as Handle // made by submit or find
      const known = ended.get(parsed.attempt)
      if (known) {
        ended.delete(parsed.attempt)
        return known
      }
      const exit = await (watched.get(parsed.attempt) ?? watch(state, parsed, false)).exit
      ended.delete(parsed.attempt)
      return exit
    },
    async cancel(handle, graceMs) {
      const parsed = JSON.parse(handle) as Handle // made by submit or find
      if (ended.has(parsed.attempt)) return
      const entry = watched.get(parsed.attempt) ?? watch(state, parsed, false)
      entry.endedBy ??= 'cancel'
      await endGroup(state, entry, graceMs)
    },
    async close() {
      state.closed.abort()
      state.spawner.close()
      if (state.unswept.size > 0) sweep(state.unswept)
    },
  }
}
