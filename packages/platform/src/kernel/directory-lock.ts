import { readFileSync } from 'node:fs'
import { rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { resolve } from 'node:path'
import { PlimsollError } from './errors.ts'

interface Holder {
  pid: number
  startTicks: string
  bootId: string
}

/** Start time of a process in clock ticks: with the boot it tells a process from another one of the same pid. */
function startTicksOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'unknown'
  }
}

function isAlive(holder: Holder): boolean {
  if (holder.bootId !== bootId()) return false
  if (process.platform === 'linux') return startTicksOf(holder.pid) === holder.startTicks
  try {
    process.kill(holder.pid, 0)
    return true
  } catch {
    return false
  }
}

export type DirectoryCode = 'pglite.directory_in_use' | 'serving.directory_in_use'

function inUse(directory: string, code: DirectoryCode, holder: Holder | undefined): PlimsollError {
  const who = holder ? `process ${holder.pid}` : 'another process'
  return new PlimsollError('conflict', code, `Cannot open ${directory}: ${who} holds it`, {
    ...(holder ? { pid: holder.pid } : {}),
    action: holder ? `Stop process ${holder.pid}, or choose another --data-dir` : 'Choose another --data-dir',
  })
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder // written by us alone; a torn file counts as absent
  } catch {
    return undefined
  }
}

const lockPath = (directory: string) => `${resolve(directory)}.lock`

/** The process that has taken the directory and lives, as far as its file says so. */
export function holderOf(directory: string): number | undefined {
  const holder = readHolder(lockPath(directory))
  return holder !== undefined && isAlive(holder) ? holder.pid : undefined
}

function listenAbstract(name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(`\0${name}`, () => resolve(server.unref()))
  })
}

/**
 * Takes the directory for this process. On Linux an abstract socket named by device and inode, which the operating
 * system frees on death; everywhere a file with pid, start time and boot id, since abstract names do not cross network
 * namespaces. Never stolen by age.
 *
 * @throws conflict with the given code
 */
export async function lockDirectory(directory: string, code: DirectoryCode): Promise<() => Promise<void>> {
  const path = lockPath(directory)
  let socket: Server | undefined
  if (process.platform === 'linux') {
    const { dev, ino } = await stat(directory, { bigint: true })
    try {
      socket = await listenAbstract(`plimsoll-${dev}-${ino}`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      throw inUse(directory, code, readHolder(path))
    }
  }
  const self: Holder = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '', bootId: bootId() }
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(path, JSON.stringify(self), { flag: 'wx', mode: 0o600 })
      break
    } catch (error) {
      const holder = readHolder(path)
      if (
        (error as NodeJS.ErrnoException).code !== 'EEXIST' ||
        attempt > 2 ||
        (holder && holder.pid !== process.pid && isAlive(holder))
      ) {
        socket?.close()
        throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? inUse(directory, code, holder) : error
      }
      await rm(path, { force: true })
    }
  }
  return async () => {
    await rm(path, { force: true })
    socket?.close()
  }
}
