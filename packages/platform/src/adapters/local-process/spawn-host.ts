import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StepSubmission } from '@plimsoll/sdk/seams'
import type { Handle } from './attempt-process.ts'
import { bootId, readProcess } from './process-table.ts'

export interface SpawnRequest {
  readonly id: number
  /** Who asks. A request may be read after its death, when the next control plane has given the step to another attempt. */
  readonly parent: number
  readonly submission: StepSubmission
}

export type SpawnReply =
  | { readonly id: number; readonly kind: 'started'; readonly handle: Handle }
  | { readonly id: number; readonly kind: 'failed'; readonly message: string; readonly isTooLarge: boolean }
  | { readonly id: number; readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null }

/**
 * Leaves the pid before and the exit code after, so that a control plane which is not the parent can learn both. A
 * missing ` ok` is a torn file. A TERM to the group must not end the wrapper before the program: the empty handler lets it
 * wait, and is not inherited. `times` says what the program and its children used, without another process.
 */
const WRAPPER =
  'trap : TERM; ulimit -c 0; d=$1; shift; echo "$$ ok" > "$d/pid"; "$@"; c=$?; { echo "$c ok"; times; } > "$d/exit"; exit $c'

function reply(message: SpawnReply): void {
  if (process.connected) process.send?.(message)
}

function failed(id: number, error: NodeJS.ErrnoException, message: string = error.message): SpawnReply {
  return { id, kind: 'failed', message, isTooLarge: error.code === 'E2BIG' }
}

/** As leader of its own session and group, standard output and error in one file. */
function spawnWrapper({ workDir, argv, attempt, cwd, environment }: StepSubmission): ChildProcess {
  const log = openSync(join(workDir, 'log'), 'a', 0o600)
  try {
    return spawn('/bin/sh', ['-c', WRAPPER, 'sh', workDir, ...argv], {
      detached: true,
      stdio: ['ignore', log, log],
      cwd,
      env: { ...environment, PLIMSOLL_ATTEMPT: attempt, PLIMSOLL_WORK_DIR: workDir },
    })
  } finally {
    closeSync(log) // also of what is refused at once
  }
}

function start({ id, submission }: SpawnRequest): void {
  const { workDir, attempt, timeoutMs, memoryBytes } = submission
  mkdirSync(workDir, { recursive: true, mode: 0o700 })
  const child = spawnWrapper(submission)
  // The system says of a directory that is not there that it found no shell.
  const reasonOf = (error: Error) => (existsSync(submission.cwd) ? error.message : `${submission.cwd} is not there`)
  child.once('error', (error) => reply(failed(id, error, reasonOf(error))))
  child.once('exit', (code, signal) => reply({ id, kind: 'exited', code, signal }))
  child.once('spawn', () => {
    const pid = child.pid!
    const startTicks = readProcess(pid)?.startTicks ?? ''
    const handle: Handle = { attempt, workDir, pid, startTicks, boot: bootId(), timeoutMs, memoryBytes }
    child.unref()
    writeFileSync(join(workDir, 'handle.json'), JSON.stringify(handle), { mode: 0o600 })
    reply({ id, kind: 'started', handle })
  })
}

process.on('message', (request: SpawnRequest) => {
  if (process.ppid !== request.parent) return
  try {
    start(request)
  } catch (error) {
    reply(failed(request.id, error as Error)) // node throws nothing else
  }
})
// The terminal's signals are for the supervisor. When the control plane is gone, so are we; attempts go on.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
process.once('disconnect', () => process.exit(0))
