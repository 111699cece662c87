import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StepExecutor, StepExit, StepSubmission } from '@plimsoll/sdk/seams'
import { type Clock, realClock } from '../../kernel/clock.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { bootId, listProcesses, processesOf, readProcess } from './process-table.ts'

/**
 * Leaves the pid before and the exit code after, so that a control plane which is not the parent can learn both. A
 * missing ` ok` is a torn file.
 */
const WRAPPER = 'ulimit -c 0; d=$1; shift; echo "$$ ok" > "$d/pid"; "$@"; c=$?; echo "$c ok" > "$d/exit"; exit $c'
const POLL_MS = 300
const SAMPLE_MS = 1_000
const MEMORY_SLACK = 1.1
const PAGE_BYTES = 4_096
const TICK_MS = 10
const TIMEOUT_GRACE_MS = 10_000

interface Handle {
  attempt: string
  workDir: string
  pid: number
  startTicks: string
  boot: string
  timeoutMs: number
  memoryBytes: number | undefined
}

interface Watched {
  handle: Handle
  exit: Promise<StepExit>
  end: (exit: StepExit) => void
  endedBy: StepExit['endedBy']
  startedMs: number
  cpuMs: number
  maxResidentBytes: number
}

function readMark(path: string): number | undefined {
  try {
    const match = /^(\d+) ok\n?$/.exec(readFileSync(path, 'utf8'))
    return match ? Number(match[1]) : undefined
  } catch {
    return undefined
  }
}

function isAlive(handle: Handle): boolean {
  if (handle.boot !== bootId()) return false
  const entry = readProcess(handle.pid)
  if (process.platform !== 'linux') return existsSync(join(handle.workDir, 'pid')) && !existsSync(join(handle.workDir, 'exit'))
  return entry !== undefined && !entry.isZombie && entry.startTicks === handle.startTicks
}

function signalGroup(handle: Handle, signal: NodeJS.Signals): void {
  if (isAlive(handle)) {
    try {
      process.kill(-handle.pid, signal)
    } catch {
      // It ended in between.
    }
  }
}

/** Ends what the group's end leaves: children that called `setsid`. They are known by their environment. */
function sweep(handle: Handle): void {
  if (handle.boot !== bootId()) return
  for (const pid of processesOf(handle.attempt)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended in between.
    }
  }
}

/** Attempts as local processes, each leader of its own group, its output in a file. */
export function openLocalProcessExecutor(options: { clock?: Clock } = {}): StepExecutor {
  const clock = options.clock ?? realClock
  const watched = new Map<string, Watched>()
  const closed = new AbortController()
  let isSampling = false

  const watch = (handle: Handle): Watched => {
    let end = (_exit: StepExit) => {}
    const exit = new Promise<StepExit>((resolve) => {
      end = resolve
    })
    const entry: Watched = { handle, exit, end: () => {}, endedBy: undefined, startedMs: clock.monotonicMs(), cpuMs: 0, maxResidentBytes: 0 }
    entry.end = (result) => {
      if (!watched.delete(handle.attempt)) return
      sweep(handle)
      end({ ...result, ...(entry.endedBy ? { endedBy: entry.endedBy } : {}), usage: { cpuMs: entry.cpuMs, maxResidentBytes: entry.maxResidentBytes } })
    }
    watched.set(handle.attempt, entry)
    if (!isSampling) void sampleAll()
    return entry
  }

  /** Watches memory and time of everything that runs, and the ends of attempts that an earlier incarnation started. */
  const sampleAll = async () => {
    isSampling = true
    while (watched.size > 0 && !closed.signal.aborted) {
      const table = listProcesses()
      for (const entry of watched.values()) sampleOne(entry, table.filter((line) => line.group === entry.handle.pid))
      await clock.sleep(watched.size > 0 ? POLL_MS : SAMPLE_MS, closed.signal).catch(() => {})
    }
    isSampling = false
  }

  const sampleOne = (entry: Watched, group: ReturnType<typeof listProcesses>) => {
    const { handle } = entry
    const resident = group.reduce((sum, line) => sum + line.residentPages * PAGE_BYTES, 0)
    entry.maxResidentBytes = Math.max(entry.maxResidentBytes, resident)
    entry.cpuMs = Math.max(entry.cpuMs, group.reduce((sum, line) => sum + line.cpuTicks * TICK_MS, 0))
    if (handle.memoryBytes !== undefined && resident > handle.memoryBytes * MEMORY_SLACK && entry.endedBy === undefined) {
      entry.endedBy = 'memory_limit'
      signalGroup(handle, 'SIGKILL')
    }
    if (clock.monotonicMs() - entry.startedMs > handle.timeoutMs && entry.endedBy === undefined) {
      entry.endedBy = 'timeout'
      void endGroup(entry, TIMEOUT_GRACE_MS)
    }
    const exitCode = readMark(join(handle.workDir, 'exit'))
    if (exitCode !== undefined) entry.end({ state: 'exited', exitCode })
    else if (!isAlive(handle)) entry.end(readMark(join(handle.workDir, 'exit')) === undefined ? endOfDead(handle) : { state: 'exited', exitCode: readMark(join(handle.workDir, 'exit'))! })
  }

  const endGroup = async (entry: Watched, graceMs: number) => {
    signalGroup(entry.handle, 'SIGTERM')
    for (let waited = 0; waited < graceMs && watched.has(entry.handle.attempt); waited += 100) await clock.sleep(100)
    signalGroup(entry.handle, 'SIGKILL')
    sweep(entry.handle)
  }

  return {
    name: 'local-process',
    async submit(submission) {
      const started = await start(submission, (code, signal, handle) => {
        const entry = watched.get(handle.attempt)
        entry?.end(signal === null ? { state: 'exited', exitCode: code ?? 0 } : { state: 'exited', signal })
      })
      watch(started)
      return { handle: JSON.stringify(started) }
    },
    async wait(handle) {
      const parsed = JSON.parse(handle) as Handle // made by submit
      return (watched.get(parsed.attempt) ?? watch(parsed)).exit
    },
    async cancel(handle, graceMs) {
      const parsed = JSON.parse(handle) as Handle // made by submit
      const entry = watched.get(parsed.attempt) ?? watch(parsed)
      entry.endedBy ??= 'cancel'
      await endGroup(entry, graceMs)
    },
    async close() {
      closed.abort()
    },
  }
}

/** A dead leader without an exit mark was killed, or the machine restarted. */
function endOfDead(handle: Handle): StepExit {
  return handle.boot === bootId() ? { state: 'exited', signal: 'SIGKILL' } : { state: 'lost' }
}

function start(submission: StepSubmission, onExit: (code: number | null, signal: string | null, handle: Handle) => void): Promise<Handle> {
  const { workDir, argv, attempt } = submission
  mkdirSync(workDir, { recursive: true, mode: 0o700 })
  const log = openSync(join(workDir, 'log'), 'a', 0o600)
  const child = spawn('/bin/sh', ['-c', WRAPPER, 'sh', workDir, ...argv], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: submission.cwd,
    env: { ...submission.environment, PLIMSOLL_ATTEMPT: attempt },
  })
  closeSync(log)
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new PlimsollError('unavailable', 'executor.spawn_failed', `Cannot start the step: ${error.message}`, {}, error)))
    child.once('spawn', () => {
      const pid = child.pid!
      const handle: Handle = { attempt, workDir, pid, startTicks: readProcess(pid)?.startTicks ?? '', boot: bootId(), timeoutMs: submission.timeoutMs, memoryBytes: submission.memoryBytes }
      child.once('exit', (code, signal) => onExit(code, signal, handle))
      child.unref()
      void writeFile(join(workDir, 'handle.json'), JSON.stringify(handle), { mode: 0o600 })
      resolve(handle)
    })
  })
}
