import { type ChildProcess, fork } from 'node:child_process'
import type { StepSubmission } from '@plimsoll/sdk/seams'
import { PlimsollError } from '../../kernel/errors.ts'
import { siblingModule } from '../../kernel/sibling-module.ts'
import type { Handle } from './attempt-process.ts'
import type { SpawnReply, SpawnRequest } from './spawn-host.ts'

export interface SpawnEvents {
  /** Before the promise of `start` resolves. */
  onStart(handle: Handle): void
  onExit(code: number | null, signal: string | null): void
}

export interface Spawner {
  start(submission: StepSubmission, events: SpawnEvents): Promise<Handle>
  /** True while an event will tell the end of this attempt. */
  isTelling(attempt: string): boolean
  close(): void
}

interface Pending {
  readonly attempt: string
  readonly events: SpawnEvents
  readonly resolve: (handle: Handle) => void
  readonly reject: (error: Error) => void
}

/** The same the next time, too: it is no fault of ours. */
function tooLarge(): PlimsollError {
  return new PlimsollError(
    'invalid',
    'executor.too_large',
    'Cannot start the step: the system takes no arguments and variables of so many bytes',
    { action: 'Hand large values over in files' },
  )
}

function spawnFailed(message: string): PlimsollError {
  return new PlimsollError('unavailable', 'executor.spawn_failed', `Cannot start the step: ${message}`)
}

const HOST_MEMORY_MIB = 64

/**
 * Starts processes from a small helper. A process that holds an embedded database has hundreds of MiB of page tables to
 * copy at each fork: 6 ms of processor and a stalled event loop, where the helper takes 1 ms.
 */
export function openSpawner(): Spawner {
  const pending = new Map<number, Pending>()
  const told = new Set<string>()
  let host: ChildProcess | undefined
  let nextId = 1
  let isClosed = false

  const take = (reply: SpawnReply) => {
    const entry = pending.get(reply.id)
    if (!entry) return
    if (reply.kind === 'started') {
      entry.events.onStart(reply.handle)
      entry.resolve(reply.handle)
      return
    }
    pending.delete(reply.id)
    told.delete(entry.attempt)
    if (reply.kind === 'exited') entry.events.onExit(reply.code, reply.signal)
    else entry.reject(reply.isTooLarge ? tooLarge() : spawnFailed(reply.message))
  }

  const open = (): ChildProcess => {
    const execArgv = ['--no-warnings', `--max-old-space-size=${HOST_MEMORY_MIB}`]
    const opened = fork(siblingModule(import.meta.url, './spawn-host'), {
      execArgv,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: {},
      detached: true,
    })
    opened.on('message', take)
    const onGone = () => {
      if (host !== opened) return
      host = undefined
      const gone = new PlimsollError(
        'unavailable',
        'executor.host_gone',
        'Cannot start the step: the helper that starts processes has ended',
      )
      for (const entry of pending.values()) entry.reject(gone) // one that had started has resolved before: this changes nothing
      pending.clear()
      told.clear()
    }
    opened.once('exit', onGone)
    opened.once('error', onGone)
    opened.unref()
    opened.channel?.unref()
    return opened
  }

  return {
    start: (submission, events) =>
      new Promise((resolve, reject) => {
        if (isClosed) {
          reject(new PlimsollError('unavailable', 'executor.closed', 'Cannot start the step: the executor is closed'))
          return
        }
        host ??= open()
        const id = nextId++
        pending.set(id, { attempt: submission.attempt, events, resolve, reject })
        told.add(submission.attempt)
        host.send({ id, parent: process.pid, submission } satisfies SpawnRequest)
      }),
    isTelling: (attempt) => told.has(attempt),
    close: () => {
      isClosed = true
      const closing = host
      host = undefined
      pending.clear()
      told.clear()
      if (closing?.connected) closing.disconnect()
    },
  }
}
