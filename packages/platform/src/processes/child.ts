import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../kernel/clock.ts'
import type { Environment } from '../kernel/config/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { type ChildMessage, failureOf, type HurryMessage, type ReadyInfo, type StartMessage } from './supervised.ts'

const BACKOFF_MS = 100
const BACKOFF_MAX_MS = 10_000
/** A child that served this long was well: its death starts the backoff anew. */
const STABLE_MS = 2_000
/** First starts that a signal may end before `up` gives up: a death with words is told at once. */
const FIRST_STARTS_MAX = 5
const READY_LIMIT_MS = 120_000
const LOG_LIMIT_BYTES = 64 * 1024 * 1024
/** What a child may need beyond its drain before it is killed. */
const KILL_GRACE_MS = 5_000

export interface ChildOptions {
  readonly name: string
  readonly entry: URL
  readonly logPath: string
  readonly environment: Environment
  readonly clock: Clock
  readonly log: Logger
  /** What its drain may take, with the delay in front of it. */
  readonly drainMs: number
  /** What to send at each start, with the ports of the last one. */
  startMessage(ports: Readonly<Record<string, number>>): StartMessage
  onChange(state: string): void
}

export interface SupervisedChild {
  readonly name: string
  readonly ready: ReadyInfo
  pid(): number | undefined
  /** SIGTERM, or the word to hurry; then SIGKILL when the drain is over. */
  stop(isHurried?: boolean): Promise<void>
}

/** Opens the log, moving a large one aside. */
function openLogFile(path: string): number {
  try {
    if (statSync(path).size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`)
  } catch {
    // there is none yet
  }
  return openSync(path, 'a', 0o600)
}

function spawnChild(options: ChildOptions): ChildProcess {
  const log = openLogFile(options.logPath)
  try {
    return spawn(process.execPath, ['--disable-proto=delete', fileURLToPath(options.entry)], {
      stdio: ['ignore', log, log, 'ipc'],
      env: options.environment,
    })
  } finally {
    closeSync(log)
  }
}

function exited(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
}

function untilReady(
  options: ChildOptions,
  child: ChildProcess,
  ports: Readonly<Record<string, number>>,
): Promise<ReadyInfo> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(
        new PlimsollError(
          'deadline',
          'supervisor.child_slow',
          `${options.name} did not get ready within ${READY_LIMIT_MS / 1_000} s`,
          { action: `See ${options.logPath}` },
        ),
      )
    }, READY_LIMIT_MS)
    late.unref()
    child.on('message', (message) => {
      const told = message as ChildMessage // from supervised.ts alone
      clearTimeout(late)
      if (told.kind === 'ready') resolve(told.info)
      else reject(failureOf(told))
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      clearTimeout(late)
      // A failure that was told arrives before; this is a death without words.
      setImmediate(() =>
        reject(
          new PlimsollError(
            'unavailable',
            'supervisor.child_died',
            `${options.name} died while starting (${signal ?? `status ${code}`})`,
            {
              action: `See ${options.logPath}`,
            },
          ),
        ),
      )
    })
    child.send(options.startMessage(ports), () => {})
  })
}

/** The first start: its ports are not known yet. A child that is killed meanwhile is started again. */
async function firstStart(
  options: ChildOptions,
): Promise<{ child: ChildProcess; gone: Promise<string>; ready: ReadyInfo }> {
  for (let starts = 1; ; starts++) {
    const child = spawnChild(options)
    const gone = exited(child)
    try {
      return { child, gone, ready: await untilReady(options, child, {}) }
    } catch (thrown) {
      await gone
      if (child.signalCode === null || child.killed || starts === FIRST_STARTS_MAX) throw thrown
      options.onChange(`${options.name} died (${child.signalCode}) while starting; starting it again`)
    }
  }
}

/**
 * Starts a child and keeps it running: a death is answered by a new start on the same ports, after a backoff.
 * @throws the child's own error when its first start fails
 */
export async function openChild(options: ChildOptions): Promise<SupervisedChild> {
  const { clock, log, name } = options
  const stopping = new AbortController()
  const first = await firstStart(options)
  const { ready } = first
  let { child, gone } = first
  let readyAtMs: number | undefined = clock.monotonicMs()

  const keepRunning = async () => {
    let failures = 0
    while (!stopping.signal.aborted) {
      const how = await gone
      if (stopping.signal.aborted) return
      if (readyAtMs !== undefined && clock.monotonicMs() - readyAtMs >= STABLE_MS) failures = 0
      readyAtMs = undefined
      const waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** failures++)
      log.warn({ child: name, how, wait_ms: waitMs }, 'a child died and is started again')
      options.onChange(`${name} died (${how}); starting it again`)
      try {
        await clock.sleep(waitMs, stopping.signal)
      } catch {
        return
      }
      child = spawnChild(options)
      gone = exited(child)
      try {
        await untilReady(options, child, ready.ports)
        readyAtMs = clock.monotonicMs()
        options.onChange(`${name} is up again`)
      } catch (error) {
        log.error({ child: name, error }, 'a child could not start')
      }
    }
  }
  const running = keepRunning()

  return {
    name,
    ready,
    pid: () => child.pid,
    async stop(isHurried = false) {
      stopping.abort(new Error('stopping'))
      if (isHurried && child.connected) child.send({ kind: 'hurry' } satisfies HurryMessage, () => {})
      else child.kill('SIGTERM')
      const cut = setTimeout(() => child.kill('SIGKILL'), options.drainMs + KILL_GRACE_MS)
      await gone
      clearTimeout(cut)
      await running
    },
  }
}
