import type { Config } from '../kernel/config/index.ts'
import { type ErrorKind, PlimsollError, toPlimsollError } from '../kernel/errors.ts'

/** What the supervisor tells a child when it starts it. Travels over the child's channel, never in arguments or the environment. */
export interface StartMessage {
  readonly kind: 'start'
  readonly config: Config
  /** Ports to bind: those of the last start, so that they are stable. */
  readonly ports: Readonly<Record<string, number>>
  /** Base URL of the control plane, once it is known. */
  readonly api: string | undefined
  /** A replay clock that a new data directory is created with. */
  readonly replay: { originMs: number; rate: number } | undefined
}

/** What a child tells when it serves: its ports by name, and URLs. */
export interface ReadyInfo {
  readonly ports: Readonly<Record<string, number>>
  readonly urls: Readonly<Record<string, string>>
  /** What will not work as things are, for the terminal. */
  readonly warnings?: readonly string[]
}

export interface FailedMessage {
  readonly kind: 'failed'
  readonly error: {
    kind: ErrorKind
    code: string
    message: string
    action?: string
    faults?: readonly { pointer: string; detail: string }[]
  }
}

/** What the supervisor tells a child that shall not wait until a balancer has seen it leave. SIGTERM is the other way to stop. */
export interface HurryMessage {
  readonly kind: 'hurry'
}

export type ChildMessage = { readonly kind: 'ready'; readonly info: ReadyInfo } | FailedMessage

export interface Opened {
  readonly ready: ReadyInfo
  /** Drains; after `drainMs` what is left is cut. One in a hurry does not wait until a balancer has seen it leave. */
  close(drainMs: number, isHurried?: boolean): Promise<void>
}

/** Where TLS ends in front, something balances in front. */
const PROXY_DRAIN_DELAY_MS = 5_000

/** How long a gateway that is told to stop goes on serving, so that what balances in front sees it leave. */
export function drainDelayMs({ gateway, server }: Config): number {
  return gateway.drainDelayMs ?? (server.behindProxy ? PROXY_DRAIN_DELAY_MS : 0)
}

/** After the supervisor has vanished, the next start should not have to wait. */
const ORPHAN_DRAIN_MS = 1_000

/**
 * The main of a child of the supervisor: waits for the start message, opens, reports. SIGTERM drains and exits 0; so
 * do, without delay, the word of the supervisor and its vanishing. SIGINT is left to the supervisor, which gets it from the terminal as well.
 */
export async function runSupervised(open: (start: StartMessage) => Promise<Opened>): Promise<void> {
  if (process.send === undefined) {
    process.stderr.write('plimsoll: this process is started by plimsoll up\n')
    process.exitCode = 2
    return
  }
  process.on('SIGINT', () => {})
  let opened: Opened | undefined
  let isStopping = false
  const stop = async (drainMs: number, isHurried: boolean) => {
    if (isStopping) return
    isStopping = true
    try {
      await opened?.close(drainMs, isHurried)
      process.exit(0)
    } catch (error) {
      process.stderr.write(`plimsoll: could not close: ${String(error)}\n`)
      process.exit(1)
    }
  }
  const quit = () => process.exit(0)
  process.once('disconnect', quit)
  const start = await new Promise<StartMessage>((resolve) => {
    process.once('message', (message) => resolve(message as StartMessage)) // the supervisor sends nothing else
  })
  process.off('disconnect', quit) // from here on there is something to close
  const { drainMs } = start.config.server
  process.on('SIGTERM', () => void stop(drainMs, false))
  process.on('message', (message) => {
    if ((message as HurryMessage).kind === 'hurry') void stop(drainMs, true) // the supervisor sends nothing else
  })
  process.on('disconnect', () => void stop(ORPHAN_DRAIN_MS, true))
  try {
    opened = await open(start)
  } catch (thrown) {
    await reportFailure(thrown)
    return
  }
  if (process.connected) process.send({ kind: 'ready', info: opened.ready } satisfies ChildMessage)
  else await stop(ORPHAN_DRAIN_MS, true)
}

async function reportFailure(thrown: unknown): Promise<void> {
  const error = toPlimsollError(thrown)
  process.stderr.write(
    `${JSON.stringify({ level: 'error', code: error.code, message: error.message, stack: error.stack })}\n`,
  )
  const { action, faults } = error.details
  const message: ChildMessage = {
    kind: 'failed',
    error: {
      kind: error.kind,
      code: error.code,
      message: error.message,
      ...(action ? { action } : {}),
      ...(faults ? { faults } : {}),
    },
  }
  await new Promise<void>((resolve) => {
    if (process.connected && process.send) process.send(message, () => resolve())
    else resolve()
  })
  process.exit(1)
}

/** The error that a child reported. */
export function failureOf(message: FailedMessage): PlimsollError {
  const { kind, code, message: text, action, faults } = message.error
  return new PlimsollError(kind, code, text, { ...(action ? { action } : {}), ...(faults ? { faults } : {}) })
}
