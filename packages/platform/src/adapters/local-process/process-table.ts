import { readdirSync, readFileSync } from 'node:fs'

/** The kernel's clock tick as user space sees it. @source proc(5), sysconf(_SC_CLK_TCK) */
export const TICK_MS = 10

/** One line of the process table, from `/proc/<pid>/stat`. */
export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  readonly startTicks: string
  readonly cpuTicks: number
  readonly residentPages: number
  readonly isZombie: boolean
}

/** Undefined when there is no such process, or no /proc. The name may hold spaces and brackets: fields count from the last one. */
export function readProcess(pid: number): ProcessEntry | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return {
      pid,
      parent: Number(fields[1]),
      group: Number(fields[2]),
      startTicks: fields[19] ?? '',
      cpuTicks: Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14]),
      residentPages: Number(fields[21]),
      isZombie: fields[0] === 'Z',
    }
  } catch {
    return undefined
  }
}

export function listProcesses(): ProcessEntry[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => readProcess(Number(name)))
      .filter((entry) => entry !== undefined)
  } catch {
    return []
  }
}

/**
 * The work directory of the attempt that a process belongs to, by its environment: also when it left the group by
 * `setsid`. Attempt numbers repeat between installations on one host; directories do not.
 */
export function workDirOfProcess(pid: number): string | undefined {
  try {
    return /(?:^|\0)PLIMSOLL_WORK_DIR=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

/** Processes of the attempts in these work directories: one pass over the process table for all of them. */
export function processesOf(workDirs: ReadonlySet<string>): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => workDirs.has(workDirOfProcess(pid) ?? ''))
      .filter((pid) => readProcess(pid)?.isZombie === false)
  } catch {
    return []
  }
}

/** How long a process has run, by the kernel's clock. */
export function processAgeMs(entry: ProcessEntry): number {
  try {
    const uptimeSeconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0])
    return Math.max(0, uptimeSeconds * 1_000 - Number(entry.startTicks) * TICK_MS)
  } catch {
    return 0
  }
}

let ownBoot: string | undefined

/** Identity of this boot of the machine; it cannot change while we run. */
export function bootId(): string {
  if (ownBoot === undefined) {
    try {
      ownBoot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    } catch {
      ownBoot = 'unknown'
    }
  }
  return ownBoot
}
