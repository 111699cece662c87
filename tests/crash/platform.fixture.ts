import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  listProcesses,
  type ProcessEntry,
  readProcess,
  workDirOfProcess,
} from '../../packages/platform/src/adapters/local-process/process-table.ts'
import { firstLine, LAUNCHER } from '../../packages/platform/src/cli/process.fixture.ts'
import { layDatabase } from '../../packages/platform/src/kernel/db/database-template.fixture.ts'

const RESTART_PAUSE_MS = 200
const WATCH_MS = 1_000

export const KINDS = ['supervisor', 'control-plane', 'gateway', 'model-host', 'step'] as const
export type Kind = (typeof KINDS)[number]

export interface Platform {
  readonly dataDir: string
  readonly api: string
  readonly gateway: string
  /** Living processes of one kind. */
  pidsOf(kind: Kind): number[]
  /** Starts of `up` that ended before it was ready, though nobody had killed it. */
  readonly failedStarts: readonly string[]
  readonly readyMs: readonly number[]
  /** SIGTERM; resolves with the exit status. */
  stop(): Promise<number | null>
  /** Processes of ours that still live. */
  leftOver(): string[]
}

interface Ports {
  api: string
  gateway: string
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

function descendants(root: number, table: readonly ProcessEntry[]): ProcessEntry[] {
  const found = table.filter((entry) => entry.parent === root)
  return found.flatMap((entry) => [entry, ...descendants(entry.pid, table)])
}

function spawnUp(dataDir: string, ports: Ports | undefined): ChildProcess {
  const portOf = (url: string | undefined) => (url === undefined ? '0' : new URL(url).port)
  const args = ['--port', portOf(ports?.api), '--gateway-port', portOf(ports?.gateway), '--grpc-port', '0', '--json']
  return spawn('node', [LAUNCHER, 'up', '--data-dir', dataDir, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/**
 * `plimsoll up` on a data directory, started again whenever it ends, as an init system does: on the ports of its first
 * start, after a short pause.
 */
export async function openPlatform(dataDir: string): Promise<Platform> {
  await layDatabase(join(dataDir, 'database'), { isMigrated: true })
  const failedStarts: string[] = []
  const readyMs: number[] = []
  /** Every process seen below `up`, by pid and start: none may outlive it. */
  const seen = new Map<string, string>()
  let ports: Ports | undefined
  let launcher: ChildProcess | undefined
  let isStopping = false
  let status: number | null = null

  const runOnce = async (onReady: () => void) => {
    const startedMs = performance.now()
    const child = spawnUp(dataDir, ports)
    launcher = child
    let errors = ''
    child.stderr!.on('data', (chunk) => {
      errors += String(chunk)
    })
    const ended = new Promise<string>((done) =>
      child.once('close', (code, signal) => {
        status = code
        done(signal ?? `status ${code}`)
      }),
    )
    const line = await firstLine(child)
    if (line !== undefined) {
      const ready = JSON.parse(line) as Ports // printed by up
      ports ??= { api: ready.api, gateway: ready.gateway }
      readyMs.push(Math.round(performance.now() - startedMs))
      onReady()
    }
    const how = await ended
    // `up` gives up on a child that is killed five times while it starts: that is our doing, and an init system's to answer.
    const isOurDoing = how === 'SIGKILL' || errors.includes('while starting (SIGKILL)')
    if (line === undefined && !isOurDoing) failedStarts.push(`${how}: ${errors.trim().split('\n').at(-1)}`)
  }
  const started = Promise.withResolvers<void>()
  const operate = async () => {
    while (!isStopping) {
      await runOnce(started.resolve)
      if (ports === undefined) throw new Error(`up did not start: ${failedStarts.join('; ')}`)
      if (!isStopping) await new Promise((done) => setTimeout(done, RESTART_PAUSE_MS))
    }
  }
  const operating = operate()
  operating.catch(started.reject)

  const workDirs = new Map<string, string | undefined>()
  /** A process that has just been made still has the environment of its maker: it is looked at again. */
  const isOurStep = (entry: ProcessEntry) => {
    const key = `${entry.pid}/${entry.startTicks}/${commandOf(entry.pid)}`
    if (!workDirs.has(key)) workDirs.set(key, workDirOfProcess(entry.pid))
    return workDirs.get(key)?.startsWith(join(dataDir, 'runs')) === true
  }
  const note = () => {
    const table = listProcesses().filter((entry) => !entry.isZombie)
    const below = launcher?.pid === undefined ? [] : descendants(launcher.pid, table)
    const steps = table.filter(isOurStep)
    for (const { pid, startTicks } of [...below, ...steps]) seen.set(`${pid}/${startTicks}`, commandOf(pid))
    return { table, steps }
  }
  const watching = setInterval(note, WATCH_MS)
  await started.promise

  const pidsOf = (kind: Kind): number[] => {
    const { table, steps } = note()
    const supervisor = table.find((entry) => entry.parent === launcher?.pid)?.pid
    switch (kind) {
      case 'supervisor':
        return supervisor === undefined ? [] : [supervisor]
      case 'step':
        return steps.map((entry) => entry.pid)
      case 'model-host':
        return pidsOf('gateway').flatMap((pid) =>
          table
            .filter((entry) => entry.parent === pid && commandOf(entry.pid).includes('model-host'))
            .map((e) => e.pid),
        )
      default:
        return table
          .filter((entry) => entry.parent === supervisor && commandOf(entry.pid).includes(`processes/${kind}.`))
          .map((entry) => entry.pid)
    }
  }
  return {
    dataDir,
    get api() {
      return ports!.api // it has started
    },
    get gateway() {
      return ports!.gateway // it has started
    },
    pidsOf,
    failedStarts,
    readyMs,
    async stop() {
      isStopping = true
      launcher?.kill('SIGTERM')
      await operating
      clearInterval(watching)
      return status
    },
    leftOver() {
      note()
      return [...seen].flatMap(([key, command]) => {
        const [pid, startTicks] = key.split('/')
        const entry = readProcess(Number(pid))
        return entry && !entry.isZombie && entry.startTicks === startTicks ? [`${pid} ${command}`] : []
      })
    },
  }
}
