import { readFileSync } from 'node:fs'

/** What a process has taken so far; 0 where the system does not tell. */
export interface ProcessUsage {
  readonly cpuMs: number
  readonly residentMib: number
}

/** Clock ticks of `/proc` in a second, whatever the kernel's own rate. @source proc_pid_stat(5), sysconf(_SC_CLK_TCK) */
const TICKS_PER_SECOND = 100
const USER_TICKS = 11
const SYSTEM_TICKS = 12

/** Reads what a child uses, of Linux's `/proc`. */
export function usageOf(pid: number | undefined): ProcessUsage {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])
    const kib = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    return { cpuMs: (ticks * 1_000) / TICKS_PER_SECOND, residentMib: kib / 1_024 }
  } catch {
    return { cpuMs: 0, residentMib: 0 } // gone, or not Linux
  }
}
