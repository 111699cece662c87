import { readFileSync, readlinkSync } from 'node:fs'
import { randomHex } from '../../kernel/ids.ts'

const ABANDONED_MS = 24 * 3_600_000

function readText(read: () => string): string {
  try {
    return read()
  } catch {
    return 'x'
  }
}

/** Start time of a process in clock ticks, which tells it from a later one with the same pid; `x` where unknown. */
function startTicksOf(pid: number): string {
  return readText(() => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? 'x'
  })
}

/** This boot and this process namespace: a pid means nothing outside them. */
function processWorld(): string {
  const boot = readText(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8))
  const namespace = readText(() => readlinkSync('/proc/self/ns/pid').replace(/\D/g, ''))
  return `${boot}-${namespace || 'x'}`
}

/** A new name for an unfinished file, which says who writes it. */
export function unfinishedName(): string {
  return `${processWorld()}.${process.pid}.${startTicksOf(process.pid)}.${randomHex(8)}`
}

/** True when nobody can still be writing the unfinished file: its writer is dead, or unknown and a day has passed. */
export function isAbandoned(name: string, ageMs: number): boolean {
  const [world, pid, ticks] = name.split('.')
  if (world !== processWorld() || world.startsWith('x') || !/^\d+$/.test(pid ?? '')) return ageMs > ABANDONED_MS
  return startTicksOf(Number(pid)) !== ticks
}
