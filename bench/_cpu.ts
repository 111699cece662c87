import { readdirSync, readFileSync } from 'node:fs'

/** The kernel counts processor time in ticks of this length. */
const TICK_MS = 10

/** CPU-ms of a living process and all living ones that it started, threads included. */
export function cpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const own = (Number(fields[11]) + Number(fields[12])) * TICK_MS
  return childrenOf(pid).reduce((sum, child) => sum + cpuMs(child), own)
}

/** CPU-ms of what a process started whose command line has a word, each with all that it started in turn. */
export function childCpuMs(pid: number, word: string): number {
  const named = childrenOf(pid).filter((child) => readFileSync(`/proc/${child}/cmdline`, 'latin1').includes(word))
  return named.reduce((sum, child) => sum + cpuMs(child), 0)
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
}
