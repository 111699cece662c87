import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { StepSubmission } from '@plimsoll/sdk/seams'
import { readRegularSync } from '../../kernel/regular-file.ts'
import { bootId, readProcess, workDirOfProcess } from './process-table.ts'

/** Identity of an attempt's process: the same pid with another start or boot is another process. */
export interface Handle {
  readonly attempt: string
  readonly workDir: string
  readonly pid: number
  readonly startTicks: string
  readonly boot: string
  readonly timeoutMs: number
  readonly memoryBytes: number | undefined
}

/** Of the marks of a wrapper and of the handle beside them. */
const MARK_BYTES_MAX = 64 << 10

function readText(path: string): string {
  return readRegularSync(path, MARK_BYTES_MAX)?.toString('latin1') ?? ''
}

/** The exit code that the wrapper left, and the processor time of what it ran. */
export function readExit(workDir: string): { exitCode: number; cpuMs: number } | undefined {
  const text = readText(join(workDir, 'exit'))
  const code = /^(\d+) ok\n/.exec(text)
  if (!code) return undefined
  const [user, system] = [...(text.split('\n')[2] ?? '').matchAll(/(\d+)m([\d.]+)s/g)].map(
    (match) => Number(match[1]) * 60_000 + Number(match[2]) * 1_000,
  )
  return { exitCode: Number(code[1]), cpuMs: Math.round((user ?? 0) + (system ?? 0)) }
}

export function isAlive(handle: Handle): boolean {
  if (handle.boot !== bootId()) return false
  if (process.platform !== 'linux')
    return existsSync(join(handle.workDir, 'pid')) && !existsSync(join(handle.workDir, 'exit'))
  const entry = readProcess(handle.pid)
  return entry !== undefined && !entry.isZombie && entry.startTicks === handle.startTicks
}

export function signalGroup(handle: Handle, signal: NodeJS.Signals): void {
  if (!isAlive(handle)) return
  try {
    process.kill(-handle.pid, signal)
  } catch {
    // It ended in between.
  }
}

/** The handle of an attempt whose start was not recorded: from the file beside it, or from what its wrapper wrote. */
export function recoverHandle(
  submitted: Pick<StepSubmission, 'attempt' | 'workDir' | 'timeoutMs' | 'memoryBytes'>,
): Handle | undefined {
  const { attempt, workDir, timeoutMs, memoryBytes } = submitted
  try {
    return JSON.parse(readText(join(workDir, 'handle.json'))) as Handle // written whole by the spawn host, or torn and no JSON
  } catch {
    const mark = /^(\d+) ok\n/.exec(readText(join(workDir, 'pid')))
    if (!mark) return undefined
    const pid = Number(mark[1])
    const entry = workDirOfProcess(pid) === workDir ? readProcess(pid) : undefined
    if (!entry && !readExit(workDir)) return undefined
    return { attempt, workDir, pid, startTicks: entry?.startTicks ?? '', boot: bootId(), timeoutMs, memoryBytes }
  }
}
