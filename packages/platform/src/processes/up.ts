import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, realClock } from '../kernel/clock.ts'
import { type Config, readEnvironment, withoutSecrets } from '../kernel/config/index.ts'
import type { DirectoryCode } from '../kernel/directory-lock.ts'
import { isPlimsollError, PlimsollError } from '../kernel/errors.ts'
import { openLog } from '../kernel/log.ts'
import { siblingModule } from '../kernel/sibling-module.ts'
import { openChild, type SupervisedChild } from './child.ts'
import {
  dataPaths,
  openDataDirectory,
  readServerFile,
  removeServerFile,
  type ServerFile,
  writeServerFile,
} from './data-directory.ts'
import { drainDelayMs, type StartMessage } from './supervised.ts'
import { refuseTakenPorts } from './taken-port.ts'

/** How long a start waits for the children of a supervisor that was killed. */
const ORPHAN_WAIT_MS = 15_000
const ORPHAN_POLL_MS = 200
const DIRECTORY_CODES: readonly DirectoryCode[] = ['pglite.directory_in_use', 'serving.directory_in_use']

export interface UpOptions {
  readonly config: Config
  readonly replay: { originMs: number; rate: number } | undefined
  /** One line about a change, for the terminal. */
  onChange(line: string): void
}

export interface Up {
  readonly api: string
  readonly gateway: string | undefined
  readonly grpc: string | undefined
  readonly logs: string
  readonly warnings: readonly string[]
  readonly children: readonly SupervisedChild[]
  /** Drains. In a hurry, as at a terminal, without the delay in which balancers see that the gateway leaves. */
  close(isHurried?: boolean): Promise<void>
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The process of another `up` that runs on the directory now. */
function rivalOf(last: ServerFile | undefined): number | undefined {
  return last !== undefined && last.pid !== process.pid && isAlive(last.pid) ? last.pid : undefined
}

/**
 * What a start waits for. A directory in use is held by children that end soon, unless their supervisor lives; a port in
 * use is theirs when a supervisor was killed after it had become ready, else a stranger's.
 */
function orphanCodes(last: ServerFile | undefined): ReadonlySet<string> {
  if (rivalOf(last) !== undefined) return new Set()
  return new Set([...DIRECTORY_CODES, ...(last === undefined ? [] : ['http.port_taken'])])
}

/** Who holds the directory is a child of another `up`, which would start it again. */
function namingHolder(thrown: unknown, dataDir: string, last: ServerFile | undefined): unknown {
  const code = isPlimsollError(thrown) ? DIRECTORY_CODES.find((known) => known === thrown.code) : undefined
  const rival = rivalOf(last)
  if (code === undefined || rival === undefined) return thrown
  return new PlimsollError(
    'conflict',
    code,
    `Cannot use ${dataDir}: Plimsoll runs there already, as process ${rival}`,
    { pid: rival, action: `End that one with Ctrl-C or kill ${rival}, or choose another --data-dir` },
    thrown,
  )
}

/** Starts one child, and waits for the children of a supervisor that was killed to end. */
async function openPatiently(
  clock: Clock,
  codes: ReadonlySet<string>,
  open: () => Promise<SupervisedChild>,
): Promise<SupervisedChild> {
  const giveUpAtMs = clock.monotonicMs() + ORPHAN_WAIT_MS
  for (;;) {
    try {
      return await open()
    } catch (thrown) {
      const isOrphan = isPlimsollError(thrown) && codes.has(thrown.code)
      if (!isOrphan || clock.monotonicMs() > giveUpAtMs) throw thrown
      await clock.sleep(ORPHAN_POLL_MS)
    }
  }
}

/**
 * Starts control plane and gateway and keeps them running. Each gets its settings over its channel, and takes the loss
 * of that channel for SIGTERM, so that nothing outlives a supervisor that was killed.
 */
export async function openUp(options: UpOptions): Promise<Up> {
  const { config, replay, onChange } = options
  // In a directory that is there, it may be children of a supervisor that was killed: those are waited for.
  if (!existsSync(config.dataDir)) await refuseTakenPorts(config.server)
  const paths = await openDataDirectory(config.dataDir)
  const log = openLog({ level: config.log.level === 'silent' ? 'silent' : 'error', name: 'supervisor' })
  const last = await readServerFile(config.dataDir)
  const codes = orphanCodes(last)
  await using stack = new AsyncDisposableStack()
  let isHurried = true // while it starts, nobody balances
  const open = async (name: string, module: string, api: string | undefined) => {
    const child = await openPatiently(realClock, codes, () =>
      openChild({
        name,
        entry: siblingModule(import.meta.url, module),
        logPath: join(paths.logs, `${name}.log`),
        environment: name === 'control-plane' ? readEnvironment() : withoutSecrets(readEnvironment()),
        clock: realClock,
        log,
        drainMs: drainDelayMs(config) + config.server.drainMs,
        startMessage: (ports): StartMessage => ({ kind: 'start', config, ports, api, replay }),
        onChange,
      }),
    ).catch((thrown: unknown) => {
      throw namingHolder(thrown, config.dataDir, last)
    })
    stack.defer(() => child.stop(isHurried))
    return child
  }
  const control = await open('control-plane', './control-plane', undefined)
  const api = control.ready.urls.api ?? ''
  const gateway = existsSync(siblingModule(import.meta.url, './gateway'))
    ? await open('gateway', './gateway', api)
    : undefined
  const urls = gateway?.ready.urls
  await writeServerFile(config.dataDir, {
    api,
    ...(urls?.gateway === undefined ? {} : { gateway: urls.gateway }),
    ...(urls?.grpc === undefined ? {} : { grpc: urls.grpc }),
    pid: process.pid,
    ports: { ...control.ready.ports, ...gateway?.ready.ports },
  })
  stack.defer(() => removeServerFile(config.dataDir))
  const rest = stack.move()
  return {
    api,
    gateway: urls?.gateway,
    grpc: urls?.grpc,
    logs: dataPaths(config.dataDir).logs,
    warnings: control.ready.warnings ?? [],
    children: gateway ? [control, gateway] : [control],
    close(hurry = false) {
      isHurried = hurry
      return rest.disposeAsync()
    },
  }
}
