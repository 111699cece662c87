import { readdirSync, readFileSync } from 'node:fs'

/** One line of the process table, from `/proc/<pid>/stat`. */
export interface ProcessEntry {
  readonly pid: number
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

/** Processes whose environment carries `PLIMSOLL_ATTEMPT=<attempt>`: also those that left the group by `setsid`. */
export function processesOf(attempt: string): number[] {
  const wanted = `\0PLIMSOLL_ATTEMPT=${attempt}\0`
  return listProcesses()
    .filter((entry) => {
      try {
        return !entry.isZombie && `\0${readFileSync(`/proc/${entry.pid}/environ`, 'latin1')}\0`.includes(wanted)
      } catch {
        return false
      }
    })
    .map((entry) => entry.pid)
}

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
