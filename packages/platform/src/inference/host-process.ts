import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import { readEnvironment } from '../kernel/config/index.ts'
import { PlimsollError } from '../kernel/errors.ts'
import { siblingModule } from '../kernel/sibling-module.ts'
import { HOST_FDS, OPERATIONS, openFrameReader, readHeader } from './frame.ts'

const ENTRY = fileURLToPath(siblingModule(import.meta.url, '../processes/model-host'))
const HELLO_TIMEOUT_MS = 15_000

/** A running model host with at most one frame in flight. */
export interface HostProcess {
  readonly pid: number
  readonly isBusy: boolean
  readonly isAlive: boolean
  /** Sends a frame; `onAnswer` gets the answer, or undefined when the host died first. */
  send(frame: Buffer, onAnswer: (answer: Buffer | undefined) => void): void
  ask(frame: Buffer): Promise<Buffer>
  /** Resident bytes, 0 where the system does not tell. */
  residentBytes(): number
  kill(): void
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>
}

export const hostDied = () =>
  new PlimsollError('unavailable', 'inference.host_died', 'The model host died while it ran this request', {
    retryAfterMs: 1_000,
  })

/** For what no host can run before its deadline, since the last one died. */
export const hostAway = (inMs: number) =>
  new PlimsollError(
    'unavailable',
    'inference.host_died',
    'Cannot infer in time: the model host died, the next is not up yet',
    {
      retryAfterMs: Math.max(1_000, Math.ceil(inMs)),
    },
  )

/**
 * Starts a host over two socket pairs and waits for its greeting. Not detached: `setsid` would take its nice value out of
 * the comparison with its neighbours.
 * @throws unavailable inference.host_not_started
 */
export function startHost(options: { niceness: number; hasArena: boolean }): Promise<HostProcess> {
  const argv = ['--disable-proto=delete', ENTRY, ...(options.hasArena ? [] : ['--no-arena'])]
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'pipe'],
    env: {
      ORT_DISABLE_TELEMETRY: '1', // onnxruntime reports models to its maker, since 1.29 on Linux too
      NODE_COMPILE_CACHE: readEnvironment()['NODE_COMPILE_CACHE'],
    },
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new PlimsollError('unavailable', 'inference.host_not_started', `Cannot start a model host: ${why}`))
    }
    const timer = setTimeout(() => fail(`no greeting in ${HELLO_TIMEOUT_MS} ms`), HELLO_TIMEOUT_MS)
    child.once('error', (error) => fail(error.message))
    const { pid } = child
    if (pid === undefined) return
    if (options.niceness > 0) setPriority(pid, options.niceness)
    const host = wrapHost(child, pid, () => {
      clearTimeout(timer)
      resolve(host)
    })
    void host.gone.then(() => fail('it ended at once'))
  })
}

function wrapHost(child: ChildProcess, pid: number, onHello: () => void): HostProcess {
  const frames = child.stdio[HOST_FDS.frames] as Socket // 'pipe' on an extra descriptor is a socket pair
  const answers = child.stdio[HOST_FDS.answers] as Socket
  const { promise: gone, resolve: markGone } = Promise.withResolvers<void>()
  let waiting: ((answer: Buffer | undefined) => void) | undefined
  let isAlive = true
  const die = () => {
    if (!isAlive) return
    isAlive = false
    child.kill('SIGKILL')
    frames.destroy()
    answers.destroy()
    const callback = waiting
    waiting = undefined
    callback?.(undefined)
  }
  child.once('exit', () => {
    die()
    markGone()
  })
  for (const socket of [frames, answers]) {
    socket.on('error', die)
    socket.on('close', die)
  }
  const read = openFrameReader((frame) => {
    if (readHeader(frame).operation === OPERATIONS.hello) {
      onHello()
      return
    }
    const callback = waiting
    waiting = undefined
    callback?.(frame)
  })
  answers.on('data', (chunk: Buffer) => {
    try {
      read(chunk)
    } catch {
      die() // a host that does not speak the protocol
    }
  })
  const send: HostProcess['send'] = (frame, onAnswer) => {
    if (!isAlive || waiting) {
      queueMicrotask(() => onAnswer(undefined))
      return
    }
    waiting = onAnswer
    frames.write(frame)
  }
  return {
    pid,
    gone,
    send,
    get isBusy() {
      return waiting !== undefined
    },
    get isAlive() {
      return isAlive
    },
    ask: (frame) =>
      new Promise((resolve, reject) => send(frame, (answer) => (answer ? resolve(answer) : reject(hostDied())))),
    residentBytes: () => readResidentBytes(pid),
    kill: die,
  }
}

function readResidentBytes(pid: number): number {
  try {
    const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return Number(line?.[1] ?? 0) * 1024
  } catch {
    return 0 // gone, or not Linux
  }
}
